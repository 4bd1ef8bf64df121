"""Feature rows of two runs, compared as multisets.

Takes two frames of identifying columns and values, gives the rows in which they differ. Knows nothing of sources or
cutoffs. The order of rows does not matter; floats are equal to 1e-9, of their own magnitude or of their column's
typical one (Float32 to 1e-5); null equals null, NaN equals NaN. Two runs over the same rows are held to 1e-14 (Float32
to 1e-6): the in-memory engine repeats its own sums to the bit, but groups may come in another order, and what is summed
over them then differs by its rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

__all__ = ["KIND", "LEFT", "RIGHT", "differences", "same_rows"]

#: Of a differing row: ``"changed"``, ``"missing"`` (left only) or ``"extra"`` (right only).
KIND: Final = "__tf_kind"
#: The columns of the values on either side.
LEFT: Final = "__tf_l{}"
RIGHT: Final = "__tf_r{}"
_NTH: Final = "__tf_nth"
_PLACE: Final = "__tf_place"
_ALL: Final = "__tf_all"
#: How far floats may be apart, of their magnitude: those of less data, and those of the same data again.
_CUT_OFF: Final[dict[type[pl.DataType], float]] = {pl.Float64: 1e-9, pl.Float32: 1e-5}
_AGAIN: Final[dict[type[pl.DataType], float]] = {pl.Float64: 1e-14, pl.Float32: 1e-6}
#: Rows that are paired one by one, in all; of more, the rows that differ in order differ.
_PAIRED: Final = 2_000


@dataclass(frozen=True)
class _Allowed:
    """How far a column's floats may be apart: a share of their magnitude, and of the column's typical one."""

    share: float
    scale: float = 0.0


def same_rows(left: pl.DataFrame, right: pl.DataFrame) -> bool:
    """Whether two frames of the same columns hold the same rows, in any order."""
    if left.schema != right.schema or left.height != right.height:
        return False
    one, other = (f.with_columns(pl.lit(0, dtype=pl.Int8).alias(_ALL)) for f in (left, right))
    return differences(one, other, [_ALL], left.columns, again=True).is_empty()


def differences(
    left: pl.DataFrame, right: pl.DataFrame, ids: Sequence[str], values: Sequence[str], *, again: bool = False
) -> pl.DataFrame:
    """The rows in which two frames differ as multisets.

    Args:
        left: Rows.
        right: Rows with the same columns.
        ids: Columns that say which row it is; compared exactly.
        values: Columns that are compared with a tolerance.
        again: Whether both were computed from the same rows, so that no more than rounding is allowed for.

    Returns:
        One row for each difference: ``ids``, :data:`KIND`, then for each value :data:`LEFT` and :data:`RIGHT` with its
        position (null on the side that has no such row), in the order of the left frame, extra rows last.
    """
    left, right = (_plain(f.select(*ids, *values)) for f in (left, right))
    allowed = {c: _allowed(left[c], right[c], _AGAIN if again else _CUT_OFF) for c in values}
    pairs = _in_place(left, right, ids)
    if pairs is None:
        pairs = _in_order(left, right, ids, values)
        unequal = pairs.filter(~_equal_rows(pairs, values, allowed))
    else:
        unequal = pairs.filter(~_equal_rows(pairs, values, allowed))
        if unequal.select(ids).is_duplicated().any():
            pairs = _in_order(*_sides(unequal, ids, values), ids, values)
            unequal = pairs.filter(~_equal_rows(pairs, values, allowed))
    return _regrouped(unequal, ids, values, allowed).select(*ids, KIND, *_value_columns(values))


def _value_columns(values: Sequence[str]) -> list[str]:
    return [side.format(i) for i in range(len(values)) for side in (LEFT, RIGHT)]


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Categories as text: their codes differ from run to run."""
    return frame.with_columns(
        pl.col(n).cast(pl.String) for n, d in frame.schema.items() if isinstance(d, pl.Categorical | pl.Enum)
    )


def _in_place(left: pl.DataFrame, right: pl.DataFrame, ids: Sequence[str]) -> pl.DataFrame | None:
    """Rows paired by position, where both sides have the same identities in the same order."""
    if left.height != right.height or not left.select(ids).equals(right.select(ids)):
        return None
    values = [c for c in left.columns if c not in ids]
    return left.select(
        *ids,
        pl.int_range(left.height).alias(_PLACE),
        pl.lit("changed").alias(KIND),
        *(pl.col(c).alias(LEFT.format(i)) for i, c in enumerate(values)),
    ).hstack([right[c].alias(RIGHT.format(i)) for i, c in enumerate(values)])


def _sides(pairs: pl.DataFrame, ids: Sequence[str], values: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The two frames that pairs were made of."""
    left, right = (
        pairs.select(*ids, *(pl.col(side.format(i)).alias(c) for i, c in enumerate(values))) for side in (LEFT, RIGHT)
    )
    return left, right


def _in_order(left: pl.DataFrame, right: pl.DataFrame, ids: Sequence[str], values: Sequence[str]) -> pl.DataFrame:
    """Rows of one identity paired in the order of their values; those without a partner alone."""
    sides = []
    for frame, name in ((left, LEFT), (right, RIGHT)):
        placed = frame.with_row_index(_PLACE)
        # Floats roughly first, so that rounding does not reorder rows that differ elsewhere.
        rough = [_rough(c, frame.schema[c]) for c in values if frame.schema[c] != pl.Object]
        exact = [c for c in values if frame.schema[c].is_float()]
        ordered = placed.sort([*ids, *rough, *exact], maintain_order=True)
        numbered = ordered.with_columns(pl.int_range(pl.len()).over(ids).alias(_NTH))
        sides.append(
            numbered.select(
                *ids,
                _NTH,
                pl.col(_PLACE).cast(pl.Int64).alias(f"{_PLACE}{name}"),
                *(pl.col(c).alias(name.format(i)) for i, c in enumerate(values)),
            )
        )
    one, other = sides
    joined = one.join(other, on=[*ids, _NTH], how="full", coalesce=True, nulls_equal=True)
    here, there = (pl.col(f"{_PLACE}{n}") for n in (LEFT, RIGHT))
    kind = pl.when(there.is_null()).then(pl.lit("missing")).when(here.is_null()).then(pl.lit("extra"))
    place = pl.when(here.is_null()).then(there + left.height).otherwise(here)
    return joined.with_columns(kind.otherwise(pl.lit("changed")).alias(KIND), place.alias(_PLACE)).sort(_PLACE)


def _rough(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name).round_sig_figs(6) if dtype.is_float() else pl.col(name)


def _equal_rows(pairs: pl.DataFrame, values: Sequence[str], allowed: Mapping[str, _Allowed]) -> pl.Series:
    equal = pairs[KIND] == "changed"
    for i, name in enumerate(values):
        equal &= _equal(pairs[LEFT.format(i)], pairs[RIGHT.format(i)], allowed[name])
    return equal


def _equal(left: pl.Series, right: pl.Series, allowed: _Allowed) -> pl.Series:
    if left.dtype == pl.Object:
        return pl.Series(
            [_same(a, b, allowed.share) for a, b in zip(left.to_list(), right.to_list(), strict=True)], dtype=pl.Boolean
        )
    exact = left.eq_missing(right)
    if exact.all() or not _holds_floats(left.dtype):
        return exact
    if left.dtype.is_float():
        near = _near(pl.lit(left.cast(pl.Float64)), pl.lit(right.cast(pl.Float64)), allowed)
        return exact | pl.select(near.fill_null(value=False)).to_series()
    different = exact.not_().arg_true()
    close = [
        _same(a, b, allowed.share)
        for a, b in zip(left.gather(different).to_list(), right.gather(different).to_list(), strict=True)
    ]
    return exact.scatter(different, close) if close else exact


def _near(left: pl.Expr, right: pl.Expr, allowed: _Allowed) -> pl.Expr:
    largest = pl.max_horizontal(left.abs(), right.abs())
    apart = allowed.share * (largest + allowed.scale)
    return (left.is_finite() & right.is_finite()) & ((left - right).abs() <= apart)


def _allowed(left: pl.Series, right: pl.Series, shares: Mapping[type[pl.DataType], float]) -> _Allowed:
    if left.dtype.is_float():
        return _Allowed(shares.get(left.dtype.base_type(), shares[pl.Float64]), _scale(left, right))
    return _Allowed(shares[pl.Float64])


def _scale(left: pl.Series, right: pl.Series) -> float:
    """The median magnitude of a column's values, noughts aside: what rounding of sums may be measured by."""
    both = pl.concat([left, right]).cast(pl.Float64).abs()
    median = both.filter(both.is_finite() & (both > 0)).median()
    return float(median) if isinstance(median, float) else 0.0


def _holds_floats(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.List | pl.Array):
        return _holds_floats(dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return any(_holds_floats(f.dtype) for f in dtype.fields)  # type: ignore[arg-type]
    return dtype.is_float()


def _same(left: Any, right: Any, share: float) -> bool:
    """Python values, nested ones member by member, floats to a share of their magnitude."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=share)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(v, right[k], share) for k, v in left.items())
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(_same(a, b, share) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def _regrouped(
    unequal: pl.DataFrame, ids: Sequence[str], values: Sequence[str], allowed: Mapping[str, _Allowed]
) -> pl.DataFrame:
    """Differing pairs, less the rows of one identity that equal another row of the other side.

    Values that are equal but for rounding may have been sorted apart.
    """
    if unequal.is_empty():
        return unequal
    several = unequal.filter(unequal.select(ids).is_duplicated())
    if several.is_empty() or several.height > _PAIRED:
        return unequal
    alone = unequal.filter(unequal.select(ids).is_unique())
    kept = [alone, *(_unpaired(group, values, allowed) for group in several.partition_by(ids, maintain_order=True))]
    return pl.concat(kept).sort(_PLACE)


def _unpaired(group: pl.DataFrame, values: Sequence[str], allowed: Mapping[str, _Allowed]) -> pl.DataFrame:
    lefts = group.filter(pl.col(KIND) != "extra")
    rights = group.filter(pl.col(KIND) != "missing")
    places = pl.int_range(rights.height, eager=True)
    free = places >= 0
    left_over: list[int] = []
    for row in range(lefts.height):
        match = free
        for i, name in enumerate(values):
            mine = lefts[LEFT.format(i)].new_from_index(row, rights.height)
            match = match & _equal(mine, rights[RIGHT.format(i)], allowed[name])
        found = match.arg_max() if match.any() else None
        if found is None:
            left_over.append(row)
        else:
            free = free & (places != found)
    if free.all():
        return group
    others = free.arg_true().to_list()
    both = min(len(left_over), len(others))
    left_columns = [LEFT.format(i) for i in range(len(values))]
    right_columns = [RIGHT.format(i) for i in range(len(values))]
    names = group.columns
    parts = [
        lefts[left_over[:both]].drop(right_columns).hstack(rights[others[:both]].select(right_columns)).select(names),
        lefts[left_over[both:]].with_columns(
            pl.lit("missing").alias(KIND), *(pl.lit(None, dtype=group.schema[c]).alias(c) for c in right_columns)
        ),
        rights[others[both:]].with_columns(
            pl.lit("extra").alias(KIND), *(pl.lit(None, dtype=group.schema[c]).alias(c) for c in left_columns)
        ),
    ]
    return pl.concat([p.with_columns(pl.col(KIND).cast(pl.String)) for p in parts])
