"""Wrong values that many rows may carry: compared with the distinct values of their entity, not with each row.

Takes wrong rows and the rows of their entities in match order, gives the places of the nearest rows that carry the
values. Knows nothing of limits: of each wrong row it is known how many rows were usable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from timefence_pl.leakage.equality import Tolerance, equal, exact_form, is_float_like
from timefence_pl.leakage.value_keys import ID, Sought, float_columns, reach

__all__ = ["AFTER", "BEFORE", "by_groups"]

#: The places of the nearest row with the value that was known too late, and in time.
AFTER: Final = "__tf_after"
BEFORE: Final = "__tf_before"

_USABLE: Final = "__tf_usable"
_AT: Final = "__tf_group_at"
_GROUP: Final = "__tf_group"
_EXACT: Final = "__tf_exact{}"
_FLOAT: Final = "__tf_float{}"
_KIND: Final = "__tf_float_kind{}"
_CLASS: Final = "__tf_class"
_PLACE: Final = "__tf_place"
_FOUND: Final = {ID: pl.UInt32, _GROUP: pl.UInt32, AFTER: pl.UInt32, BEFORE: pl.UInt32}
#: Pairs of wrong rows and values that are held at once.
CHUNK: Final = 2_000_000
#: A group's places, in one number with it.
_PLACES: Final = 1 << 32


def by_groups(
    wrong: pl.DataFrame,
    usable: pl.Series,
    rows: pl.DataFrame,
    at: pl.Series,
    entity: Sequence[str],
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> pl.DataFrame:
    """Find the nearest rows that carry wrong values.

    Args:
        wrong: The entity's columns and the values found.
        usable: For each of these how many of ``rows``, from the first, were known in time, whoever they are of.
        rows: The rows: the entity's columns and their own.
        at: By what ``rows`` are ordered; where it is the same, values are.
        entity: The columns that tell entities, none of them null.
        columns: The columns that must be equal, all together.
        tolerance: For floats.

    Returns:
        ``ID``, the number of a wrong row, and ``AFTER`` and ``BEFORE``, places in ``rows``, or null.
    """
    probes = wrong.select(*entity, *_forms(columns, found=True)).with_row_index(ID)
    own = rows.select(*entity, *_forms(columns, found=False))
    values = _distinct(own, entity, columns)
    on = _value_columns(entity, columns)
    grouped = own.with_row_index(_PLACE).join(values, on=on, nulls_equal=True).select(_PLACE, _GROUP)
    places = grouped.select(_in_group(pl.col(_GROUP), pl.col(_PLACE)).alias(_PLACE)).to_series().sort()
    pairs = _pairs(probes, values, entity, columns, tolerance)
    nearest = [pl.DataFrame(schema=_FOUND), *(_nearest(some, usable, places) for some in pairs)]
    found = pl.concat(nearest)
    if found[ID].n_unique() == found.height:
        return found.drop(_GROUP)
    # A value may lie within the tolerance of several: the nearest row of all of them counts.
    sides = []
    for side, last in ((AFTER, False), (BEFORE, True)):
        some = found.drop_nulls(side)
        ordered = some.with_columns(at.gather(some[side]).alias(_AT)).sort(_AT, _GROUP, descending=last)
        sides.append(ordered.unique(ID, keep="first", maintain_order=True).select(ID, side))
    return sides[0].join(sides[1], on=ID, how="full", coalesce=True)


def _in_group(group: pl.Expr, place: pl.Expr) -> pl.Expr:
    return group.cast(pl.Int64) * _PLACES + place.cast(pl.Int64)


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


def _class_columns(entity: Sequence[str], columns: Sequence[Sought]) -> list[str]:
    """What must be equal without any tolerance."""
    floats = float_columns(columns)
    return [*entity, *(_KIND.format(i) if i in floats else _EXACT.format(i) for i in range(len(columns)))]


def _value_columns(entity: Sequence[str], columns: Sequence[Sought]) -> list[str]:
    return [*_class_columns(entity, columns), *(_FLOAT.format(i) for i in float_columns(columns))]


def _distinct(own: pl.DataFrame, entity: Sequence[str], columns: Sequence[Sought]) -> pl.DataFrame:
    """The feature's distinct values, numbered; with floats by class and the float with the most distinct values."""
    values = own.select(_value_columns(entity, columns)).unique()
    if not float_columns(columns):
        return values.with_row_index(_GROUP)
    classes = values.select(_class_columns(entity, columns)).unique().with_row_index(_CLASS)
    values = values.join(classes, on=_class_columns(entity, columns), nulls_equal=True)
    return values.sort(_CLASS, _FLOAT.format(_primary(values, columns))).with_row_index(_GROUP)


def _primary(values: pl.DataFrame, columns: Sequence[Sought]) -> int:
    floats = float_columns(columns)
    return max(floats, key=lambda i: values[_FLOAT.format(i)].n_unique()) if len(floats) > 1 else floats[0]


def _pairs(
    probes: pl.DataFrame,
    values: pl.DataFrame,
    entity: Sequence[str],
    columns: Sequence[Sought],
    tolerance: Tolerance,
) -> Iterator[pl.DataFrame]:
    """Wrong rows with each value that equals theirs: ``ID`` and ``_GROUP``, some at a time."""
    if not float_columns(columns):
        yield probes.join(values, on=_value_columns(entity, columns), nulls_equal=True).select(ID, _GROUP)
        return
    classes = values.select(_CLASS, *_class_columns(entity, columns)).unique()
    near = probes.join(classes, on=_class_columns(entity, columns), nulls_equal=True)
    number = _FLOAT.format(_primary(values, columns))
    far = reach(pl.col(number), tolerance)
    near = near.with_columns((pl.col(number) - far).alias("low"), (pl.col(number) + far).alias("high"))
    ordered = values.select(_CLASS, number, pl.col(_GROUP).cast(pl.Int64).alias(_PLACE)).sort(number)
    first = near.sort("low").join_asof(
        ordered, left_on="low", right_on=number, by=_CLASS, strategy="forward", check_sortedness=False, suffix="_due"
    )
    last = near.sort("high").join_asof(
        ordered, left_on="high", right_on=number, by=_CLASS, strategy="backward", check_sortedness=False, suffix="_due"
    )
    spans = (
        first.select(ID, pl.col(_PLACE).alias("first"))
        .join(last.select(ID, pl.col(_PLACE).alias("last")), on=ID)
        .filter(pl.col("first") <= pl.col("last"))
        .with_columns((pl.col("last") - pl.col("first") + 1).alias("count"))
    )
    start = 0
    ends = spans["count"].cum_sum()
    while start < spans.height:
        done = 0 if start == 0 else int(ends[start - 1])
        stop = max(int(ends.search_sorted(done + CHUNK, side="right")), start + 1)
        part = spans.slice(start, stop - start)
        pairs = part.select(ID, pl.int_ranges("first", pl.col("last") + 1, dtype=pl.Int64).alias(_GROUP)).explode(
            _GROUP
        )
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
    for i in float_columns(columns):
        name = _FLOAT.format(i)
        found = probes[name].gather(pairs[ID])
        due = values[name].gather(pairs[_GROUP])
        same = pl.select(equal(pl.lit(found), pl.lit(due), kinds, tolerance)).to_series()
        pairs = pairs.filter(same)
    return pairs.select(ID, pl.col(_GROUP).cast(pl.UInt32))


def _nearest(pairs: pl.DataFrame, usable: pl.Series, places: pl.Series) -> pl.DataFrame:
    """For each pair the nearest row of its value on either side of the last usable one."""
    asked = pairs.with_columns(usable.gather(pairs[ID]).alias(_USABLE))
    asked = asked.select(ID, _GROUP, _in_group(pl.col(_GROUP), pl.col(_USABLE)).alias(_PLACE)).sort(_PLACE)
    at = places.search_sorted(asked[_PLACE], side="left").cast(pl.Int64)
    after = places.gather(pl.select(pl.when(at < len(places)).then(at)).to_series())
    before = places.gather(pl.select(pl.when(at > 0).then(at - 1)).to_series())
    group = asked[_GROUP].cast(pl.Int64)
    return asked.select(
        ID,
        _GROUP,
        *(
            pl.when(found // _PLACES == group).then(found % _PLACES).cast(pl.UInt32).alias(name)
            for name, found in ((AFTER, after), (BEFORE, before))
        ),
    )
