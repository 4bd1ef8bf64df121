"""One number for an entity and values: a wrong row and a row that carries its values always share one.

Takes the wrong rows or a feature's rows, gives 64-bit keys. What shares a key need not be equal: the search compares.
Floats enter as the stretch of numbers they lie in, many times as wide as the tolerance, so that a value sought has the
key of its own stretch, and of the next where it lies at the border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from timefence_pl.leakage.equality import Tolerance, exact_form, is_float_like

__all__ = ["ID", "KEY", "Sought", "float_columns", "one_key", "reach", "row_keys", "sought_keys"]

#: The number of a wrong row; the key of a row.
ID: Final = "__tf_id"
KEY: Final = "__tf_value_key"
_LOW: Final = "__tf_low{}"
_HIGH: Final = "__tf_high{}"
#: Relative tolerances below this are taken for this one, in the width of stretches.
_FINEST: Final = 2.0**-44
#: From this relative tolerance on anything may equal anything.
_ANY: Final = 0.2
#: A stretch is as wide as so many tolerances, as a power of two.
_WIDTH: Final = 5


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


def float_columns(columns: Sequence[Sought]) -> list[int]:
    """The places of the columns that are compared within the tolerance."""
    return [i for i, c in enumerate(columns) if is_float_like(*c.types)]


def reach(number: pl.Expr, tolerance: Tolerance) -> pl.Expr:
    """How far from a number found the numbers due may lie: more than the tolerance of any of them."""
    if tolerance.rtol >= _ANY:
        return pl.lit(float("inf"))
    # More by what the relative part of a greater number adds, and by what floats are rounded by.
    return (tolerance.atol + tolerance.rtol * number.abs()) * (1 + 4 * tolerance.rtol + 1e-9)


def row_keys(rows: pl.DataFrame, entity: Sequence[str], columns: Sequence[Sought], tolerance: Tolerance) -> pl.Series:
    """The key of each of a feature's rows."""
    key = _exact_key(entity, columns, found=False)
    for i in float_columns(columns):
        key = _mixed(key, _stretch(pl.col(columns[i].own).cast(pl.Float64), tolerance))
    return rows.select(key.alias(KEY)).to_series()


def sought_keys(
    wrong: pl.DataFrame, entity: Sequence[str], columns: Sequence[Sought], tolerance: Tolerance
) -> tuple[pl.DataFrame, pl.Series]:
    """The keys under which the values of wrong rows may be found.

    Returns:
        ``ID`` and ``KEY``, several for some rows; and the numbers of rows whose values lie in too many stretches.
    """
    floats = float_columns(columns)
    ends = [e for i in floats for e in _ends(i, pl.col(columns[i].found).cast(pl.Float64), tolerance)]
    keys = wrong.with_row_index(ID).select(ID, _exact_key(entity, columns, found=True).alias(KEY), *ends)
    if not floats:
        return keys, pl.Series(ID, [], dtype=pl.UInt32)
    many = keys.select(
        pl.any_horizontal(pl.col(_HIGH.format(i)) > pl.col(_LOW.format(i)) + 1 for i in floats)
    ).to_series()
    far = keys[ID].filter(many)
    keys = keys.filter(~many) if len(far) else keys
    for i in floats:
        low, high = pl.col(_LOW.format(i)), pl.col(_HIGH.format(i))
        border = keys.filter(low != high)
        keys = pl.concat([keys.with_columns(_mixed(pl.col(KEY), end)) for keys, end in ((keys, low), (border, high))])
    return keys.select(ID, KEY), far


def one_key(columns: Sequence[pl.Expr]) -> pl.Expr:
    """One key of several columns."""
    key: pl.Expr = pl.lit(0, dtype=pl.UInt64)
    for column in columns:
        key = _mixed(key, column)
    return key.alias(KEY)


def _exact_key(entity: Sequence[str], columns: Sequence[Sought], *, found: bool) -> pl.Expr:
    """The key of all that is compared exactly; nested values have none of their own."""
    parts = [pl.col(e) for e in entity]
    for c in columns:
        name, dtype, other = (c.found, *c.types) if found else (c.own, c.types[1], c.types[0])
        if not is_float_like(*c.types) and not dtype.is_nested():
            form = exact_form(pl.col(name), dtype, other)
            parts.append(form.cast(pl.String) if isinstance(dtype, pl.Categorical | pl.Enum) else form)
    return one_key(parts)


def _mixed(key: pl.Expr, column: pl.Expr) -> pl.Expr:
    """A key with one column more."""
    return (key * pl.lit(0x9E3779B97F4A7C15, dtype=pl.UInt64)) ^ column.hash(0x1CE4E5B9)


def _stretch(number: pl.Expr, tolerance: Tolerance) -> pl.Expr:
    """The number of the stretch a float lies in, which never falls as floats rise; one each for NaN and null.

    Stretches are of equal length in the bits of ``|number| + atol / rtol``, in which the tolerance is relative alone.
    """
    rtol = max(tolerance.rtol, _FINEST)
    base = tolerance.atol / rtol
    size = 1 << min(max(math.ceil(math.log2(rtol)) + 53 + _WIDTH, 0), 62)
    bits = (number.abs() + base).reinterpret(dtype=pl.Int64)
    first = int(pl.select(pl.lit(base, dtype=pl.Float64).reinterpret(dtype=pl.Int64)).item()) // size
    place = bits // size - first
    # Far from what any number has, and from one another.
    return pl.when(number.is_nan()).then(1 << 62).when(number < 0).then(-place).otherwise(place).fill_null(-(1 << 62))


def _ends(i: int, number: pl.Expr, tolerance: Tolerance) -> list[pl.Expr]:
    """The first and last stretch that numbers equal to one found may lie in."""
    far = pl.when(number.is_finite()).then(reach(number, tolerance)).otherwise(0.0)
    return [
        _stretch(number - far, tolerance).alias(_LOW.format(i)),
        _stretch(number + far, tolerance).alias(_HIGH.format(i)),
    ]
