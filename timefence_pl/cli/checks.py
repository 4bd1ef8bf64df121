"""The checks of ``doctor``: everything that would fail later, found now.

Takes a project, gives a list of :class:`Check`. Each check stands alone, so that one fault does not hide the next.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import timefence_pl as tf
from timefence_pl.cli.failures import failure_of
from timefence_pl.cli.project import LabelFlags, Project
from timefence_pl.cli.session import Steps, counted, shown_path
from timefence_pl.errors import listing

__all__ = ["Check", "Doctor"]

#: Folders of a store.
_PLACES: Final = ("builds", "cache", "feature_sets", "runs")
#: What is imported when it is used, with what for.
_OPTIONAL: Final = {
    "duckdb": "SQL that Polars does not have",
    "PyYAML": "timefence.yaml",
    "deltalake": "Delta tables",
    "pyiceberg": "Iceberg tables",
}


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        status: ``"OK"``, ``"WARN"`` or ``"FAIL"``: something later would fail.
        what: What was checked.
        message: What was found.
        detail: Where, why, and what to do.
    """

    status: str
    what: str
    message: str
    detail: str = ""


class Doctor:
    """Checks of one project, in order.

    Args:
        project: The project.
        feature_files: Feature files that were given.
        label_flags: What was given of the labels.
        quick: Read schemas only, no rows.
        steps: Told of each step.
    """

    def __init__(
        self,
        project: Project,
        feature_files: Sequence[str],
        label_flags: LabelFlags,
        *,
        quick: bool,
        steps: Steps,
    ) -> None:
        self.project = project
        self.feature_files = feature_files
        self.label_flags = label_flags
        self.quick = quick
        self.step = steps.step
        self.expect = steps.expect
        self.found: list[Check] = []

    def run(self) -> list[Check]:
        """All checks."""
        self._environment()
        features = self._features()
        self.expect(len({id(f.source) for f in features}) + 1 + len(features))
        broken = self._sources(features)
        labels = self._labels(features)
        sound = [f for f in features if id(f.source) not in broken]
        joined = self._joins(sound, labels)
        self._names(joined, labels, complete=len(joined) == len(features))
        self._output(joined, labels, features)
        self._store()
        return self.found

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _add(self, status: str, what: str, message: str, detail: str = "") -> None:
        self.found.append(Check(status, what, message, detail))

    def _tried(self, what: str, about: str, work: Callable[[], Any]) -> tuple[bool, Any]:
        """Do something; where it fails, note why, and where it warns, note that."""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                value = work()
            except Exception as error:  # noqa: BLE001 - each becomes a finding
                failure = failure_of(error)
                text = str(error) if failure is None else failure.text
                first, _, rest = text.partition("\n")
                self._add("FAIL", what, f"{about}: {first}" if about else first, rest.strip("\n"))
                return False, None
        for line in dict.fromkeys(str(w.message) for w in warned if issubclass(w.category, UserWarning)):
            self._add("WARN", what, f"{about}: {line}" if about else line)
        return True, value

    # --- the checks ---------------------------------------------------------------------------------------------------

    def _environment(self) -> None:
        import polars as pl  # noqa: PLC0415 - help needs none

        self._add("OK", "environment", f"timefence_pl {tf.__version__}, Polars {pl.__version__}")
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        there, missing = [], []
        for package, what in _OPTIONAL.items():
            try:
                there.append(f"{package} {version(package)}")
            except PackageNotFoundError:
                missing.append(f"{package} ({what})")
        if there:
            self._add("OK", "environment", f"optional packages: {', '.join(there)}")
        if missing:
            self._add("OK", "environment", f"not installed, and not needed unless used: {', '.join(missing)}")
        config = self.project.config
        if config.file is None:
            self._add("WARN", "configuration", "there is none (optional)", "`timefence-pl init` writes one.")
            return
        self._add("OK", "configuration", f"{config.file} is valid")
        if config.data_dir is not None and not config.data_dir.is_dir():
            self._add("WARN", "configuration", f"data_dir {config.data_dir} is not a folder")

    def _features(self) -> list[tf.Feature | tf.Window]:
        files = self.project.feature_files(self.feature_files)
        if not files and self.project.config.file is None:
            self._add(
                "WARN", "features", "no feature file is here", "`timefence-pl init` writes one that fits your data."
            )
            return []
        if not files:
            self._tried("features", "", lambda: self.project.features(self.feature_files))
            return []
        found: list[tf.Feature | tf.Window] = []
        for file in files:
            fine, made = self._tried("features", "", lambda file=file: self.project.files.load([file]))  # type: ignore[misc]
            if fine:
                windows = sum(isinstance(f, tf.Window) for f in made)
                among = f", {'1 of them a window' if windows == 1 else f'{windows} of them windows'}" if windows else ""
                self._add("OK", "features", f"{len(made)} in {file}{among}")
                found += [f for f in made if not any(f is g for g in found)]
        self._look_ahead(found)
        if len(files) > 1:
            self._tried("features", "together", lambda: tf.FeatureSet("all", found))
        return found

    def _look_ahead(self, features: Sequence[tf.Feature | tf.Window]) -> None:
        """What the linter finds; a feature that cannot be planned is told where it is joined."""
        for feature in features:
            try:
                findings = tf.lint(feature)
            except Exception:  # noqa: BLE001, S112 - the join tells why
                continue
            for f in findings:
                if not f.unread:
                    self._add("WARN", "features", f"{f.feature}: looks ahead: {f.expression}", f"{f.message}\n{f.fix}")

    def _sources(self, features: Sequence[tf.Feature | tf.Window]) -> set[int]:
        """Check each source once; gives those whose features cannot be checked."""
        broken: set[int] = set()
        known: dict[Any, bool] = {}
        for source in {id(f.source): f.source for f in features}.values():
            fine, same = self._tried("sources", source.name, source.identity)
            if fine and same in known:
                sound = known[same]
            else:
                self.step(f"Checking source {source.name}")
                sound, schema = self._tried("sources", source.name, lambda s=source: s.schema)  # type: ignore[misc]
                if sound and not self.quick:
                    sound, _ = self._tried(
                        "sources",
                        source.name,
                        lambda s=source, t=schema: self._rows(s, t),  # type: ignore[misc]
                    )
                elif sound:
                    self._add("OK", "sources", f"{source.name}: {len(schema)} columns from {source.described()}")
                if fine:
                    known[same] = sound
            if not sound:
                broken.add(id(source))
        return broken

    def _rows(self, source: tf.Source, schema: Mapping[str, Any]) -> None:
        import polars as pl  # noqa: PLC0415

        needed = [c for c in (source.timestamp, source.available_at) if c]
        told = [pl.col(c).null_count().alias(f"null {i}") for i, c in enumerate([*source.keys, *needed])]
        time = pl.col(source.timestamp)
        counted = source.scan().select(
            pl.len().alias("rows"), time.min().alias("first"), time.max().alias("last"), *told
        )
        facts = counted.collect(engine="streaming").row(0, named=True)
        rows = facts["rows"]
        if not rows:
            self._add("WARN", "sources", f"{source.name}: no rows in {source.described()}")
            return
        span = f"{facts['first']} to {facts['last']}"
        self._add("OK", "sources", f"{source.name}: {rows:,} rows from {source.described()}, {span}")
        for i, column in enumerate([*source.keys, *needed]):
            if facts[f"null {i}"]:
                text = f"{source.name}: {facts[f'null {i}']:,} rows have no {column}, and are never used"
                self._add("WARN", "sources", text)
        if facts["last"] is not None and _is_later_than_today(facts["last"]):
            text = f"{source.name}: {source.timestamp} goes on to {facts['last']}, later than today"
            self._add("WARN", "sources", text, "Placeholders such as 9999-12-31 never match, and planned times leak.")
        self._duplicates(source, schema)

    def _duplicates(self, source: tf.Source, schema: Mapping[str, Any]) -> None:
        import polars as pl  # noqa: PLC0415

        columns = [*source.keys, source.timestamp, *([source.available_at] if source.available_at else [])]
        columns += [c for c in source.tie_breaker if c in schema]
        groups = (
            source.scan().drop_nulls([*source.keys, source.timestamp]).group_by(columns).len().filter(pl.col("len") > 1)
        )
        found = groups.sort("len", *columns, descending=True).head(3).collect(engine="streaming")
        if not found.height:
            return
        count = int(groups.select(pl.col("len").sum()).collect(engine="streaming").item())
        examples = "\n".join(
            ", ".join(f"{c}={row[c]}" for c in columns) + f": {row['len']} rows" for row in found.iter_rows(named=True)
        )
        self._add(
            "WARN",
            "sources",
            f"{source.name}: {count:,} rows are duplicates in {listing(columns)}",
            f"{examples}\nA build stops where a label would have to choose between them; give the source a tie_breaker, "
            "or its features an on_duplicate. Windows count every row.",
        )

    def _labels(self, features: Sequence[tf.Feature | tf.Window]) -> tf.Labels | None:
        if not (self.label_flags.path or self.project.config.labels.path):
            self._add(
                "WARN",
                "labels",
                "none are given or configured",
                "Give --labels PATH, or labels.path in the configuration.",
            )
            return None
        fine, labels = self._tried("labels", "", lambda: self.project.labels(self.label_flags, features))
        if fine:
            fine, _ = self._tried("labels", "", lambda: labels.schema)
        if fine and not self.quick:
            self.step("Checking labels")
            fine, _ = self._tried("labels", "", lambda: self._label_rows(labels))
        elif fine:
            self._add("OK", "labels", f"{len(labels.schema)} columns from {labels.described()}")
        return labels if fine else None

    def _label_rows(self, labels: tf.Labels) -> None:
        import polars as pl  # noqa: PLC0415

        time = pl.col(labels.label_time)
        nulls = [pl.col(c).null_count().alias(f"null {i}") for i, c in enumerate([*labels.keys, labels.label_time])]
        counted = labels.scan().select(
            pl.len().alias("rows"), time.min().alias("first"), time.max().alias("last"), *nulls
        )
        facts = counted.collect(engine="streaming").row(0, named=True)
        if not facts["rows"]:
            self._add("WARN", "labels", f"no rows in {labels.described()}")
            return
        shown = f"{facts['rows']:,} rows from {labels.described()}, {facts['first']} to {facts['last']}"
        self._add("OK", "labels", shown)
        for i, column in enumerate([*labels.keys, labels.label_time]):
            if facts[f"null {i}"]:
                self._add("WARN", "labels", f"{facts[f'null {i}']:,} rows have no {column}, and match nothing")

    def _joins(
        self, features: Sequence[tf.Feature | tf.Window], labels: tf.Labels | None
    ) -> list[tf.Feature | tf.Window]:
        """Join each feature alone: its plan, and then its rows; gives those that can be joined."""
        options = self.project.join_options()
        sound = []
        for feature in features:
            self.step(f"Checking feature {feature.name}")
            about = feature.name
            fine, given = self._tried(
                "features",
                about,
                lambda f=feature: labels if labels is not None else _own_labels(f),  # type: ignore[misc]
            )
            if fine:
                fine, _ = self._tried(
                    "features",
                    about,
                    lambda f=feature, g=given: tf.explain(g, f, **options),  # type: ignore[misc]
                )
            if fine and not self.quick:
                fine, result = self._tried(
                    "features",
                    about,
                    lambda f=feature, g=given: tf.build(g, f, **options),  # type: ignore[misc]
                )
                if fine and labels is not None:
                    self._matches(feature, result)
                elif fine:
                    self._add("OK", "features", f"{about}: computed from {feature.source.name}")
            elif fine:
                self._add(
                    "OK", "features", f"{about}: fits its source" + (" and the labels" if labels is not None else "")
                )
            if fine:
                sound.append(feature)
        return sound

    def _matches(self, feature: tf.Feature | tf.Window, result: tf.BuildResult) -> None:
        stats = result.stats.feature_stats[feature.name]
        total = result.stats.label_count
        shown = f"{feature.name}: {stats['matched']:,} of {total:,} label rows match"
        if stats["matched"] or not total:
            self._add("OK", "features", shown)
            return
        where = ", ".join(f"{stats[p]:,} {p.replace('_', ' ')}" for p in ("stale", "too_old", "no_history") if stats[p])
        self._add(
            "WARN",
            "features",
            shown,
            f"{where}\nCompare its keys and times with the labels': timefence-pl explain --row 0",
        )

    def _names(self, features: Sequence[tf.Feature | tf.Window], labels: tf.Labels | None, *, complete: bool) -> None:
        if labels is None or len(features) < 2:
            return
        options = self.project.join_options()
        fine, _ = self._tried("features", "together", lambda: tf.explain(labels, features, **options))
        if fine and complete:
            self._add("OK", "features", f"all {len(features)} fit together: no two output columns have one name")

    def _output(
        self,
        sound: Sequence[tf.Feature | tf.Window],
        labels: tf.Labels | None,
        features: Sequence[tf.Feature | tf.Window],
    ) -> None:
        """Write an empty build of the same columns, splits and format elsewhere, and see whether the real one could be."""
        config = self.project.config
        placed = config.output_path is not None or config.output_dir is not None
        if not placed and not config.splits and not config.compression:
            return
        path = Path(self.project.output(None if config.output_path else "train.parquet"))
        blocked = _unwritable(path) if placed else None
        if blocked is not None:
            self._add("FAIL", "output", f"{path} cannot be written: {blocked}")
        inputs = {os.path.realpath(f) for s in features for f in _files_of(s.source)}
        inputs |= {os.path.realpath(f) for f in (_files_of(labels) if labels is not None else ())}
        if os.path.realpath(path) in inputs:
            self._add("FAIL", "output", f"{path} is one of the inputs")
            blocked = "an input"
        if labels is not None and sound:
            empty = tf.Labels(labels.scan().head(0), keys=labels.keys, label_time=labels.label_time)
            given: dict[str, Any] = {"compression": config.compression} if config.compression else {}
            if config.splits:
                given["splits"] = config.splits
                purge = config.defaults.get("purge")
                given |= {} if purge is None else {"purge": purge}
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / f"output{path.suffix}"
                fine, _ = self._tried(
                    "output", "", lambda: tf.build(empty, sound, target, **self.project.join_options(), **given)
                )
            if not fine:
                return
        if blocked is None:
            self._add("OK", "output", f"{path} can be written" if placed else "its splits and compression are valid")

    def _store(self) -> None:
        fine, store = self._tried("store", "", self.project.store)
        if not fine or store is None:
            return
        blocked = _unwritable(store.path / "lock")
        if blocked is not None:
            self._add("FAIL", "store", f"{shown_path(store.path)} cannot be written: {blocked}")
            return
        if not store.path.exists():
            return
        for place in sorted(store.path.iterdir()) if store.path.is_dir() else ():
            blocked = _unwritable(place / "x") if place.is_dir() or place.name in _PLACES else None
            if blocked is not None:
                self._add("FAIL", "store", f"{shown_path(place)} cannot be written: {blocked}")
                return
        fine, _ = self._tried("store", "", store.layout.check_version)
        if fine:
            fine, info = self._tried("store", "", store.cache_info)
        if fine:
            self._add(
                "OK",
                "store",
                f"{shown_path(store.path)}: {counted(info['builds'], 'build')}, {counted(info['entries'], 'feature frame')}",
            )
            if info["set_aside"]:
                self._add(
                    "WARN", "store", f"{info['set_aside']:,} damaged files were set aside (`timefence-pl store gc`)"
                )


def _own_labels(feature: tf.Feature | tf.Window) -> tf.Labels:
    """Labels made of the source's own keys and times, where there are none: enough to run the feature."""
    import polars as pl  # noqa: PLC0415

    source = feature.source
    named = {s: k for k, s in feature.key_mapping.items()}
    rows = source.scan().select(
        *(pl.col(k).alias(named.get(k, k)) for k in source.keys), pl.col(source.timestamp).alias("label_time")
    )
    frame = rows.head(1000).unique(maintain_order=True).collect(engine="streaming")
    return tf.Labels(frame, keys=[named.get(k, k) for k in source.keys], label_time="label_time")


def _files_of(table: tf.Source | tf.Labels) -> list[str]:
    try:
        return table.files()
    except tf.TimefenceError:
        return []


def _unwritable(path: Path) -> str | None:
    """Why a file cannot be written, as far as its folder tells."""
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is not a folder"
    if path.is_dir():
        return "it is a folder"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"no permission to write in {folder}"


def _is_later_than_today(value: Any) -> bool:
    from datetime import UTC, date, datetime, timedelta  # noqa: PLC0415

    if not isinstance(value, date):
        return False
    day = value.date() if isinstance(value, datetime) else value
    return day > datetime.now(UTC).date() + timedelta(days=1)
