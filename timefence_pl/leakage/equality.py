"""When a value found equals the value due.

Takes two columns as expressions with their types, gives a Boolean expression without nulls. Null equals null and NaN
equals NaN, nothing else; integers, strings and times are equal exactly, whatever their widths and units; floats
within a tolerance, ``|found - due| <= atol + rtol * |due|``. Knows nothing of labels or features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from timefence_pl.errors import TimefenceConfigError, message

__all__ = ["Tolerance", "comparable", "differ", "equal", "exact_form", "is_float_like", "tolerance_of"]

_NANOSECONDS: Final = {"ms": 1_000_000, "us": 1_000, "ns": 1}
_DAY: Final = 86_400_000_000_000


@dataclass(frozen=True)
class Tolerance:
    """How far floats may lie apart: ``atol + rtol * |due|``."""

    atol: float
    rtol: float


def tolerance_of(atol: object, rtol: object) -> Tolerance:
    """Check tolerances.

    Raises:
        TimefenceConfigError: If one is no finite number of at least 0.
    """
    for name, value in (("atol", atol), ("rtol", rtol)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < float("inf"):  # type: ignore[operator]
            raise TimefenceConfigError(
                message(f"{name}={value!r} is not a tolerance.", fix=f"Give a number of at least 0, as in {name}=1e-9.")
            )
    return Tolerance(float(atol), float(rtol))  # type: ignore[arg-type]


def comparable(found: pl.DataType, due: pl.DataType) -> bool:
    """Whether values of two types can be equal by value."""
    if pl.Null in (found, due):
        return True
    kinds = _kind(found), _kind(due)
    if kinds[0] == kinds[1] == "nested":
        return _nested_comparable(found, due)
    numbers = {"integer", "float", "decimal"}
    if set(kinds) <= numbers or kinds[0] == kinds[1] != "other":
        return True
    return set(kinds) == {"date", "naive"}


def is_float_like(found: pl.DataType, due: pl.DataType) -> bool:
    """Whether two types are compared within the tolerance."""
    return _kind(due) == "float" or (_kind(due) == "decimal" and _kind(found) == "float")


def equal(found: pl.Expr, due: pl.Expr, types: tuple[pl.DataType, pl.DataType], tolerance: Tolerance) -> pl.Expr:
    """Whether values are equal; false everywhere for types that do not compare, unless both are null.

    Args:
        found: The values found.
        due: The values due.
        types: Their types.
        tolerance: For floats.
    """
    both_null = found.is_null() & due.is_null()
    if pl.Null in types or not comparable(*types):
        return both_null
    if _kind(types[0]) == "nested":

        def compare(columns: Sequence[pl.Series]) -> pl.Series:
            return _nested_equal(columns[0], columns[1], tolerance)

        return pl.map_batches([found, due], compare, return_dtype=pl.Boolean, is_elementwise=True)
    if is_float_like(*types):
        one, two = found.cast(pl.Float64), due.cast(pl.Float64)
        near = (one - two).abs() <= tolerance.atol + tolerance.rtol * two.abs()
        # The difference to an infinity is within any relative tolerance of it.
        same = (one == two) | (one.is_finite() & two.is_finite() & near)
        return same.fill_null(value=False) | both_null
    forms = exact_form(found, *types), exact_form(due, types[1], types[0])
    return forms[0].eq_missing(forms[1])


def differ(found: pl.Series, due: pl.Series, tolerance: Tolerance) -> pl.Series:
    """Whether values differ, for columns in memory: the tolerance is asked only of those that are not the same.

    Args:
        found: The values found.
        due: The values due.
        tolerance: For floats.
    """
    types = found.dtype, due.dtype
    if types[0] != types[1] or types[0] == pl.Null or types[0].is_nested() or not comparable(*types):
        return _unequal(found, due, tolerance)
    apart = found.ne_missing(due)
    if not is_float_like(*types) or not apart.any():
        return apart
    near = ~_unequal(found.filter(apart), due.filter(apart), tolerance)
    if not near.any():
        return apart
    rows = pl.int_range(len(apart), eager=True).filter(apart)
    return apart.scatter(rows.filter(near), values=False)


def exact_form(column: pl.Expr, dtype: pl.DataType, other: pl.DataType) -> pl.Expr:
    """The column in a form whose values are equal to those of the other's form where the two columns' are.

    Args:
        column: A column of ``dtype``.
        dtype: Its type.
        other: The type it is to be compared with exactly.
    """
    if dtype == other or pl.Null in (dtype, other):
        return column.cast(other) if dtype == pl.Null else column
    kind, far = _kind(dtype), _kind(other)
    if kind == "text":
        return column.cast(pl.String)
    if kind == "integer" and far == "float":  # a float column holds an integer as the nearest it has
        return column.cast(other)
    if "float" in (kind, far) and {kind, far} <= {"float", "decimal"}:  # as the narrower of the two holds it
        wide = column.cast(pl.Float64)
        return wide.cast(pl.Float32) if pl.Float32 in (dtype, other) else wide
    if kind == far == "nested":
        return _nested_form(column, dtype, other)
    if {kind, far} <= {"integer", "decimal"} and "decimal" in (kind, far):  # the digits that both are written with
        text = column.cast(pl.String)
        return text.str.strip_chars_end("0").str.strip_chars_end(".") if getattr(dtype, "scale", 0) else text
    if kind == far == "integer":
        return column.cast(pl.String) if pl.UInt128 in (dtype, other) else column.cast(pl.Int128)
    if kind in ("date", "naive", "aware", "duration"):
        size = _DAY if dtype == pl.Date else _NANOSECONDS[dtype.time_unit]  # type: ignore[attr-defined]
        return column.to_physical().cast(pl.Int128) * pl.lit(size, dtype=pl.Int128)
    return column


def _unequal(found: pl.Series, due: pl.Series, tolerance: Tolerance) -> pl.Series:
    compared = equal(pl.col("found"), pl.col("due"), (found.dtype, due.dtype), tolerance)
    return pl.DataFrame({"found": found, "due": due}).select((~compared).alias("differ")).to_series()


def _nested_form(column: pl.Expr, dtype: Any, other: Any) -> pl.Expr:
    """The same for comparable nested types: lists for arrays and maps too, and the fields of structs in one order."""
    if isinstance(dtype, pl.Struct):
        types = {f.name: f.dtype for f in other.fields}
        fields = sorted(dtype.fields, key=lambda f: f.name)
        forms = [exact_form(column.struct.field(f.name), f.dtype, types[f.name]).alias(f.name) for f in fields]  # type: ignore[arg-type]
        return pl.when(column.is_not_null()).then(pl.struct(forms))
    inner = _inner(dtype)
    return column.cast(pl.List(inner)).list.eval(exact_form(pl.element(), inner, _inner(other)))


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_integer() or dtype == pl.Boolean:
        return "integer"
    if dtype.is_float():
        return "float"
    if dtype.is_decimal():
        return "decimal"
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "text"
    if isinstance(dtype, pl.Datetime):
        return "naive" if dtype.time_zone is None else "aware"
    if dtype == pl.Date:
        return "date"
    if isinstance(dtype, pl.Duration):
        return "duration"
    if dtype.is_nested():
        return "nested"
    return "other" if dtype in (pl.Object, pl.Unknown) else str(dtype)


def _inner(dtype: Any) -> pl.DataType:
    """The type of a list's or an array's elements; a map is a list of its entries."""
    if isinstance(dtype, pl.Map):
        return pl.Struct({"key": dtype.key, "value": dtype.value})
    inner: pl.DataType = dtype.inner
    return inner


def _nested_comparable(found: Any, due: Any) -> bool:
    if isinstance(found, pl.Struct) or isinstance(due, pl.Struct):
        if not (isinstance(found, pl.Struct) and isinstance(due, pl.Struct)):
            return False
        one, two = ({f.name: f.dtype for f in s.fields} for s in (found, due))
        return set(one) == set(two) and all(comparable(one[n], two[n]) for n in one)  # type: ignore[arg-type]
    return comparable(_inner(found), _inner(due))


def _nested_equal(found: pl.Series, due: pl.Series, tolerance: Tolerance) -> pl.Series:
    """The same for lists, arrays, maps and structs, part by part."""
    types = found.dtype, due.dtype
    if _kind(types[0]) != "nested":
        frame = pl.DataFrame({"found": found, "due": due})
        return frame.select(equal(pl.col("found"), pl.col("due"), types, tolerance).alias("equal")).to_series()
    same = found.is_null() == due.is_null()
    both = found.is_not_null() & due.is_not_null()
    if isinstance(types[0], pl.Struct):
        for field in types[0].fields:
            parts = _nested_equal(found.struct.field(field.name), due.struct.field(field.name), tolerance)
            same &= parts | ~both
        return same
    one, two = (s.cast(pl.List(_inner(s.dtype))) for s in (found, due))
    same &= ~both | (one.list.len() == two.list.len()).fill_null(value=True)
    rows = pl.DataFrame({"row": pl.int_range(len(one), eager=True), "found": one, "due": two}).filter(
        same & both & (one.list.len() > 0)
    )
    if not rows.height:
        return same
    flat = rows.explode("found", "due")
    parts = _nested_equal(flat["found"], flat["due"], tolerance)
    wrong = flat["row"].filter(~parts).unique()
    different: pl.Series = pl.repeat(value=False, n=len(one), eager=True, dtype=pl.Boolean)
    marked: pl.Series = different.scatter(wrong, True)  # noqa: FBT003 - the value
    return same & ~marked
