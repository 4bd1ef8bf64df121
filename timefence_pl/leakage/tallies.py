"""Counts that charts are drawn from: ages of values at label time, and rows over time.

Takes ticks and marks, gives small tables of plain numbers. Draws nothing, and knows no verdict's meaning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import polars as pl

from timefence_pl.durations import format_nanoseconds
from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN, Clock

__all__ = ["AGE_BIN", "BUCKET", "AgeAxis", "Ages", "Charts", "TimeAxis", "age_bins", "bounds_marked", "counted"]

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

    def bucket(self, ticks: pl.Expr) -> pl.Expr:
        """The bucket of each tick; null where there is none."""
        wide = ticks.cast(pl.Int128) - pl.lit(self.first, dtype=pl.Int128)
        return (wide * self.buckets // pl.lit(max(self.span, 1), dtype=pl.Int128)).cast(pl.UInt8).alias(BUCKET)

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

    def bins(self, ages: pl.Series, size: int = 1) -> pl.Series:
        """The bin of each age, an integer number of ``size``: the number of the edge that ends it; null for null."""
        inner = self.edges[1:-1]  # what lies past the outer ones is in the outer bins
        if ages.dtype == pl.Int64:  # compared as they are: half the time of floats
            edges = pl.Series([max(min(-(-e // size), INT64_MAX), INT64_MIN) for e in inner], dtype=pl.Int64)
        else:
            edges, ages = pl.Series([e / size for e in inner]), ages.cast(pl.Float64)
        found = edges.search_sorted(ages, side="right").cast(pl.UInt8) + 1
        known = pl.select(pl.when(ages.is_not_null()).then(found)).to_series() if ages.null_count() else found
        return known.alias(AGE_BIN)

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


def age_bins(ages: Ages, labels: pl.Series, of: Clock, known: pl.Series, own: Clock) -> pl.Series:
    """The bins of values' ages at label time.

    Args:
        ages: The bins.
        labels: Ticks of the label time.
        of: Its clock.
        known: Ticks from which the values were known; null where there is none.
        own: Their clock.
    """
    if of.ticks_like(own) and _small(labels) and _small(known):
        return ages.bins(labels - known, size=of.size)
    exact = (
        pl.lit(labels).cast(pl.Int128) * of.size + of.offset - (pl.lit(known).cast(pl.Int128) * own.size + own.offset)
    )
    return ages.bins(pl.select(exact).to_series())


def _small(ticks: pl.Series) -> bool:
    """Whether the difference of two such ticks fits 64 bits."""
    least, greatest = ticks.min(), ticks.max()
    return least is None or (int(least) > -(1 << 62) and int(greatest) < 1 << 62)  # type: ignore[arg-type]


def counted(columns: dict[str, pl.Series]) -> pl.DataFrame:
    """How many rows have each combination of a few small columns, in their order: the columns, then ``rows``."""
    frame = pl.DataFrame(columns)
    if all(d == pl.UInt8 for d in frame.dtypes) and frame.width <= 7:  # one number is counted faster than several
        code, names = pl.lit(0, dtype=pl.UInt64), frame.columns
        for name in names:
            code = code * 257 + pl.col(name).cast(pl.UInt64).fill_null(256)
        tally = frame.select(code.alias("code")).to_series().value_counts(name="rows")
        parts = []
        for i, name in enumerate(names):
            part = pl.col("code") // 257 ** (len(names) - 1 - i) % 257
            parts.append(pl.when(part < 256).then(part).cast(pl.UInt8).alias(name))
        frame, rows = tally.select(*parts, pl.col("rows").cast(pl.Int64)), "rows"
        return frame.sort(pl.exclude(rows))
    return frame.group_by(pl.all()).len("rows").with_columns(pl.col("rows").cast(pl.Int64)).sort(pl.exclude("rows"))
