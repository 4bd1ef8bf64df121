"""Expressions as plain values that can be kept and made again, because they hold no code.

Takes an expression, gives nested dictionaries, lists and scalars that JSON holds; and back. What is made again is built
from names that are listed here: none of them leads Polars to unpickle, to load a library, or to read a file. So values
that come from a file anyone could have written can be no more than an expression. The form is that of one version of
Polars.
"""

from __future__ import annotations

import io
import struct
from typing import Any, Final

import polars as pl

from timefence_pl.fingerprint.keys import Uncacheable
from timefence_pl.fingerprint.msgpack import ByteArray, UnknownLayoutError, unpack

__all__ = ["expression_of", "plain_expression"]

#: Nodes, functions and their fields. Left out on purpose: Python functions (``AnonymousFunction``, ``OpaquePython``,
#: ``Map``), plugins (``FfiPlugin``), series, and whatever is not known. A name can only hold something as the key of a
#: dictionary, so that keys are all there is to check.
_KNOWN: Final = frozenset(
    """
    Agg Alias All Any AnyOf ArgSort ArrayExpr Backward BinaryExpr Bitwise Boolean Business ByDType ByIndex ByName Cast
    CastTimeUnit Clip Column ConcatHorizontal ConcatVertical Contains ContainsAny ConvertTimeZone Correlation Count
    CountMatches Covariance CumCount CumMax CumMin CumProd CumSum Cut Date Datetime Decimal Diff Difference Duration Dyn
    Entropy Eval EwmMean EwmMeanBy EwmStd EwmVar Explode Extract FieldByName FillNullWithStrategy Filter Find First Float
    Float32 Forward Function Gather Get Hash Hist Implode Int Int32 Int64 IntRange Interpolate IsBetween IsBusinessDay
    IsIn Join KeepName Kurtosis Last ListExpr Literal Matches Max Mean MeanHorizontal Median Min Mode NUnique Null Over
    PadEnd PadStart Pow Prefix QCut Quantile Range Rank RenameAlias Replace ReplaceStrict ReplaceTimeZone Rolling
    RollingExpr RollingExprBy Round RoundSF Scalar SearchSorted Selector Skew Slice Sort SortBy Split SplitExact SplitN
    StartsWith Std String StringExpr Strptime StructExpr Suffix Sum SumHorizontal TemporalExpr Ternary Time TimeStamp
    ToDecimal ToInteger ToString TopK TotalDays TotalHours TotalMicroseconds TotalMilliseconds TotalMinutes
    TotalNanoseconds TotalSeconds Trigonometry Truncate Unique ValueCounts Var
    adjust allow_duplicates alpha ascii_case_insensitive base bias bin_count breaks by cache center closed closed_window
    days ddof decimals delimiter descending digits dtype empty_as_null evaluation exact expr falsy fill_char fn_params
    format fractional function function_by half_life has_max has_min idx ignore_nulls include_breaks include_category
    include_breakpoint include_nulls inclusive index_column indices inner input is_fraction keep_nulls labels left left_closed length limit
    literal maintain_order mapping method min_periods mode months multithreaded n name names negative normalize nsecs
    null_behavior null_on_oob nulls_equal nulls_last offset op options order_by parallel parsed_int partition_by period
    predicate prob probs propagate_nans returns_scalar reverse right scale seed side sort sort_options step strict truthy variant week_mask
    weeks weights window_size
    """.split()  # noqa: SIM905 - two hundred quotes hide the words
)
_BYTES: Final = "$int128"
_WIDE: Final = 16
_DEEPEST: Final = 256


def plain_expression(expr: pl.Expr) -> Any:
    """An expression as plain values.

    Raises:
        Uncacheable: If it holds a function, a plugin, a series, or anything that is not listed here.

    Examples:
        >>> plain_expression(pl.col("x"))
        {'Column': 'x'}
    """
    try:
        data = bytes(expr.meta.serialize())
        value, end = unpack(data)
    except (pl.exceptions.PolarsError, UnknownLayoutError, TypeError, ValueError) as error:
        raise Uncacheable(f"the expression {str(expr)[:80]} cannot be kept ({type(error).__name__})") from error
    if end != len(data):
        raise Uncacheable(f"the expression {str(expr)[:80]} has a layout that is not known")
    return _plain(value, 0)


def expression_of(value: Any) -> pl.Expr:
    """The expression that plain values spell; nothing in them is ever run or unpickled.

    Raises:
        Uncacheable: If they spell anything else.
    """
    encoded = bytearray()
    _encode(value, encoded, 0)
    try:
        return pl.Expr.deserialize(io.BytesIO(bytes(encoded)))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise Uncacheable(f"the values spell no expression ({str(error).splitlines()[0][:120]})") from error


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise Uncacheable("the expression is nested too deeply")
    if isinstance(value, dict):
        return {_known(k): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, bytes | ByteArray):
        if len(value) != _WIDE:
            raise Uncacheable("the expression holds a series or a function")
        return {_BYTES: bytes(value).hex()}
    if isinstance(value, list | tuple):
        return [_plain(v, depth + 1) for v in value]
    return value


def _known(name: object) -> str:
    if name not in _KNOWN:
        raise Uncacheable(f"the expression has {str(name)[:60]!r}, which cannot be kept as plain values")
    return str(name)


def _encode(value: Any, out: bytearray, depth: int) -> None:
    """MessagePack of checked values: dictionaries of known keys, lists, scalars."""
    if depth > _DEEPEST:
        raise Uncacheable("the expression is nested too deeply")
    if value is None or isinstance(value, bool):
        out.append({None: 0xC0, False: 0xC2, True: 0xC3}[value])
    elif isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise Uncacheable("the expression holds a number that is too large")
        out += struct.pack(">Bq" if value < 0 else ">BQ", 0xD3 if value < 0 else 0xCF, value)
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, str):
        data = value.encode()
        out += struct.pack(">BI", 0xDB, len(data)) + data
    elif isinstance(value, dict) and value.keys() == {_BYTES}:
        digits = str(value[_BYTES])
        if len(digits) != 2 * _WIDE or digits.strip("0123456789abcdef"):
            raise Uncacheable("the expression holds a broken number")
        out += struct.pack(">BB", 0xC4, _WIDE) + bytes.fromhex(digits)
    elif isinstance(value, dict):
        out += struct.pack(">BI", 0xDF, len(value))
        for key, inner in value.items():
            _encode(_known(key), out, depth + 1)
            _encode(inner, out, depth + 1)
    elif isinstance(value, list):
        out += struct.pack(">BI", 0xDD, len(value))
        for inner in value:
            _encode(inner, out, depth + 1)
    else:
        raise Uncacheable(f"the expression holds a {type(value).__name__}")
