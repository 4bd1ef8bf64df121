"""The events that a look-ahead check runs on: all of them or a sample of entities, and the cutoffs.

Takes a source, gives its usable events in memory with the time from which each was known, and the last known ticks
before each cutoff. Knows no features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from timefence_pl.definitions.source import Source
from timefence_pl.errors import TimefenceError, TimefenceValidationError, message
from timefence_pl.leakage.lookahead_compare import same_rows
from timefence_pl.plan.compatibility import SourceColumns, source_columns
from timefence_pl.plan.prepare import KNOWN, _in_clock, known_clock
from timefence_pl.plan.rows import usable_events
from timefence_pl.plan.ticks import DAY, INT64_MAX, INT64_MIN, Clock

__all__ = ["ROWS", "Events", "load_events", "only_entities"]

#: Rows up to which a source is taken whole; above, entities are sampled until about as many rows are covered.
ROWS: Final = 500_000
#: How many times earlier than its quantile the first cutoff stands.
_EARLY: Final = 8
_HASH: Final = "__tf_hash"
_UNITS: Final[dict[int, Literal["ns", "us", "ms"]]] = {1: "ns", 1_000: "us", 1_000_000: "ms"}


@dataclass(frozen=True)
class Events:
    """A source's usable events, or those of some of its entities.

    Attributes:
        source: Their source.
        columns: Its columns, with their roles.
        rows: The events in source order, with the tick from which each was known.
        clock: Of that tick.
        cutoffs: For each cutoff the last tick before it; ascending, and never the last of all.
        repeats: Whether reading the source twice gave the same rows.
        all_rows: Usable rows of the source.
        entities: Entities covered.
        all_entities: Entities of the source.
    """

    source: Source
    columns: SourceColumns
    rows: pl.DataFrame
    clock: Clock
    cutoffs: tuple[int, ...]
    repeats: bool
    all_rows: int
    entities: int
    all_entities: int

    def all(self) -> pl.LazyFrame:
        """All events covered."""
        return self.rows.drop(KNOWN).lazy()

    def before(self, cutoff: int) -> pl.LazyFrame:
        """The events that were known up to a tick, and no later."""
        return self.rows.filter(pl.col(KNOWN) <= cutoff).drop(KNOWN).lazy()

    def instant(self, cutoff: int) -> int:
        """The cutoff itself: one unit after the tick, in nanoseconds (units where times are integers)."""
        return (cutoff + 1) * self.clock.size + self.clock.offset

    def shown(self, cutoff: int) -> pl.Series:
        """The cutoff as a time: a label of this time may use what was known up to the tick, and nothing later."""
        instant = self.instant(cutoff)
        if self.clock.kind == "integer":
            return pl.Series([instant], dtype=pl.Int128).cast(self.clock.dtype)
        if self.clock.size == DAY:
            # The day after a day's last instant, or the day after a day's first.
            return pl.Series([cutoff + 1], dtype=pl.Int32).cast(pl.Date)
        # Beyond what 64 bits of nanoseconds hold, the next finer that fits: what is known stays what it is.
        size = self.clock.size if INT64_MIN <= instant // self.clock.size <= INT64_MAX else 1_000
        zone = getattr(self.columns.schema[self.source.timestamp], "time_zone", None)
        return pl.Series([instant // size]).cast(pl.Datetime(_UNITS[size], zone))

    @property
    def sampled(self) -> bool:
        """Whether some entities were left out."""
        return self.rows.height < self.all_rows

    @property
    def covered(self) -> str:
        """What was covered, in words."""
        many = len(self.cutoffs)
        where = f"{many} cutoff{'' if many == 1 else 's'}"
        if not self.sampled:
            rows = f"all {self.all_rows:,} rows"
            return f"{rows} of {self.entities:,} entities, {where}" if self.source.keys else f"{rows}, {where}"
        return f"{self.rows.height:,} of {self.all_rows:,} rows ({self.entities:,} of {self.all_entities:,} entities), {where}"


def load_events(source: Source, cutoffs: int, sample: int | None) -> Events:
    """Read a source's usable events once, or those of a sample of its entities.

    Args:
        source: The source.
        cutoffs: How many cutoffs: quantiles of the distinct times at which rows became known.
        sample: How many entities; None takes all up to :data:`ROWS` rows, and as many entities as make about that
            many rows above. The same entities are taken every time.

    Raises:
        TimefenceError: If the source cannot be read.
    """
    columns = source_columns(source)
    clock = columns.clock if columns.available is None else known_clock(columns.clock, columns.available)
    usable = usable_events(source, source.scan())
    total, entities, chosen = _chosen(source, usable, sample)
    if chosen is not None:
        usable = usable.filter(_hash(source, columns.schema).is_in(chosen.implode()))
    # All-null and tie columns stay: a transform may read any of them.
    known = _known(source, columns, clock)
    rows = _read(source, usable.with_columns(known), streamed=chosen is not None)
    repeats = True
    if source.table.frame is not None and not source.table.in_memory:
        again = _read(source, usable.with_columns(known), streamed=chosen is not None)
        repeats = same_rows(rows, again)
    covered = entities if chosen is None else rows.select(pl.struct(source.keys).n_unique()).item()
    return Events(
        source=source,
        columns=columns,
        rows=rows,
        clock=clock,
        cutoffs=_cutoffs(rows, cutoffs),
        repeats=repeats,
        all_rows=total,
        entities=covered,
        all_entities=entities,
    )


def only_entities(events: Events, limit: int) -> tuple[Events, pl.DataFrame]:
    """The events of at most so many entities, and the keys of these."""
    keys = events.rows.select(events.source.keys).unique(maintain_order=True)
    if keys.height <= limit or not events.source.keys:
        return events, keys
    hashed = _hash(events.source, events.columns.schema)
    keys = keys.sort(hashed, maintain_order=True).head(limit)
    chosen = keys.select(hashed).to_series()
    rows = events.rows.filter(hashed.is_in(chosen.implode()))
    return _with_rows(events, rows, limit), keys


def _with_rows(events: Events, rows: pl.DataFrame, entities: int) -> Events:
    return Events(**{**events.__dict__, "rows": rows, "entities": entities})


def _known(source: Source, columns: SourceColumns, clock: Clock) -> pl.Expr:
    event = _in_clock(columns.clock.ticks(pl.col(source.timestamp)), columns.clock, clock)
    if columns.available is None or source.available_at is None:
        return event.alias(KNOWN)
    available = _in_clock(columns.available.ticks(pl.col(source.available_at)), columns.available, clock)
    return pl.max_horizontal(event, available).alias(KNOWN)


def _chosen(source: Source, usable: pl.LazyFrame, sample: int | None) -> tuple[int, int, pl.Series | None]:
    """All rows, all entities, and the hashes of the entities to take; None for all."""
    schema = source.schema
    if not source.keys:
        return _count(source, usable), 1, None
    counts = _read(
        source,
        usable.select(_hash(source, schema).alias(_HASH)).group_by(_HASH).agg(pl.len()),
        streamed=True,
    )
    rows, entities = int(counts["len"].sum()), counts.height
    if sample is None and rows <= ROWS:
        return rows, entities, None
    # An entity of one row shows no look-ahead within an entity: those come last.
    order = counts.sort(pl.col("len") == 1, _HASH)
    if sample is not None:
        chosen = order.head(sample)
    else:
        chosen = order.filter(pl.col("len").cum_sum().shift(1, fill_value=0) < ROWS)
    return rows, entities, None if chosen.height == entities else chosen[_HASH]


def _count(source: Source, usable: pl.LazyFrame) -> int:
    return int(_read(source, usable.select(pl.len()), streamed=True).item())


def _hash(source: Source, schema: pl.Schema) -> pl.Expr:
    """A hash of an entity's keys; categories by their text."""
    texts = [pl.col(k).cast(pl.String) if _is_category(schema[k]) else pl.col(k) for k in source.keys]
    return pl.struct(texts).hash(seed=0)


def _is_category(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Categorical | pl.Enum)


def _read(source: Source, frame: pl.LazyFrame, *, streamed: bool) -> pl.DataFrame:
    try:
        return frame.collect(engine="streaming" if streamed else "in-memory")
    except TimefenceError:
        raise
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TimefenceValidationError(
            message(
                f"Source {source.name!r} cannot be read.",
                where=f"data: {source.described()}\nPolars: {str(error).splitlines()[0]}",
                fix="Check the data; read it with Polars alone to see more.",
            )
        ) from error


def _cutoffs(rows: pl.DataFrame, wanted: int) -> tuple[int, ...]:
    """The last ticks before each cutoff: quantiles of the distinct ticks but the last, which leaves nothing out.

    The first of several stands early: a column's maximum is that of the rows so far once they hold it. Every other one
    after it stands at the nearest row that lacks a value, which may be filled from behind.
    """
    ticks = rows[KNOWN].unique().sort()
    last = len(ticks) - 1
    if last < 1:
        return ()
    places = [i * last // (wanted + 1) for i in range(1, wanted + 1)]
    if wanted > 1:
        places[0] //= _EARLY
    lacking = rows.filter(pl.any_horizontal(pl.all().is_null()))[KNOWN].unique().sort()
    gaps = ticks.search_sorted(lacking.filter(lacking < ticks[last]))
    for i in range(2, len(places), 2) if len(gaps) else ():
        places[i] = int(gaps[min(int(gaps.search_sorted(places[i])), len(gaps) - 1)])
    positions: Sequence[int] = sorted({min(last - 1, place) for place in places})
    return tuple(int(ticks[p]) for p in positions)
