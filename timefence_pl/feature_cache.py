"""Feature frames from a store, and into it.

Takes features and a store, gives sorted frames: restored where the store has them whole, else planned from the source,
to be kept once computed. Says of each feature whether it was a hit, and if not, what changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceError, TimefenceStoreError
from timefence_pl.execution.dropped import dropped_rows
from timefence_pl.faults import polars_faults, reason_of
from timefence_pl.fingerprint import FileHasher, Fingerprint, Uncacheable, changes, fingerprint_frame
from timefence_pl.growth import Growth, find_growth
from timefence_pl.identity import feature_fingerprint, source_fingerprint
from timefence_pl.plan.hints import hints_of
from timefence_pl.plan.joined import AnyFrame
from timefence_pl.plan.prepare import SortedFrame, prepare
from timefence_pl.plan.rows import RowSet, row_sets
from timefence_pl.plan.stored import can_be_stored, earlier_rows, facts_of, restored, stored_columns
from timefence_pl.plan.window_events import (
    EventSet,
    SortedEvents,
    earlier_events,
    event_facts,
    event_sets,
    prepare_events,
    restored_events,
    stored_events,
)
from timefence_pl.store.features import Entry, EntryProblem, find_entry, list_entries, put_entry, set_aside, stamp_of
from timefence_pl.store.layout import Layout

__all__ = ["CacheStatus", "FeatureCache"]

#: What stands before a file's name in the name of a part.
_FILE: Final = ": file "
#: A feature and its entry.
Kept = tuple[AnyFeature, Entry]


class _Rows:
    """Features that share rows, as the cache takes and gives them."""

    def __init__(self, rows: RowSet, planned: Mapping[str, AnyFrame]) -> None:
        self._rows = rows
        self._planned = planned.get(rows.features[0].name)
        self.source = rows.source
        self.features: Sequence[AnyFeature] = rows.features

    def prepared(self, features: Sequence[AnyFeature], events: pl.LazyFrame | None = None, **how: Any) -> AnyFrame:
        """The sorted frame of some of them."""
        return prepare(self._of(features), events, **how)

    def restored(self, kept: Sequence[Kept]) -> AnyFrame:
        """The sorted frame of entries that stand in one order."""
        like = self._planned
        if not isinstance(like, SortedFrame) or len(kept) < len(self.features):
            like = prepare(self._of([f for f, _ in kept]))
        return restored(like, _scans(kept), kept[0][1].record)

    def earlier(self, kept: Sequence[Kept]) -> pl.LazyFrame:
        """The rows of such entries, for others to be put behind them."""
        return earlier_rows(prepare(self._of([f for f, _ in kept])), _scans(kept), kept[0][1].record)

    def _of(self, features: Sequence[AnyFeature]) -> RowSet:
        return replace(self._rows, features=tuple(f for f in features if isinstance(f, Feature)))


class _Events:
    """Windows that share events, as the cache takes and gives them."""

    def __init__(self, events: EventSet, planned: Mapping[str, AnyFrame]) -> None:
        self._events = events
        self._planned = planned.get(events.windows[0].name)
        self.source = events.source
        self.features: Sequence[AnyFeature] = events.windows

    def prepared(self, features: Sequence[AnyFeature], events: pl.LazyFrame | None = None, **how: Any) -> AnyFrame:
        """The sorted events of some of them."""
        return prepare_events(self._of(features), events, **how)

    def restored(self, kept: Sequence[Kept]) -> AnyFrame:
        """The sorted events of entries that stand in one order."""
        like = self._planned
        if not isinstance(like, SortedEvents) or len(kept) < len(self.features):
            like = prepare_events(self._of([f for f, _ in kept]))
        return restored_events(like, list(_scans(kept).values()), kept[0][1].record["narrow"])

    def earlier(self, kept: Sequence[Kept]) -> pl.LazyFrame:
        """The events of such entries, for others to be put behind them."""
        like = prepare_events(self._of([f for f, _ in kept]))
        return earlier_events(like, list(_scans(kept).values()), kept[0][1].record["narrow"])

    def _of(self, features: Sequence[AnyFeature]) -> EventSet:
        return replace(self._events, windows=tuple(f for f in features if isinstance(f, Window)))


_Group = _Rows | _Events


def _scans(kept: Sequence[Kept]) -> dict[str, pl.LazyFrame]:
    return {feature.name: entry.scan() for feature, entry in kept}


@dataclass(frozen=True)
class CacheStatus:
    """Whether a feature's frame came from the store.

    Attributes:
        hit: Whether it did.
        reason: Why not, in words; empty for a hit.
        key: Its key; None where it cannot be cached.
        parts: What the key was made of.
    """

    hit: bool
    reason: str
    key: str | None
    parts: Mapping[str, str]


class FeatureCache:
    """The frames of one build's features.

    Args:
        layout: The store.
        hasher: For the sources' files.
    """

    def __init__(self, layout: Layout, hasher: FileHasher) -> None:
        self._layout = layout
        self._hasher = hasher
        self._sources: dict[object, Fingerprint | Uncacheable] = {}
        self._missing: dict[int, dict[str, CacheStatus]] = {}
        # With the frames themselves, so that no later frame is given the same id.
        self._row_sets: dict[int, tuple[AnyFrame, Source]] = {}
        self._features: dict[str, AnyFeature] = {}
        self._uncacheable: dict[str, str] = {}
        self._entries: dict[str, Entry | EntryProblem | None] = {}
        # The files of entries that are read, as they were when they were found.
        self._used: dict[Path, tuple[int, int] | None] = {}
        self._forgotten = False
        #: By feature name.
        self.status: dict[str, CacheStatus] = {}
        #: Rows dropped from sources, known from entries, by source identity.
        self.dropped: dict[tuple[object, ...], int] = {}
        #: Of the features whose plan and source can be named.
        self.fingerprints: dict[str, Fingerprint] = {}

    def identify(self, features: Sequence[AnyFeature]) -> None:
        """Find the key of each feature, reading no entry; fills :attr:`fingerprints`."""
        for feature in features:
            if feature.name in self.fingerprints or feature.name in self._uncacheable:
                continue
            try:
                self._features[feature.name] = feature
                self.fingerprints[feature.name] = feature_fingerprint(feature, self._source(feature), self._hasher)
            except Uncacheable as error:
                self._uncacheable[feature.name] = error.reason

    def not_needed(self) -> None:
        """Say of every feature that it was had from the store: a whole build was found again."""
        self.status = {
            name: CacheStatus(hit=True, reason="", key=f.key, parts=f.parts) for name, f in self.fingerprints.items()
        }

    def frames(
        self, features: Sequence[AnyFeature], *, use_hints: bool, planned: Mapping[str, AnyFrame] | None = None
    ) -> dict[str, AnyFrame]:
        """A sorted frame for each feature; features that share rows, and are all hits or all misses, share one.

        Args:
            features: The features.
            use_hints: As for :func:`timefence_pl.plan.training_set.prepare_all`.
            planned: Frames of the same features that are planned already.
        """
        plans = planned or {}
        windows = event_sets([f for f in features if isinstance(f, Window)])
        groups: list[_Group] = [_Events(g, plans) for g in windows]
        groups += [_Rows(g, plans) for g in row_sets([f for f in features if isinstance(f, Feature)])]
        frames: dict[str, AnyFrame] = {}
        self._check_entries(features)
        for group in groups:
            hints = hints_of(group.source) if use_hints else None
            hits, missing = self._found(group.features)
            for found in hits:
                frame = group.restored(found)
                frames.update({f.name: frame for f, _ in found})
            grown, missing = self._grown(missing)
            for more in grown:
                rest = [f for f, _ in more]
                new = group.source.of_files(more[0][1].files).scan()
                earlier = group.earlier([(f, g.entry) for f, g in more])
                frame = group.prepared(rest, new, hints=hints, earlier=earlier)
                frames.update(self._to_compute(frame, group.source, rest))
            if missing:
                frame = group.prepared(missing, hints=hints)
                frames.update(self._to_compute(frame, group.source, missing))
        return frames

    def lost(self) -> bool:
        """Whether the file of an entry that was found has gone since, or another stands in its place."""
        return any(stamp is None or stamp_of(path) != stamp for path, stamp in self._used.items())

    def forget_entries(self) -> None:
        """Take nothing from the store from now on: every feature is computed from its source."""
        self._forgotten = True
        self._used.clear()

    def _check_entries(self, features: Sequence[AnyFeature]) -> None:
        """Look for the features' entries and hash those that are there, several at a time."""
        self.identify(features)
        named = [f.name for f in features if f.name in self.fingerprints]
        if self._forgotten:
            self._entries = dict.fromkeys(named)
            return
        with ThreadPoolExecutor(self._hasher.threads) as pool:
            found = pool.map(lambda name: find_entry(self._layout, name, self.fingerprints[name].key), named)
            self._entries = dict(zip(named, found, strict=True))

    def _found(self, features: Sequence[AnyFeature]) -> tuple[list[list[Kept]], list[AnyFeature]]:
        """Hits, grouped by the content of their key columns (those that can stand side by side), and misses."""
        groups: dict[object, list[Kept]] = {}
        missing = []
        for feature in features:
            entry = self._look_up(feature)
            if entry is None:
                missing.append(feature)
            else:
                order = entry.record["rows_hash"], str(entry.record["narrow"])
                groups.setdefault(order, []).append((feature, entry))
        return list(groups.values()), missing

    def _grown(self, features: Sequence[AnyFeature]) -> tuple[list[list[tuple[AnyFeature, Growth]]], list[AnyFeature]]:
        """Misses of which an entry holds all but new files, grouped as hits are; and the others."""
        groups: dict[object, list[tuple[AnyFeature, Growth]]] = {}
        others = []
        for feature in features:
            fingerprint = self.fingerprints.get(feature.name)
            growth = None
            if fingerprint is not None and not self._forgotten:
                growth = find_growth(self._layout, feature, fingerprint, self._hasher)
            if growth is None:
                others.append(feature)
                continue
            record, count = growth.entry.record, len(growth.files)
            self._used[growth.entry.path] = stamp_of(growth.entry.path)
            status = self.status[feature.name]
            self.status[feature.name] = replace(
                status, reason=f"{status.reason}; only {count} new file{'s' if count > 1 else ''} computed"
            )
            part = feature.source.of_files(growth.files)
            self.dropped.setdefault(
                feature.source.identity(), record["dropped"] + dropped_rows([part])[part.identity()]
            )
            order = record["rows_hash"], str(record["narrow"]), growth.files
            groups.setdefault(order, []).append((feature, growth))
        return list(groups.values()), others

    def _to_compute(self, frame: AnyFrame, source: Source, missing: Sequence[AnyFeature]) -> dict[str, AnyFrame]:
        self._row_sets[id(frame)] = frame, source
        self._missing[id(frame)] = {f.name: self.status[f.name] for f in missing}
        return {f.name: frame for f in missing}

    def keep(self, planned: AnyFrame, frame: AnyFrame, *, dropped: Mapping[tuple[object, ...], int]) -> None:
        """Store a computed frame, one entry a feature; a store that refuses costs a warning, not the build.

        Args:
            planned: The planned frame.
            frame: The same computed, with its rows in memory.
            dropped: Rows dropped from sources, by source identity.
        """
        missing = self._missing.get(id(planned), {})
        _, source = self._row_sets.get(id(planned), (None, None))
        named = [name for name, status in missing.items() if status.key is not None]
        if source is None or not named or not self.unchanged(named):
            return
        computed = frame.frame.collect(engine="in-memory")
        if isinstance(frame, SortedEvents):
            facts = event_facts(frame, computed, self._hash_of)
        elif can_be_stored(frame, computed):
            facts = facts_of(frame, computed, self._hash_of)
        else:
            return
        for name in named:
            status = missing[name]
            columns = computed.select(self._stored(name, frame, computed))
            try:
                put_entry(
                    self._layout,
                    name,
                    self.fingerprints[name].key,
                    columns,
                    {**facts, "dropped": dropped[source.identity()], "parts": dict(status.parts)},
                )
            except polars_faults(TimefenceStoreError) as error:  # Parquet does not hold all types
                why = str(error).splitlines()[0] if isinstance(error, TimefenceError) else reason_of(error)
                warnings.warn(f"Feature {name!r} is not cached: {why}", UserWarning, stacklevel=2)

    def _hash_of(self, rows: pl.DataFrame) -> str:
        return fingerprint_frame(rows, algorithm=self._hasher.algorithm).key

    def _stored(self, name: str, frame: AnyFrame, computed: pl.DataFrame) -> list[pl.Expr]:
        feature = self._features[name]
        if isinstance(frame, SortedFrame):
            return stored_columns(frame, name, computed.columns)
        assert isinstance(feature, Window)  # noqa: S101 - no other reads events
        return stored_events(frame, feature)

    def unchanged(self, names: Iterable[str]) -> bool:
        """Whether what features are computed from still is what their keys say: it may change while it is read.

        Args:
            names: Features that have a key.
        """
        sources: dict[object, Fingerprint] = {}
        try:
            for name in names:
                feature, known = self._features[name], self.fingerprints[name]
                if feature.source.identity() not in sources:
                    sources[feature.source.identity()] = self._source_now(feature.source)
                source = sources[feature.source.identity()]
                if source.key != known.parts["source"]:
                    return False
                reads = any(part.startswith("plan") and ": file " in part for part in known.parts)
                if reads and feature_fingerprint(feature, source, self._hasher).key != known.key:
                    return False
        except (Uncacheable, TimefenceError):
            return False
        return True

    def computed(
        self, features: Sequence[AnyFeature], frames: Mapping[str, AnyFrame], dropped: Mapping[tuple[object, ...], int]
    ) -> dict[str, AnyFrame]:
        """The same frames, with those that were missing computed, stored, and read back: one at a time in memory.

        Where entries are forgotten none would be read back, and the frames stay as they are.
        """
        if self._forgotten:
            return dict(frames)
        first = dict(self.status)
        for frame in {id(f): f for f in frames.values()}.values():
            if all(status.key is None for status in self._missing.get(id(frame), {}).values()):
                continue  # nothing of it can be kept
            rows = frame.frame.collect(engine="streaming").lazy()
            made = replace(frame, frame=rows)
            self.keep(frame, made, dropped=dropped)
        again = self.frames(features, use_hints=True)
        self.status = first
        return again

    def _look_up(self, feature: AnyFeature) -> Entry | None:
        if feature.name in self._uncacheable:
            reason = f"cannot be cached: {self._uncacheable[feature.name]}"
            self.status[feature.name] = CacheStatus(hit=False, reason=reason, key=None, parts={})
            return None
        fingerprint = self.fingerprints[feature.name]
        found = self._entries[feature.name]
        if isinstance(found, Entry):
            self.status[feature.name] = CacheStatus(hit=True, reason="", key=fingerprint.key, parts=fingerprint.parts)
            self._used[found.path] = stamp_of(found.path)
            if isinstance(found.record.get("dropped"), int):
                self.dropped[feature.source.identity()] = found.record["dropped"]
            return found
        if isinstance(found, EntryProblem):
            set_aside(self._layout, found.path)
            reason = f"the entry was damaged ({found.reason}) and set aside"
        elif self._forgotten:
            reason = "entries were removed from the store while they were read"
        else:
            reason = self._what_changed(feature.name, fingerprint)
        self.status[feature.name] = CacheStatus(hit=False, reason=reason, key=fingerprint.key, parts=fingerprint.parts)
        return None

    def _source(self, feature: AnyFeature) -> Fingerprint:
        identity = feature.source.identity()
        if identity not in self._sources:
            try:
                self._sources[identity] = source_fingerprint(feature.source, self._hasher)
            except Uncacheable as error:
                self._sources[identity] = error
        found = self._sources[identity]
        if isinstance(found, Uncacheable):
            raise found
        return found

    def _source_now(self, source: Source) -> Fingerprint:
        known = self._sources.get(source.identity())
        if isinstance(known, Fingerprint) and source.table.frame is not None and source.table.in_memory:
            return known
        return source_fingerprint(source, self._hasher)

    def _what_changed(self, name: str, fingerprint: Fingerprint) -> str:
        """What differs from the nearest earlier entry of the feature."""
        earlier = [e.record.get("parts") for e in list_entries(self._layout) if e.record["feature"] == name]
        differences = [
            changes(_as_named_now(p, fingerprint.parts), fingerprint.parts) for p in earlier if isinstance(p, dict)
        ]
        if not differences:
            return "never computed"
        return "; ".join(min(differences, key=len)[:4]) or "computed by another version"


def _as_named_now(old: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """An earlier breakdown in which a file of the same content has the name that it has now.

    A file's name is no part of a key, so that one that was moved or renamed is not what changed.
    """
    moved: dict[tuple[str, str], list[str]] = {}
    for name, content in now.items():
        where, file, _ = name.partition(_FILE)
        if file and name not in old:
            moved.setdefault((where, content), []).append(name)
    named = {}
    for name, content in old.items():
        names = [] if name in now else moved.get((name.partition(_FILE)[0], content), [])
        named[names.pop(0) if names else name] = content
    return named
