"""Where wrong values came from: rows of the entity that carry them, known too late or known in time.

Takes the rows whose values are wrong and the feature's own rows, gives for each the nearest row known after the last
usable instant, and the nearest known before it. The audit's own code: it knows nothing of the match that built the
values due. Instants are exact integers (Int128 nanoseconds, or integer units).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from timefence_pl.leakage.equality import Tolerance, comparable, equal, exact_form, is_float_like

__all__ = ["FUTURE_ROW", "KNOWN_INSTANT", "LIMIT", "NEVER", "PAST_ROW", "Sought", "origins"]

#: The last instant at which a value may have become known, for each wrong row.
LIMIT: Final = "__tf_limit"
#: The instant from which a row of the feature was usable.
KNOWN_INSTANT: Final = "__tf_instant"
#: The instant of rows that never became known.
NEVER: Final = 1 << 100
#: Positions, among the feature's rows, of the nearest row with the value that was known too late, and in time.
FUTURE_ROW: Final = "__tf_future_row"
PAST_ROW: Final = "__tf_past_row"

_ID: Final = "__tf_id"
_ROW: Final = "__tf_position"
_GROUP: Final = "__tf_group"
_EXACT: Final = "__tf_exact{}"
_FLOAT: Final = "__tf_float{}"
_KIND: Final = "__tf_float_kind{}"
_CLASS: Final = "__tf_class"
_PLACE: Final = "__tf_place"
#: Pairs of wrong rows and values that are held at once.
CHUNK: Final = 2_000_000


@dataclass(frozen=True)
class Sought:
    """One column that is wrong: where it stands in either frame.

    Attributes:
        found: Its name among the wrong rows.
        own: Its name among the feature's rows.
        types: The types of the two.
        wanted: The name, among the wrong rows, of the mark that says in which of them the column is sought.
    """

    found: str
    own: str
    types: tuple[pl.DataType, pl.DataType]
    wanted: str


def origins(
    wrong: pl.DataFrame, rows: pl.DataFrame, entity: Sequence[str], columns: Sequence[Sought], tolerance: Tolerance
) -> pl.DataFrame:
    """Find the rows that carry wrong values.

    Args:
        wrong: The entity's columns, ``LIMIT`` (Int128) and the values found; wrong in all of ``columns``.
        rows: The feature's rows: the entity's columns, ``KNOWN_INSTANT`` (Int128) and its own columns.
        entity: The columns that tell entities, none of them null.
        columns: The columns that must be equal, all together.
        tolerance: For floats.

    Returns:
        ``FUTURE_ROW`` and ``PAST_ROW`` (positions in ``rows``, or null), one row per row of ``wrong``, in order.
    """
    nothing = pl.select(pl.repeat(None, wrong.height, dtype=pl.UInt32).alias(n) for n in (FUTURE_ROW, PAST_ROW))
    if not columns or not all(comparable(*c.types) for c in columns) or not wrong.height or not rows.height:
        return nothing
    probes = wrong.select(*entity, LIMIT, *_forms(columns, found=True)).with_row_index(_ID)
    own = rows.with_row_index(_ROW).select(_ROW, *entity, KNOWN_INSTANT, *_forms(columns, found=False))
    own = own.join(probes.select(entity).unique(), on=list(entity), how="semi") if entity else own
    values = _distinct(own, entity, columns)
    grouped = own.join(values, on=_value_columns(entity, columns), nulls_equal=True).select(_ROW, KNOWN_INSTANT, _GROUP)
    pairs = _pairs(probes, values, entity, columns, tolerance)
    best = [_nearest(some, grouped) for some in pairs if some.height]
    if not best:
        return nothing
    found = pl.concat(best)
    # A value may lie within the tolerance of several: the nearest row of all of them counts.
    future = found.filter(pl.col(FUTURE_ROW).is_not_null()).sort("late").unique(_ID, keep="first", maintain_order=True)
    past = found.filter(pl.col(PAST_ROW).is_not_null()).sort("early").unique(_ID, keep="last", maintain_order=True)
    return (
        probes.select(_ID)
        .join(future.select(_ID, FUTURE_ROW), on=_ID, how="left", maintain_order="left")
        .join(past.select(_ID, PAST_ROW), on=_ID, how="left", maintain_order="left")
        .select(FUTURE_ROW, PAST_ROW)
    )


def _forms(columns: Sequence[Sought], *, found: bool) -> list[pl.Expr]:
    """Each column in a form that joins: exact values as they are, floats as a kind and a finite number."""
    forms: list[pl.Expr] = []
    for i, c in enumerate(columns):
        name, dtype, other = (c.found, *c.types) if found else (c.own, c.types[1], c.types[0])
        column = pl.col(name)
        if is_float_like(*c.types):
            number = column.cast(pl.Float64)
            forms += [
                pl.when(number.is_nan())
                .then(3)
                .when(number == float("inf"))
                .then(2)
                .when(number == -float("inf"))
                .then(1)
                .when(number.is_not_null())
                .then(0)
                .cast(pl.Int8)
                .alias(_KIND.format(i)),
                pl.when(number.is_finite()).then(number + 0.0).otherwise(0.0).alias(_FLOAT.format(i)),
            ]
        else:
            forms.append(exact_form(column, dtype, other).alias(_EXACT.format(i)))
    return forms


def _floats(columns: Sequence[Sought]) -> list[int]:
    return [i for i, c in enumerate(columns) if is_float_like(*c.types)]


def _class_columns(entity: Sequence[str], columns: Sequence[Sought]) -> list[str]:
    """What must be equal without any tolerance."""
    floats = _floats(columns)
    return [*entity, *(_KIND.format(i) if i in floats else _EXACT.format(i) for i in range(len(columns)))]


def _value_columns(entity: Sequence[str], columns: Sequence[Sought]) -> list[str]:
    return [*_class_columns(entity, columns), *(_FLOAT.format(i) for i in _floats(columns))]


def _distinct(own: pl.DataFrame, entity: Sequence[str], columns: Sequence[Sought]) -> pl.DataFrame:
    """The feature's distinct values, numbered; with floats by class and the float with the most distinct values."""
    values = own.select(_value_columns(entity, columns)).unique()
    if not _floats(columns):
        return values.with_row_index(_GROUP)
    classes = values.select(_class_columns(entity, columns)).unique().with_row_index(_CLASS)
    values = values.join(classes, on=_class_columns(entity, columns), nulls_equal=True)
    return values.sort(_CLASS, _FLOAT.format(_primary(values, columns))).with_row_index(_GROUP)


def _primary(values: pl.DataFrame, columns: Sequence[Sought]) -> int:
    floats = _floats(columns)
    return max(floats, key=lambda i: values[_FLOAT.format(i)].n_unique()) if len(floats) > 1 else floats[0]


def _pairs(
    probes: pl.DataFrame,
    values: pl.DataFrame,
    entity: Sequence[str],
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> Iterator[pl.DataFrame]:
    """Wrong rows with each value that equals theirs: ``_ID``, ``LIMIT`` and ``_GROUP``, some at a time."""
    if not _floats(columns):
        yield probes.join(values, on=_value_columns(entity, columns), nulls_equal=True).select(_ID, LIMIT, _GROUP)
        return
    classes = values.select(_CLASS, *_class_columns(entity, columns)).unique()
    near = probes.join(classes, on=_class_columns(entity, columns), nulls_equal=True)
    number = _FLOAT.format(_primary(values, columns))
    # Wider than the tolerance of any value that may be due, which the comparison below then holds exactly.
    reach = (tolerance.atol + tolerance.rtol * pl.col(number).abs()) * (1 + 4 * min(tolerance.rtol, 0.2))
    if tolerance.rtol >= 0.2:
        reach = pl.lit(float("inf"))
    near = near.with_columns((pl.col(number) - reach).alias("low"), (pl.col(number) + reach).alias("high"))
    ordered = values.select(_CLASS, number, pl.col(_GROUP).cast(pl.Int64).alias(_PLACE)).sort(number)
    first = near.sort("low").join_asof(
        ordered, left_on="low", right_on=number, by=_CLASS, strategy="forward", check_sortedness=False, suffix="_due"
    )
    last = near.sort("high").join_asof(
        ordered, left_on="high", right_on=number, by=_CLASS, strategy="backward", check_sortedness=False, suffix="_due"
    )
    spans = (
        first.select(_ID, LIMIT, pl.col(_PLACE).alias("first"))
        .join(last.select(_ID, pl.col(_PLACE).alias("last")), on=_ID)
        .filter(pl.col("first") <= pl.col("last"))
        .with_columns((pl.col("last") - pl.col("first") + 1).alias("count"))
    )
    start = 0
    ends = spans["count"].cum_sum()
    while start < spans.height:
        done = 0 if start == 0 else int(ends[start - 1])
        stop = max(int(ends.search_sorted(done + CHUNK, side="right")), start + 1)
        part = spans.slice(start, stop - start)
        pairs = part.select(
            _ID, LIMIT, pl.int_ranges("first", pl.col("last") + 1, dtype=pl.Int64).alias(_GROUP)
        ).explode(_GROUP)
        yield _equal_pairs(pairs, probes, values, columns, tolerance)
        start = stop


def _equal_pairs(
    pairs: pl.DataFrame,
    probes: pl.DataFrame,
    values: pl.DataFrame,
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> pl.DataFrame:
    """The pairs whose floats are all within the tolerance of what would be due."""
    kinds = (pl.Float64(), pl.Float64())
    for i in _floats(columns):
        name = _FLOAT.format(i)
        found = probes[name].gather(pairs[_ID])
        due = values[name].gather(pairs[_GROUP])
        same = pl.select(equal(pl.lit(found), pl.lit(due), kinds, tolerance)).to_series()
        pairs = pairs.filter(same)
    return pairs.select(_ID, LIMIT, pl.col(_GROUP).cast(pl.UInt32))


def _nearest(pairs: pl.DataFrame, grouped: pl.DataFrame) -> pl.DataFrame:
    """For each pair the nearest row of its value on either side of the limit, and their instants."""
    grouped = grouped.join(pairs.select(_GROUP).unique(), on=_GROUP, how="semi")
    line = pl.concat(
        [
            grouped.select(
                _GROUP, pl.col(KNOWN_INSTANT).alias("at"), _ROW, pl.lit(None, dtype=pl.UInt32).alias("pair")
            ),
            pairs.with_row_index("pair").select(
                _GROUP, pl.col(LIMIT).alias("at"), pl.lit(None, dtype=pl.UInt32).alias(_ROW), "pair"
            ),
        ]
    )
    # A row known exactly at the last usable instant is usable: it stands before the limits of that instant.
    line = line.with_columns(pl.col("pair").is_not_null().alias("limit")).sort(
        _GROUP, "at", "limit", maintain_order=True
    )
    known = pl.when(~pl.col("limit"))
    line = line.with_columns(
        known.then(pl.col(_GROUP)).forward_fill().alias("group_before"),
        known.then(pl.col("at")).forward_fill().alias("early"),
        pl.col(_ROW).forward_fill().alias(PAST_ROW),
        known.then(pl.col(_GROUP)).backward_fill().alias("group_after"),
        known.then(pl.col("at")).backward_fill().alias("late"),
        pl.col(_ROW).backward_fill().alias(FUTURE_ROW),
    ).filter("limit")
    before, after = pl.col("group_before") == pl.col(_GROUP), pl.col("group_after") == pl.col(_GROUP)
    return line.select(
        pairs[_ID].gather(line["pair"]).alias(_ID),
        pl.when(before).then(pl.col(PAST_ROW)).alias(PAST_ROW),
        pl.when(before).then(pl.col("early")).alias("early"),
        pl.when(after).then(pl.col(FUTURE_ROW)).alias(FUTURE_ROW),
        pl.when(after).then(pl.col("late")).alias("late"),
    )
