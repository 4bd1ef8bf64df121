"""Features computed from all events, and from those known before a cutoff.

Takes features and events, gives their rows in one layout: keys, time, availability, the time from which each row is
known, values. Runs by the in-memory engine. Compares nothing.
"""

from __future__ import annotations

from typing import Final, Protocol

import polars as pl

from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceError
from timefence_pl.leakage.lookahead_events import Events, only_entities
from timefence_pl.leakage.lookahead_windows import ENTITIES, window_rows
from timefence_pl.plan.rows import AVAILABLE_COLUMN, KEY_COLUMN, TIME_COLUMN, RowSet, feature_rows, usable_events
from timefence_pl.plan.ticks import Clock

__all__ = ["KNOWN_FROM", "FeatureRun", "Run", "RunError", "WindowRun"]

#: When a row became known: nanoseconds, or units where times are integers.
KNOWN_FROM: Final = "__tf_known_from"


class RunError(Exception):
    """A feature cannot be computed from some rows; the message says of which, and why."""


class Run(Protocol):
    """How the features of one group are computed."""

    #: Their events.
    events: Events

    def all(self) -> pl.DataFrame:
        """All rows, from all events."""
        ...

    def upto(self, full: pl.DataFrame, cutoff: int) -> pl.DataFrame:
        """Of all rows those that a cutoff is asked about."""
        ...

    def before(self, cutoff: int) -> pl.DataFrame:
        """The rows a cutoff is asked about, from the events known before it."""
        ...

    def ids(self, rows: pl.DataFrame) -> list[str]:
        """The columns that say which row it is."""
        ...

    def values(self, feature: AnyFeature, rows: pl.DataFrame) -> list[str]:
        """A feature's columns."""
        ...


class FeatureRun:
    """Features over one set of rows."""

    def __init__(self, rows: RowSet, events: Events) -> None:
        self.events = events
        self._rows = rows
        self._outputs: dict[str, list[str]] = {}

    def all(self) -> pl.DataFrame:
        """All rows, from all events."""
        return self._run(self.events.all(), "on its source")

    def upto(self, full: pl.DataFrame, cutoff: int) -> pl.DataFrame:
        """The rows known before the cutoff."""
        return full.filter(pl.col(KNOWN_FROM) < pl.lit(self.events.instant(cutoff), dtype=pl.Int128))

    def before(self, cutoff: int) -> pl.DataFrame:
        """The rows known before the cutoff, from the events known before it."""
        shown = self.events.shown(cutoff).item()
        return self.upto(self._run(self.events.before(cutoff), f"on the rows known before {shown}"), cutoff)

    def ids(self, rows: pl.DataFrame) -> list[str]:
        """Keys, feature time, availability, and from when the row is known."""
        return [n for n in rows.columns if n not in {c for names in self._outputs.values() for c in names}]

    def values(self, feature: AnyFeature, rows: pl.DataFrame) -> list[str]:
        """The feature's columns."""
        return [c for c in self._outputs[feature.name] if c in rows.columns]

    def _run(self, frame: pl.LazyFrame, where: str) -> pl.DataFrame:
        source = self._rows.source
        try:
            made = feature_rows(self._rows, usable_events(source, frame))
        except TimefenceError:
            raise
        except Exception as error:
            raise _failed(where, error) from error
        kinds = {made.clock.kind, *([] if made.available is None else [made.available.kind])}
        if ("integer" in kinds) != (self.events.clock.kind == "integer"):
            raise RunError("its feature time is not of the kind of its source's timestamp")
        self._outputs = {f: [f"{f}__{c}" for c in columns] for f, columns in made.outputs.items()}
        known = _instant(made.clock, TIME_COLUMN)
        ids = [*(KEY_COLUMN.format(i) for i in range(made.keys)), TIME_COLUMN]
        if made.available is not None:
            known = pl.max_horizontal(known, _instant(made.available, AVAILABLE_COLUMN))
            ids.append(AVAILABLE_COLUMN)
        values = [c for columns in self._outputs.values() for c in columns]
        return _collected(made.frame.select(*ids, known.alias(KNOWN_FROM), *values), where)


class WindowRun:
    """One window feature, at labels that stand at the cutoffs."""

    def __init__(self, window: Window, events: Events) -> None:
        self.events, self._keys = only_entities(events, ENTITIES)
        self._window = window
        entities = f"{self._keys.height:,} of {events.all_entities:,} entities" if events.source.keys else "all events"
        many = len(events.cutoffs)
        self.covered = f"labels of {entities} at {many} cutoff{'' if many == 1 else 's'}"

    def all(self) -> pl.DataFrame:
        """The values at every cutoff, from all events."""
        return self._run(self.events.cutoffs, self.events.all(), "on its source")

    def upto(self, full: pl.DataFrame, cutoff: int) -> pl.DataFrame:
        """The values at one cutoff."""
        return full.filter(pl.col(KNOWN_FROM) == pl.lit(self.events.instant(cutoff), dtype=pl.Int128))

    def before(self, cutoff: int) -> pl.DataFrame:
        """The values at one cutoff, from the events known before it."""
        where = f"on the rows known before {self.events.shown(cutoff).item()}"
        return self._run((cutoff,), self.events.before(cutoff), where)

    def ids(self, rows: pl.DataFrame) -> list[str]:
        """Keys and cutoff."""
        return [n for n in rows.columns if not n.startswith(f"{self._window.name}__")]

    def values(self, feature: AnyFeature, rows: pl.DataFrame) -> list[str]:
        """The feature's columns."""
        return [n for n in rows.columns if n.startswith(f"{feature.name}__")]

    def _run(self, cutoffs: tuple[int, ...], frame: pl.LazyFrame, where: str) -> pl.DataFrame:
        if not cutoffs:
            return pl.DataFrame()
        instants = pl.Series(KNOWN_FROM, [self.events.instant(c) for c in cutoffs], dtype=pl.Int128)
        try:
            made = window_rows(self._window, self.events, self._keys, cutoffs, frame)
        except TimefenceError:
            raise
        except (Exception, pl.exceptions.PanicException) as error:
            raise _failed(where, error) from error
        return made.with_columns(pl.Series(instants).repeat_by(made.height // len(cutoffs)).explode().alias(KNOWN_FROM))


def _instant(clock: Clock, column: str) -> pl.Expr:
    return clock.ticks(pl.col(column)).cast(pl.Int128) * clock.size + clock.offset


def _collected(frame: pl.LazyFrame, where: str) -> pl.DataFrame:
    try:
        return frame.collect(engine="in-memory")
    except TimefenceError:
        raise
    except (Exception, pl.exceptions.PanicException) as error:
        raise _failed(where, error) from error


def _failed(where: str, error: BaseException) -> RunError:
    lines = str(error).splitlines()
    return RunError(f"it fails {where}: {type(error).__name__}: {lines[0] if lines else ''}".rstrip(": "))
