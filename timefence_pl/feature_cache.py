"""Feature frames from a store, and into it.

Takes features and a store, gives sorted frames: restored where the store has them whole, else planned from the source,
to be kept once computed. Says of each feature whether it was a hit, and if not, what changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.window import Window
from timefence_pl.errors import TimefenceError, TimefenceStoreError
from timefence_pl.fingerprint import FileHasher, Fingerprint, Uncacheable, changes, fingerprint_frame
from timefence_pl.identity import feature_fingerprint, source_fingerprint
from timefence_pl.plan.hints import hints_of
from timefence_pl.plan.prepare import SortedFrame, prepare
from timefence_pl.plan.rows import RowSet, row_sets
from timefence_pl.plan.stored import can_be_stored, facts_of, restored, stored_columns
from timefence_pl.plan.training_set import AnyFrame, prepare_all
from timefence_pl.store.features import Entry, EntryProblem, find_entry, list_entries, put_entry, set_aside
from timefence_pl.store.layout import Layout

__all__ = ["CacheStatus", "FeatureCache"]


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
        self._row_sets: dict[int, tuple[SortedFrame, Source]] = {}
        self._features: dict[str, Feature] = {}
        self._uncacheable: dict[str, str] = {}
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
            if isinstance(feature, Window):
                self._uncacheable[feature.name] = "the events of windows are not kept yet"
                continue
            try:
                self._features[feature.name] = feature
                self.fingerprints[feature.name] = feature_fingerprint(feature, self._source(feature))
            except Uncacheable as error:
                self._uncacheable[feature.name] = error.reason

    def not_needed(self) -> None:
        """Say of every feature that it was had from the store: a whole build was found again."""
        self.status = {
            name: CacheStatus(hit=True, reason="", key=f.key, parts=f.parts) for name, f in self.fingerprints.items()
        }

    def frames(self, features: Sequence[AnyFeature], *, use_hints: bool) -> dict[str, AnyFrame]:
        """A sorted frame for each feature; features that share rows, and are all hits or all misses, share one."""
        windows = [f for f in features if isinstance(f, Window)]
        frames: dict[str, AnyFrame] = prepare_all(windows, use_hints=use_hints)
        for window in windows:
            self._look_up(window)
        for rows in row_sets([f for f in features if isinstance(f, Feature)]):
            hints = hints_of(rows.source) if use_hints else None
            entries = {f.name: self._look_up(f) for f in rows.features}
            hits = [f for f in rows.features if entries[f.name] is not None]
            for group in _of_one_order(hits, entries):
                like = prepare(RowSet(rows.source, tuple(group), rows.keep_first))
                found = {f.name: e for f in group if (e := entries[f.name]) is not None}
                facts = next(iter(found.values())).record
                frame = restored(like, {n: e.scan() for n, e in found.items()}, facts)
                frames.update(dict.fromkeys(found, frame))
            missing = tuple(f for f in rows.features if entries[f.name] is None)
            if missing:
                frame = prepare(RowSet(rows.source, missing, rows.keep_first), hints=hints, eager=use_hints)
                self._row_sets[id(frame)] = frame, rows.source
                self._missing[id(frame)] = {f.name: self.status[f.name] for f in missing}
                frames.update({f.name: frame for f in missing})
        return frames

    def keep(self, frame: SortedFrame, computed: pl.DataFrame, *, dropped: Mapping[tuple[object, ...], int]) -> None:
        """Store a computed frame, one entry a feature; a store that refuses costs a warning, not the build.

        Args:
            frame: The planned frame.
            computed: Its rows.
            dropped: Rows dropped from sources, by source identity.
        """
        missing = self._missing.get(id(frame), {})
        _, source = self._row_sets.get(id(frame), (None, None))
        named = [name for name, status in missing.items() if status.key is not None]
        if source is None or not named or not can_be_stored(frame, computed) or not self.unchanged(named):
            return
        facts = facts_of(frame, computed, lambda rows: fingerprint_frame(rows).key)
        for name in named:
            status = missing[name]
            columns = computed.select(stored_columns(frame, name, computed.columns))
            try:
                put_entry(
                    self._layout,
                    name,
                    self.fingerprints[name].key,
                    columns,
                    {**facts, "dropped": dropped[source.identity()], "parts": dict(status.parts)},
                )
            except TimefenceStoreError as error:
                warnings.warn(
                    f"Feature {name!r} is not cached: {str(error).splitlines()[0]}", UserWarning, stacklevel=2
                )

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
                if reads and feature_fingerprint(feature, source).key != known.key:
                    return False
        except (Uncacheable, TimefenceError):
            return False
        return True

    def computed(
        self, features: Sequence[AnyFeature], frames: Mapping[str, AnyFrame], dropped: Mapping[tuple[object, ...], int]
    ) -> dict[str, AnyFrame]:
        """The same frames, with those that were missing computed, stored, and read back: one at a time in memory."""
        first = dict(self.status)
        for frame in {id(f): f for f in frames.values() if id(f) in self._missing}.values():
            assert isinstance(frame, SortedFrame)  # noqa: S101 - no other is missing
            self.keep(frame, frame.frame.collect(engine="streaming"), dropped=dropped)
        again = self.frames(features, use_hints=True)
        self.status = first
        return again

    def _look_up(self, feature: AnyFeature) -> Entry | None:
        self.identify([feature])
        if feature.name in self._uncacheable:
            reason = f"cannot be cached: {self._uncacheable[feature.name]}"
            self.status[feature.name] = CacheStatus(hit=False, reason=reason, key=None, parts={})
            return None
        fingerprint = self.fingerprints[feature.name]
        found = find_entry(self._layout, feature.name, fingerprint.key)
        if isinstance(found, Entry):
            self.status[feature.name] = CacheStatus(hit=True, reason="", key=fingerprint.key, parts=fingerprint.parts)
            if isinstance(found.record.get("dropped"), int):
                self.dropped[feature.source.identity()] = found.record["dropped"]
            return found
        if isinstance(found, EntryProblem):
            set_aside(self._layout, found.path)
            reason = f"the entry was damaged ({found.reason}) and set aside"
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
        differences = [changes(p, fingerprint.parts) for p in earlier if isinstance(p, dict)]
        if not differences:
            return "never computed"
        return "; ".join(min(differences, key=len)[:4]) or "computed by another version"


def _of_one_order(features: Sequence[Feature], entries: Mapping[str, Entry | None]) -> list[list[Feature]]:
    """Hits grouped by the content of their key columns: those that can stand side by side."""
    groups: dict[object, list[Feature]] = {}
    for feature in features:
        entry = entries[feature.name]
        if entry is not None:
            groups.setdefault((entry.record["rows_hash"], str(entry.record["narrow"])), []).append(feature)
    return list(groups.values())
