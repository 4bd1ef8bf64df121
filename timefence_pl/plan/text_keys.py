"""Texts of one shape as numbers: keys that need no hash.

Takes columns of texts, gives what all of them share, and for texts that share it numbers, equal exactly where the texts
are. Knows nothing of times, entities or packing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Final, Literal

import polars as pl

__all__ = ["TextShape", "text_shape"]

_END: Final = 8
#: Bytes that are read as one integer, where a text's length allows.
_LANES: Final[dict[int, pl.DataType]] = {4: pl.UInt32(), 2: pl.UInt16(), 1: pl.UInt8()}
#: More integers a text than this are dearer than comparing all but the last eight bytes as they are.
_MOST_LANES: Final = 6
_MOST_DIGITS: Final = 16
_NUMBER: Final = "number"


@dataclass(frozen=True)
class TextShape:
    """What texts share: their length in bytes, and all bytes but some digits, or but the last eight bytes.

    Attributes:
        pattern: A text of the shape, with ``0`` for each digit that differs.
        digits: The positions of these digits; None where the last eight bytes may be anything.
    """

    pattern: bytes
    digits: tuple[int, ...] | None

    def numbers(self, texts: pl.Series) -> pl.Series:
        """A number (Int64) for each text, equal exactly where texts are and in their order; else null.

        Digits are read as one decimal number, so that names that a program counts up get dense numbers.

        Args:
            texts: Of any type that holds texts; nulls and texts of another shape have no number.
        """
        data = _binary(texts)
        if self.digits is None:
            end = data.bin.tail(_END).bin.reinterpret(dtype=pl.UInt64, endianness="big")
            return _where(_begins(data, self.pattern, _END), (end ^ (1 << 63)).reinterpret(signed=True))
        cut = _Cut.of(self.pattern)
        lanes = cut.lanes(data)
        fits = [_begins(data, self.pattern, len(self.pattern) - cut.start)] if cut.start else []
        fits += [lanes[0].is_not_null()] if lanes[0].null_count() else []
        number = pl.lit(0, dtype=pl.Int64)
        for lane, at in zip(lanes, cut.places, strict=True):
            zeros = cut.constant(self.pattern, at)
            here = [d - at for d in self.digits if at <= d < at + cut.width]
            fits += _misfits(lane ^ zeros, here, cut.width)
            if here:
                read = _decimal(pl.col(str(at)) ^ zeros, cut.width).cast(pl.Int64)
                number = read if here[0] + at == self.digits[0] else number * 10**cut.width + read
        parts = pl.DataFrame({str(at): lane for at, lane in zip(cut.places, lanes, strict=True)})
        # A dozen steps of arithmetic: in pieces that stay in a core's cache they cost a third.
        numbers = parts.lazy().with_columns(number.alias(_NUMBER)).collect(engine=_engine(len(data)))[_NUMBER]
        return _where(reduce(and_, fits), numbers) if fits else numbers


def text_shape(texts: pl.Series) -> TextShape | None:
    """What texts share if all (but nulls) have one length, and differ in a few digits, or their last eight bytes, only.

    Args:
        texts: Of any type that holds texts.
    """
    data = _binary(texts.drop_nulls())
    if not len(data) or not len(data[0]):
        return None
    first: bytes = data[0]
    cut = _Cut.of(first)
    lanes = cut.lanes(data)
    if lanes[0].null_count() or (cut.start and not _begins(data, first, len(first) - cut.start).all()):
        return None
    digits: list[int] = []
    counted = True
    for lane, at in zip(lanes, cut.places, strict=True):
        bits = _bits(lane ^ cut.constant(first, at))
        here = [i for i, differ in enumerate(bits.to_bytes(cut.width, "little")) if differ]
        pattern = bytes(ord("0") if i in here else b for i, b in enumerate(first[at : at + cut.width]))
        counted = counted and not _misfits(lane ^ cut.constant(pattern, 0), here, cut.width)
        digits += [at + i for i in here]
    if counted and len({(d - cut.start) // cut.width for d in digits}) * cut.width <= _MOST_DIGITS:
        return TextShape(bytes(ord("0") if i in digits else b for i, b in enumerate(first)), tuple(digits))
    if len(first) >= _END and (not digits or digits[0] >= len(first) - _END):
        return TextShape(first[:-_END] + b"0" * _END, None)
    return None


@dataclass(frozen=True)
class _Cut:
    """Where texts of one length are cut into integers.

    Attributes:
        length: Of the texts.
        start: From which byte on they are cut; those before are compared.
        width: Bytes of an integer.
    """

    length: int
    start: int
    width: int

    @classmethod
    def of(cls, text: bytes) -> _Cut:
        length = len(text)
        width = next(w for w in _LANES if not length % w)
        if length // width <= _MOST_LANES or length <= _END:
            return cls(length, 0, width)
        return cls(length, length - _END, max(_LANES))

    @property
    def places(self) -> range:
        """Where each integer begins."""
        return range(self.start, self.length, self.width)

    def lanes(self, data: pl.Series) -> list[pl.Series]:
        """The integers of each text, one column a place; null for texts of another length."""
        if self.start:
            data = _where(data.bin.size() == self.length, data.bin.tail(_END))
        each = pl.Array(_LANES[self.width], len(self.places))
        cut = data.bin.reinterpret(dtype=each, endianness="little")
        if cut.null_count():
            return [cut.arr.get(i) for i in range(len(self.places))]
        flat = cut.reshape((-1,))
        return [flat.gather_every(len(self.places), i) for i in range(len(self.places))]

    def constant(self, text: bytes, at: int) -> int:
        """The integer that a text has at a place."""
        return int.from_bytes(text[at : at + self.width], "little")


def _engine(rows: int) -> Literal["streaming", "in-memory"]:
    """Which way costs less."""
    return "streaming" if rows >= 1 << 17 else "in-memory"


def _binary(texts: pl.Series) -> pl.Series:
    return (texts if texts.dtype == pl.String else texts.cast(pl.String)).cast(pl.Binary)


def _begins(data: pl.Series, text: bytes, but: int) -> pl.Series:
    """Whether each has the length and the beginning of a text, all but the last few bytes."""
    return (data.bin.size() == len(text)) & data.bin.starts_with(text[: len(text) - but])


def _where(fits: pl.Series, values: pl.Series) -> pl.Series:
    """The values where they fit, else null."""
    return values if fits.all() else pl.select(pl.when(pl.lit(fits)).then(pl.lit(values))).to_series()


def _misfits(differing: pl.Series, places: Sequence[int], width: int) -> list[pl.Series]:
    """Whether integers, less those of zeros, differ by digits in these bytes and nothing else; no column if all do."""
    nine, six, carry = (sum(bits << 8 * place for place in places) for bits in (0x0F, 0x06, 0x10))
    other = ~nine & ((1 << 8 * width) - 1)
    if not _bits(differing) & other and not (places and _bits(differing + six) & carry):
        return []
    return [((differing & other) == 0) & (((differing + six) & carry) == 0)]


def _bits(values: pl.Series) -> int:
    """All bits that some value has."""
    return int(values.bitwise_or() or 0)  # type: ignore[arg-type]


def _decimal(digits: pl.Expr, width: int) -> pl.Expr:
    """The number that decimal digits are, one a byte, the first in the lowest: pairs of neighbours are added up."""
    if width >= 2:
        digits = digits * (10 * 256 + 1) // 256
    if width == 2:
        return digits & 0xFF
    if width == 4:
        return (digits & 0x00FF00FF) * (100 * 65536 + 1) // 65536
    return digits
