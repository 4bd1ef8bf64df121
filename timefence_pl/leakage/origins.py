"""Where wrong values came from: rows of the entity that carry them, known too late or known in time.

Takes the rows whose values are wrong and the feature's own rows, gives for each the nearest row known after the last
usable instant, and the nearest known before it. The audit's own code: it knows nothing of the match that built the
values due. Instants are exact integers (Int128 nanoseconds, or integer units).

Nested values are sought exactly, floats in them too. A value that few rows share a key with is compared with each of
them. Where there are more, as with few distinct values, it is compared with the distinct values of its entity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from timefence_pl.leakage.equality import Tolerance, comparable, equal
from timefence_pl.leakage.value_groups import AFTER, BEFORE, by_groups
from timefence_pl.leakage.value_keys import ID, KEY, Sought, float_columns, one_key, row_keys, sought_keys

__all__ = ["AT", "FUTURE_ROW", "KNOWN_INSTANT", "LIMIT", "NEVER", "PAST_ROW", "Sought", "in_match_order", "origins"]

#: The last instant at which a value may have become known, for each wrong row.
LIMIT: Final = "__tf_limit"
#: The instant from which a row of the feature was usable.
KNOWN_INSTANT: Final = "__tf_instant"
#: The instant of rows that never became known.
NEVER: Final = 1 << 100
#: Positions, among the feature's rows, of the nearest row with the value that was known too late, and in time.
FUTURE_ROW: Final = "__tf_future_row"
PAST_ROW: Final = "__tf_past_row"

#: The instant of a row, of 64 bits where the range of instants allows it.
AT: Final = "__tf_at"

_ROW: Final = "__tf_position"
_PLACE: Final = "__tf_place"
#: A value that so many rows or fewer share a key with is compared with each of them.
MANY: Final = 32
#: Pairs of wrong rows and rows that are held at once.
CHUNK: Final = 4_000_000


def origins(
    wrong: pl.DataFrame,
    rows: pl.DataFrame,
    entity: Sequence[str],
    columns: Sequence[Sought],
    tolerance: Tolerance,
    order: Sequence[str] = (),
) -> pl.DataFrame:
    """Find the rows that carry wrong values.

    Args:
        wrong: The entity's columns, ``LIMIT`` (Int128) and the values found; wrong in all of ``columns``.
        rows: The feature's rows: the entity's columns, ``KNOWN_INSTANT`` (Int128, or Int64) and its own columns.
        entity: The columns that tell entities, none of them null.
        columns: The columns that must be equal, all together.
        tolerance: For floats.
        order: Columns of ``rows`` that order those of one instant; those equal in them too are in order.

    Returns:
        ``FUTURE_ROW`` and ``PAST_ROW`` (positions in ``rows``, or null), one row per row of ``wrong``, in order. Of rows
        of the same instant the first counts that was known too late, and the last that was known in time; where their
        floats differ within the tolerance, that of the least, and of the greatest.
    """
    nothing = [pl.repeat(None, wrong.height, dtype=pl.UInt32, eager=True).alias(n) for n in (FUTURE_ROW, PAST_ROW)]
    if not columns or not all(comparable(*c.types) for c in columns) or not wrong.height or not rows.height:
        return pl.DataFrame(nothing)
    needed = rows.select(list(dict.fromkeys([*entity, KNOWN_INSTANT, *order, *(c.own for c in columns)])))
    needed = needed.with_row_index(_ROW)
    found, left = [], pl.int_range(wrong.height, dtype=pl.UInt32, eager=True)
    if not any(t.is_nested() for c in columns for t in c.types):
        few, left = _by_keys(wrong, needed, entity, columns, tolerance, order)
        found.append(few)
    if len(left):
        asking = wrong.select(pl.all().gather(left))
        carriers = (
            needed.join(asking.select(entity).unique(), on=list(entity), how="semi", maintain_order="left")
            if entity
            else needed
        )
        carriers, limits = in_match_order(carriers, asking[LIMIT], entity, order)
        usable = carriers[AT].search_sorted(limits, side="right")
        places = by_groups(asking, usable, carriers, carriers[AT], entity, columns, tolerance)
        found.append(_rows(places, carriers).with_columns(left.gather(places[ID]).alias(ID)))
    every = pl.concat(found)
    return pl.DataFrame([column.scatter(every[ID], every[column.name]) for column in nothing])


def in_match_order(
    rows: pl.DataFrame, limits: pl.Series, entity: Sequence[str], order: Sequence[str | pl.Expr]
) -> tuple[pl.DataFrame, pl.Series]:
    """Rows by ``KNOWN_INSTANT``, then ``order``, then as they are; with ``AT``, by which limits compare as by instants.

    Args:
        rows: The rows.
        limits: Instants (Int128), which are given back to be compared with ``AT``.
        entity: The columns that tell entities; rows of different ones may come in any order.
        order: What orders rows of one instant.
    """
    instants = rows[KNOWN_INSTANT]
    finite = instants if instants.dtype == pl.Int64 else instants.filter(instants < NEVER)
    first, last = finite.min(), finite.max()
    if isinstance(first, int) and isinstance(last, int) and last - first < 1 << 62:
        # Of 64 bits they are sorted and compared at half the cost.
        instants = instants - first if instants.dtype == pl.Int64 else _from(first, instants, first, last + 1)
        limits = _from(first, limits, first - 1, last)
    ordered = rows.with_columns(instants.alias(AT))
    if order and ordered.select(one_key([pl.col(c) for c in (*entity, AT)]).n_unique()).item() == rows.height:
        order = ()  # no two rows of an entity are of one instant
    return ordered.sort([AT, *order], maintain_order=True), limits


def _by_value(rows: pl.DataFrame, columns: Sequence[Sought]) -> list[pl.Expr]:
    """What orders rows of one instant before all else: their values, several of which may be equal to one found."""
    values = [pl.col(columns[i].own).cast(pl.Float64) + 0.0 for i in float_columns(columns)]
    return [max(values, key=lambda v: rows.select(v.n_unique()).item())] if len(values) > 1 else values


def _from(start: int, instants: pl.Series, least: int, greatest: int) -> pl.Series:
    """Instants held between two, counted from a start."""
    held = pl.DataFrame({AT: instants.cast(pl.Int128)}).select(
        pl.col(AT).clip(least, greatest) - pl.lit(start, dtype=pl.Int128)
    )
    return held.to_series().cast(pl.Int64)


def _by_keys(
    wrong: pl.DataFrame,
    rows: pl.DataFrame,
    entity: Sequence[str],
    columns: Sequence[Sought],
    tolerance: Tolerance,
    order: Sequence[str],
) -> tuple[pl.DataFrame, pl.Series]:
    """The rows found for wrong rows that share their keys with few; and the numbers of the wrong rows left."""
    lines, left = sought_keys(wrong, entity, columns, tolerance)
    keys = row_keys(rows, entity, columns, tolerance)
    carriers = rows.with_columns(keys).filter(keys.is_in(lines[KEY].implode()))
    counts = carriers.group_by(KEY).len()
    many = counts.filter(pl.col("len") > MANY)
    if many.height:
        left = pl.concat([left, lines.join(many, on=KEY, how="semi")[ID]]).unique()
        lines = lines.filter(~pl.col(ID).is_in(left.implode()))
        carriers = carriers.join(many, on=KEY, how="anti", maintain_order="left")
    carriers, limits = in_match_order(carriers, wrong[LIMIT], entity, [*_by_value(carriers, columns), *order])
    places = carriers.select(KEY, pl.int_range(pl.len(), dtype=pl.UInt32).alias(_PLACE))
    most = min(int(counts["len"].max() or 1), max(MANY, 1))  # type: ignore[arg-type]
    parts = [
        _nearest(_equal_pairs(some.join(places, on=KEY), wrong, carriers, entity, columns, tolerance), limits, carriers)
        for some in lines.iter_slices(max(CHUNK // most, 1))
    ]
    if not parts:
        return _rows(pl.DataFrame(schema={ID: pl.UInt32, AFTER: pl.UInt32, BEFORE: pl.UInt32}), carriers), left
    found = (
        parts[0] if len(parts) == 1 else pl.concat(parts).group_by(ID).agg(pl.col(AFTER).min(), pl.col(BEFORE).max())
    )
    return _rows(found, carriers), left


def _equal_pairs(
    pairs: pl.DataFrame,
    wrong: pl.DataFrame,
    carriers: pl.DataFrame,
    entity: Sequence[str],
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> pl.DataFrame:
    """The pairs of wrong rows and rows that are of one entity and equal in all columns."""
    compared = [(e, e, (wrong.schema[e], carriers.schema[e])) for e in entity]
    for found, own, types in (*compared, *((c.found, c.own, c.types) for c in columns)):
        one, two = wrong[found].gather(pairs[ID]), carriers[own].gather(pairs[_PLACE])
        same = pl.select(equal(pl.lit(one), pl.lit(two), types, tolerance)).to_series()
        pairs = pairs if same.all() else pairs.filter(same)
    return pairs


def _nearest(pairs: pl.DataFrame, limits: pl.Series, carriers: pl.DataFrame) -> pl.DataFrame:
    """For each wrong row the first place of what came too late, and the last of what was known in time."""
    late = carriers[AT].gather(pairs[_PLACE]) > limits.gather(pairs[ID])
    place = pl.col(_PLACE)
    sides = pairs.select(ID, pl.when(late).then(place).alias(AFTER), pl.when(~late).then(place).alias(BEFORE))
    return sides.group_by(ID).agg(pl.col(AFTER).min(), pl.col(BEFORE).max())


def _rows(places: pl.DataFrame, carriers: pl.DataFrame) -> pl.DataFrame:
    """The rows at these places."""
    rows = carriers[_ROW]
    return pl.DataFrame(
        [
            places[ID],
            rows.gather(places[AFTER]).alias(FUTURE_ROW),
            rows.gather(places[BEFORE]).alias(PAST_ROW),
        ]
    )
