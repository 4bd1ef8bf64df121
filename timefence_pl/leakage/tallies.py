"""Counts that charts are drawn from: ages of values at label time, and rows over time.

Takes ticks and marks, gives small tables of plain numbers. Draws nothing, and knows no verdict's meaning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import polars as pl

from timefence_pl.durations import format_nanoseconds
from timefence_pl.plan.ticks import INT64_MAX, Clock

__all__ = [
    "AGE_BIN",
    "BUCKET",
    "AgeAxis",
    "Ages",
    "Charts",
    "TimeAxis",
    "ages_of",
    "bounds_marked",
    "counted",
    "numbers_of",
]

#: The bin of a value's age, and the bucket of a row's label time.
AGE_BIN: Final = "bin"
BUCKET: Final = "bucket"

_BUCKETS: Final = 30
_NS: Final = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
_STEPS: Final = (
    *("1ms", "1s", "1m", "10m", "1h", "3h", "6h", "12h", "1d", "2d", "4d", "7d"),
    *("14d", "30d", "60d", "120d", "240d", "365d", "730d", "1460d", "3650d"),
)


@dataclass(frozen=True)
class TimeAxis:
    """Label times in at most 30 buckets of equal width.

    Attributes:
        first: The first tick.
        span: Ticks from the first to the last, both included; 0 where there is no label time.
        buckets: How many.
        clock: Of the label time.
    """

    first: int
    span: int
    buckets: int
    clock: Clock

    @classmethod
    def of(cls, ticks: pl.Series, clock: Clock) -> TimeAxis:
        """The axis of all label times.

        Args:
            ticks: Label ticks, null where there is none.
            clock: Theirs.
        """
        first, last = ticks.min(), ticks.max()
        if first is None or last is None:
            return cls(0, 0, 0, clock)
        span = int(last) - int(first) + 1  # type: ignore[arg-type]
        return cls(int(first), span, min(_BUCKETS, span), clock)  # type: ignore[arg-type]

    def bucket(self, ticks: pl.Series) -> pl.Series:
        """The bucket of each tick; null where there is none."""
        span = max(self.span, 1)
        if span * max(self.buckets, 1) <= INT64_MAX:  # no distance from the first is longer than the span
            return ((ticks - self.first) * self.buckets // span).cast(pl.UInt8).alias(BUCKET)
        wide = pl.lit(ticks).cast(pl.Int128) - pl.lit(self.first, dtype=pl.Int128)
        found = (wide * self.buckets // pl.lit(span, dtype=pl.Int128)).cast(pl.UInt8)
        return pl.select(found.alias(BUCKET)).to_series()

    def spans(self) -> list[tuple[float, float]]:
        """The buckets' starts and ends: milliseconds since 1970, or integer times."""
        if not self.buckets:
            return []
        edges = [self.first + i * self.span / self.buckets for i in range(self.buckets + 1)]
        if self.clock.kind == "integer":
            shown = [e + self.clock.offset for e in edges]
        else:
            shown = [(e * self.clock.size + self.clock.offset) / 1e6 for e in edges]
        return list(pairwise(shown))


@dataclass(frozen=True)
class Ages:
    """Bins for ages, fine near zero and coarse far away; ages below zero lie in the future.

    Attributes:
        edges: The inner edges, ascending: nanoseconds, or integer units.
        labels: The same as they are shown.
    """

    edges: tuple[int, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, kind: str) -> Ages:
        """The bins for times of a clock's kind."""
        if kind == "integer":
            steps = [(10**k, f"{10**k:,}" if k < 6 else f"1e{k}") for k in range(19)]
        else:
            steps = [(int(s.rstrip("dhms")) * _NS[s.lstrip("0123456789")], s) for s in _STEPS]
        negative = [(-n, f"-{word}") for n, word in reversed(steps)]
        both = [*negative, (0, "0"), *steps]
        return cls(tuple(n for n, _ in both), tuple(word for _, word in both))

    def tally(self, ages: pl.Series, by: pl.Series | None = None, size: int = 1) -> pl.DataFrame:
        """How many ages lie in each bin: ``AGE_BIN``, the number of the edge that ends it, and ``rows``.

        Args:
            ages: Int64 or Int128, in nanoseconds or integer units; nulls are left out.
            by: Of each age one of a few values (Enum or UInt8), by whose name its column stands between the two; nulls
                are left out.
            size: What an age of 1 is, where it is more.
        """
        ages = _narrow(ages)
        least, greatest = ages.min(), ages.max()
        groups = [None] if by is None else [g for g in _groups(by) if g.code is not None]
        found: list[tuple[int, int, int]] = []
        if least is not None and greatest is not None:
            # Not a bin for each age: to compare with the edges that lie among them takes a tenth of a search.
            inner = [-(-e // size) for e in self.edges[1:-1]]  # what lies past the outer ones is in the outer bins
            first = sum(e <= int(least) for e in inner)  # type: ignore[arg-type]
            past = [ages >= e for e in inner[first:] if e <= int(greatest)]  # type: ignore[arg-type]
            for place, group in enumerate(groups):
                rows = _counts(ages.is_not_null(), past, group)
                found += [(first + i + 1, place, n) for i, n in enumerate(rows) if n]
        columns = {AGE_BIN: pl.Series([f[0] for f in found], dtype=pl.UInt8)}
        if by is not None:
            columns[by.name] = _values(by, [groups[f[1]] for f in found])
        columns["rows"] = pl.Series([f[2] for f in found], dtype=pl.Int64)
        return pl.DataFrame(columns).sort(pl.exclude("rows"))

    def drawn(self, tally: pl.DataFrame, marks: Sequence[tuple[int, str]]) -> AgeAxis:
        """The bins that hold something, and the marks, on an axis without long empty stretches near zero.

        Args:
            tally: ``AGE_BIN`` and whatever is counted.
            marks: Ages to be marked, with their texts.
        """
        used, zero = tally[AGE_BIN].unique().to_list(), self.edges.index(0)
        at = [_place(self.edges, age) for age, _ in marks]
        first = min([*(b - 1 for b in used), *map(math.floor, at)], default=zero)
        first = min(first, len(self.edges) - 2)  # a mark may lie past the last edge
        last = max([*used, *map(math.ceil, at), first + 1])
        nearest = min([*(b - 1 for b in used if b > zero), *(math.floor(m) for m in at if m > zero)], default=last)
        latest = max((b for b in used if b <= zero), default=first)
        kept = [i for i in range(first, last + 1) if not (zero < i < nearest or latest < i < zero)]
        edges = [self.edges[i] for i in kept]
        position = {i: n for n, i in enumerate(kept)}
        moved = pl.col(AGE_BIN).cast(pl.Int64).replace_strict({b: position[b - 1] for b in used}, return_dtype=pl.Int64)
        return AgeAxis(
            tally.with_columns(moved) if used else tally.with_columns(pl.col(AGE_BIN).cast(pl.Int64)),
            tuple(self.labels[i] for i in kept),
            tuple((_place(edges, age), word) for age, word in marks),
        )


@dataclass(frozen=True)
class AgeAxis:
    """Ages, laid out to be drawn.

    Attributes:
        tally: What was counted; bin ``i`` lies between labels ``i`` and ``i + 1``.
        labels: The bins' edges as they are shown.
        marks: Positions among the edges (2.5 is half-way from 2 to 3), and texts.
    """

    tally: pl.DataFrame
    labels: tuple[str, ...]
    marks: tuple[tuple[float, str], ...]


def _place(edges: Sequence[int], age: int) -> float:
    """Where an age stands between edges: 2.5 is half-way, by ratio, from edge 2 to edge 3."""
    below = sum(e <= age for e in edges) - 1
    if below < 0 or below >= len(edges) - 1:
        return float(min(max(below, 0), len(edges) - 1))
    low, high = edges[below], edges[below + 1]
    if low > 0:
        return below + math.log(age / low) / math.log(high / low)
    return below + (age - low) / (high - low)


@dataclass(frozen=True)
class Charts:
    """Figures that the charts of one feature are drawn from.

    Attributes:
        ages: Bins of the age at label time of the values found: ``bin``, ``verdict``, ``rows``.
        edges: The bins' edges as they are shown; bin ``i`` lies between edges ``i`` and ``i + 1``.
        marks: Where embargo and bounds lie between the edges, in words.
        reasons: What became of the rows in the rebuild: ``bucket``, ``reason``, ``rows``; empty where none was made.
        verdicts: Rows that are not ``ok``: ``bucket``, ``verdict``, ``rows``.
        totals: All rows, by bucket.
        spans: Each bucket's start and end: milliseconds since 1970, or integer times.
        times: Whether spans are milliseconds.
    """

    ages: pl.DataFrame
    edges: Sequence[str]
    marks: Sequence[tuple[float, str]]
    reasons: pl.DataFrame
    verdicts: pl.DataFrame
    totals: Mapping[int, int]
    spans: Sequence[tuple[float, float]]
    times: bool


def bounds_marked(embargo: int, lookback: int | None, staleness: int | None, *, integer: bool) -> list[tuple[int, str]]:
    """A feature's bounds as ages to be marked, with their texts."""
    bounds = (("embargo", embargo or None), ("lookback", lookback), ("staleness", staleness))
    return [(b, f"{word} {f'{b:,}' if integer else format_nanoseconds(b)}") for word, b in bounds if b is not None]


def ages_of(labels: pl.Series, of: Clock, known: pl.Series, own: Clock) -> tuple[pl.Series, int]:
    """Values' ages at label time, and what an age of 1 is: see :meth:`Ages.tally`.

    Args:
        labels: Ticks of the label time.
        of: Its clock.
        known: Ticks from which the values were known; null where there is none.
        own: Their clock.
    """
    if of.ticks_like(own) and _small(labels) and _small(known):
        return labels - known, of.size
    exact = (
        pl.lit(labels).cast(pl.Int128) * of.size + of.offset - (pl.lit(known).cast(pl.Int128) * own.size + own.offset)
    )
    return pl.select(exact).to_series(), 1


def counted(columns: Mapping[str, pl.Series]) -> pl.DataFrame:
    """How many rows have each combination of two small columns, in their order: the columns, then ``rows``.

    Args:
        columns: UInt8 or Enum, with few values each; a null is one of them.
    """
    one, two = columns.values()
    groups, others = _groups(one), _groups(two)
    found: list[tuple[_Group, _Group, int]] = []
    for a in groups:
        # Masks of bits: to combine and count two takes some microseconds, to group rows some nanoseconds each.
        rows = [int((a.mask & b.mask).sum()) for b in others[:-1]]
        found += zip([a] * len(others), others, [*rows, int(a.mask.sum()) - sum(rows)], strict=True)
    kept = [f for f in found if f[2]]
    names = list(columns)
    return pl.DataFrame(
        {
            names[0]: _values(one, [a for a, _, _ in kept]),
            names[1]: _values(two, [b for _, b, _ in kept]),
            "rows": pl.Series([n for _, _, n in kept], dtype=pl.Int64),
        }
    ).sort(names)


def numbers_of(column: pl.Series) -> dict[Any, int]:
    """How many rows have each value of a small column, nulls left out; in the values' order."""
    groups = [g for g in _groups(column) if g.code is not None]
    return dict(zip(_values(column, groups), (int(g.mask.sum()) for g in groups), strict=True))


@dataclass(frozen=True)
class _Group:
    """The rows that have one value of a small column.

    Attributes:
        code: The value, as a number; None for null.
        mask: Whether a row has it, without nulls.
    """

    code: int | None
    mask: pl.Series


def _groups(column: pl.Series) -> list[_Group]:
    """The rows of each value that a small column has, nulls first."""
    codes = column.to_physical()
    least, greatest = codes.min(), codes.max()
    groups = [_Group(None, codes.is_null())] if codes.null_count() else []
    if least is None or greatest is None:
        return groups
    every = [_Group(code, codes == code) for code in range(int(least), int(greatest) + 1)]  # type: ignore[arg-type]
    if codes.null_count():
        every = [_Group(g.code, g.mask.fill_null(value=False)) for g in every]
    return [*groups, *(g for g in every if g.mask.any())]


def _counts(known: pl.Series, past: Sequence[pl.Series], group: _Group | None) -> list[int]:
    """How many rows lie before the first edge, between each two, and past the last."""
    sums = [int((mask if group is None else mask & group.mask).sum()) for mask in (known, *past)]
    return [n - behind for n, behind in zip(sums, [*sums[1:], 0], strict=True)]


def _values(column: pl.Series, groups: Sequence[_Group | None]) -> pl.Series:
    """The values of these groups, of the column's type."""
    codes = pl.Series(column.name, [None if g is None else g.code for g in groups], dtype=column.to_physical().dtype)
    return codes.cat.to(column.dtype) if isinstance(column.dtype, pl.Enum) else codes


def _narrow(ages: pl.Series) -> pl.Series:
    """Ages of 64 bits where all fit, which are compared at a fraction of the cost."""
    if ages.dtype == pl.Int64:
        return ages
    narrow = ages.cast(pl.Int64, strict=False)
    return narrow if narrow.null_count() == ages.null_count() else ages


def _small(ticks: pl.Series) -> bool:
    """Whether the difference of two such ticks fits 64 bits."""
    least, greatest = ticks.min(), ticks.max()
    return least is None or (int(least) > -(1 << 62) and int(greatest) < 1 << 62)  # type: ignore[arg-type]
