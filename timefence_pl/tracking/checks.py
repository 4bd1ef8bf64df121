"""What changed upstream of a version or a run, and whether a version can be made again.

Takes a layout and references, reads the files that records name and compares their hashes. Makes a version again from the
definitions that its record holds as plain values, or from those that are given: nothing of a record is ever run.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from timefence_pl.build import build
from timefence_pl.definitions.feature_set import Features, flat_features
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.table import Table
from timefence_pl.errors import (
    IntegrityError,
    NotFoundError,
    TimefenceConfigError,
    TimefenceError,
    TimefenceStoreError,
    message,
)
from timefence_pl.fingerprint import FileHasher
from timefence_pl.provenance import definition_hash
from timefence_pl.recipes import NotKept, recorded_options, restored_recipe
from timefence_pl.result import BuildResult
from timefence_pl.store.layout import Layout
from timefence_pl.tracking.content import content_of, schema_text
from timefence_pl.tracking.lineage import resolve
from timefence_pl.tracking.origins import files_of
from timefence_pl.tracking.run_records import find_run_folder, read_run, read_summary
from timefence_pl.tracking.versions import FeatureSetVersion, find_version

__all__ = ["Change", "CheckReport", "Rebuilt", "check", "rebuild"]


@dataclass(frozen=True)
class Change:
    """Something upstream that is not what it was.

    Attributes:
        kind: ``"file"``, ``"feature set"``, ``"artifact"``, ``"data"`` or ``"definition"``.
        name: The path, reference or name.
        what: ``"changed"``, ``"missing"`` or ``"new"``.
        of: What it belongs to: a source, the labels, a version.
        expected: The hash that was recorded; None where there was none.
        actual: The hash that is there now; None where there is nothing.
    """

    kind: str
    name: str
    what: str
    of: str
    expected: str | None
    actual: str | None

    def __str__(self) -> str:
        hashes = f": expected {self.expected}, actual {self.actual or 'nothing'}" if self.expected else ""
        return f"{self.kind} {self.name} ({self.of}) {'is ' if self.what != 'changed' else ''}{self.what}{hashes}"


@dataclass(frozen=True, repr=False)
class CheckReport:
    """What changed upstream since a version was published, or a run used it.

    Attributes:
        ref: What was checked.
        stale: What changed; nothing where all is as it was.
        unchecked: What cannot be checked, and why.
        checked: How many files and versions were.
        unknown: Files that were written to between the build and the publication, so that it is not known what was read;
            they are among ``unchecked`` too.
    """

    ref: str
    stale: tuple[Change, ...]
    unchecked: tuple[str, ...]
    checked: int
    unknown: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing that can be checked has changed, and it is known of every file what was read of it."""
        return not self.stale and not self.unknown

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "ref": self.ref,
            "ok": self.ok,
            "checked": self.checked,
            "stale": [dict(vars(c)) for c in self.stale],
            "unchecked": list(self.unchecked),
            "unknown": list(self.unknown),
        }

    def __str__(self) -> str:
        if self.stale:
            told = f"{len(self.stale)} change(s) upstream"
        elif self.unknown:
            told = f"{len(self.unknown)} file(s) upstream were written to between the build and the publication"
        elif self.unchecked:
            told = "nothing that can be checked changed upstream"
        else:
            told = "nothing changed upstream"
        lines = [f"{self.ref}: {told}; {self.checked} checked"]
        lines += [f"  {change}" for change in self.stale]
        lines += [f"  not checked: {reason}" for reason in self.unchecked]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"CheckReport({self.ref!r}, {len(self.stale)} stale, {self.checked} checked)"


@dataclass(frozen=True, repr=False)
class Rebuilt:
    """A version made again.

    Attributes:
        ref: The version.
        identical: Whether the rows are the same: every name, data type and value.
        expected: The content hash that was published.
        actual: That of the rows made now.
        differences: What differs, in words; empty where nothing does.
        upstream: What changed in the sources since.
        result: The build.
    """

    ref: str
    identical: bool
    expected: str
    actual: str
    differences: tuple[str, ...]
    upstream: CheckReport
    result: BuildResult

    def __str__(self) -> str:
        lines = [f"{self.ref} made again: {'identical' if self.identical else 'not identical'}"]
        lines += [f"  expected: {self.expected}", f"  actual:   {self.actual}"]
        lines += [f"  {difference}" for difference in self.differences]
        lines += [f"  upstream: {change}" for change in self.upstream.stale]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Rebuilt({self.ref!r}, identical={self.identical})"


def check(layout: Layout, ref: object, features: Features | None = None) -> CheckReport:
    """Compare what a version, or a run's inputs, were made from with what is there now.

    Args:
        layout: The store.
        ref: A version or a run; as for :func:`trace`.
        features: The features as they are defined now, to compare their definitions too.

    Raises:
        NotFoundError: If there is no such thing.
        TimefenceConfigError: If it is a file.
    """
    kind, found = resolve(layout, ref)
    work = _Check(
        layout, FileHasher(algorithm="sha256"), {} if features is None else {f.name: f for f in flat_features(features)}
    )
    if kind == "feature set":
        work.version(found)
        name = found.ref
    elif kind == "run":
        work.run(found)
        name = f"run {found['run_id']}"
    else:
        raise TimefenceConfigError(
            message(f"{ref!r} is neither a feature set version nor a run.", fix="Give 'name:v1', or a run's id.")
        )
    unchecked, unknown = tuple(dict.fromkeys(work.unchecked)), tuple(dict.fromkeys(work.unknown))
    return CheckReport(name, tuple(work.stale), unchecked, work.checked, unknown)


def rebuild(
    layout: Layout, ref: object, labels: Labels | None, features: Features | None, options: Mapping[str, Any]
) -> Rebuilt:
    """Build a version again, in memory, and compare the rows.

    Args:
        layout: The store.
        ref: The version.
        labels: Its labels; from its record by default.
        features: Its features; from its record by default.
        options: Options of :func:`build`, beyond those the record has.

    Raises:
        TimefenceStoreError: If no build made it, or its record does not hold the definitions and they are not given.
    """
    version = find_version(layout, ref)  # type: ignore[arg-type]
    if version.build is None:
        raise TimefenceStoreError(
            message(
                f"{version.ref} was published from rows, not from a build: there is nothing to make it again with.",
                fix="Publish the build itself: store.publish(name, tf.build(...)).",
            )
        )
    if (labels is None) != (features is None):
        raise TimefenceConfigError(
            message("Labels and features are to be given together.", fix="Give both, or neither.")
        )
    given: dict[str, Any] = {}
    if labels is None or features is None:
        labels, features, given = _from_record(version)
    else:
        given = _recorded_options(version)
    result = build(labels, features, **{**given, **options})
    frame = result.frame()
    upstream = check(layout, version.ref, features)
    missing = [c for c in (*version.keys, version.timestamp) if c is not None and c not in frame.columns]
    if missing:
        raise TimefenceStoreError(
            message(
                f"The rows made again have no column {missing[0]!r}, which is a key of {version.ref}.",
                fix="Give the labels and features it was built from.",
            )
        )
    content = content_of(frame, version.keys, version.timestamp)
    return Rebuilt(
        ref=version.ref,
        identical=content.content_hash == version.fingerprint.content_hash,
        expected=version.fingerprint.content_hash,
        actual=content.content_hash,
        differences=tuple(_differences(version, frame, content.columns)),
        upstream=upstream,
        result=result,
    )


def _from_record(version: FeatureSetVersion) -> tuple[Labels, Features, dict[str, Any]]:
    recipe = version.inputs.get("recipe")
    reason = str(version.inputs.get("reason") or "its record has no definitions")
    if recipe is not None:
        try:
            return restored_recipe(recipe)
        except NotKept as error:
            reason = str(error)
    raise TimefenceStoreError(
        message(
            f"{version.ref} cannot be made again from its record: {reason}.",
            why="Nothing that a store holds is ever run, so only definitions without code are kept.",
            fix=f"Give them: store.rebuild({version.ref!r}, labels=..., features=...).",
        )
    )


def _recorded_options(version: FeatureSetVersion) -> dict[str, Any]:
    """The options of a build whose definitions are given; the recipe knows them exactly, else the manifest."""
    recipe = version.inputs.get("recipe")
    if recipe is not None:
        try:
            return recorded_options(recipe)
        except (NotKept, KeyError, TypeError, IndexError):
            recipe = None  # the manifest says them too
    parameters = dict((version.build or {}).get("parameters") or {})
    if parameters.get("max_lookback") == "365d":
        parameters.pop("max_lookback")  # the default, which fits integer times too
    return parameters


def _differences(version: FeatureSetVersion, frame: pl.DataFrame, columns: Mapping[str, str]) -> Iterator[str]:
    f, schema = version.fingerprint, schema_text(frame.schema)
    for name, dtype in f.schema.items():
        if name not in schema:
            yield f"column {name!r} is missing"
        elif schema[name] != dtype:
            yield f"column {name!r}: expected {dtype}, actual {schema[name]}"
        elif f.n_rows == frame.height and columns[name] != f.columns.get(name):
            yield f"values of {name!r} differ"
    for name in schema:
        if name not in f.schema:
            yield f"column {name!r} is new"
    if f.n_rows != frame.height:
        yield f"rows: expected {f.n_rows:,}, actual {frame.height:,}"


class _Check:
    """Findings, gathered while records are gone through; each version and run once."""

    def __init__(self, layout: Layout, hasher: FileHasher, features: Mapping[str, Any]) -> None:
        self.layout = layout
        self.hasher = hasher
        self.features = features
        self.stale: list[Change] = []
        self.unchecked: list[str] = []
        self.unknown: list[str] = []
        self.checked = 0
        self._seen: set[str] = set()
        self._hashes: dict[str, str | None] = {}

    def run(self, summary: Mapping[str, Any]) -> None:
        waiting = [summary]
        while waiting:
            now = waiting.pop()
            if now["run_id"] in self._seen:
                continue
            self._seen.add(now["run_id"])
            for given in now["inputs"]:
                upstream = self._input(now["run_id"], given)
                waiting += [] if upstream is None else [upstream]

    def version(self, version: FeatureSetVersion) -> None:
        if version.ref in self._seen:
            return
        self._seen.add(version.ref)
        self.checked += 1
        try:
            version.verify("file")
        except IntegrityError as error:
            actual = None if error.actual is None else str(error.actual)
            what = "missing" if actual is None else "changed"
            self.stale.append(
                Change("feature set", version.ref, what, str(version.path), version.fingerprint.file_sha256, actual)
            )
        except NotFoundError:
            f = version.fingerprint
            self.stale.append(Change("feature set", version.ref, "missing", "deleted", f.file_sha256, None))
        self._upstream(version)

    def _upstream(self, version: FeatureSetVersion) -> None:
        inputs = version.inputs
        if not inputs:
            self.unchecked.append(f"{version.ref} was published from rows, whose origin is not known")
            return
        for file in files_of(inputs):
            self._file(file["path"], file.get("sha256"), str(file["source"]), remote=bool(file.get("remote")))
        for record in ({**inputs["labels"], "name": "labels"}, *inputs["sources"]):
            if record["kind"] in ("frame", "lazy frame") and not record["files"]:
                self.unchecked.append(f"{record['name']} is a {record['kind']}, which is not kept")
            elif record["kind"] == "sql" and not record["files"]:
                self.unchecked.append(f"{record['name']} is a query of a database")
            else:
                self._new_files(record)
        for name, record in inputs["features"].items():
            if name in self.features:
                self.checked += 1
                now = definition_hash(self.features[name])["definition_hash"]
                if now != record.get("definition_hash"):
                    what = f"feature of {version.ref}"
                    self.stale.append(Change("definition", name, "changed", what, record.get("definition_hash"), now))
            elif self.features:
                self.stale.append(
                    Change(
                        "definition", name, "missing", f"feature of {version.ref}", record.get("definition_hash"), None
                    )
                )

    def _new_files(self, record: Mapping[str, Any]) -> None:
        """Files that a pattern or folder has gained."""
        if not record["patterns"] or any(f.get("remote") for f in record["files"]):
            return
        try:
            table = Table.of(record["name"], [str(p) for p in record["patterns"]], None, None, None, {})
            found = table.local_files()
        except TimefenceError:
            return  # what is missing is told file by file
        known = {f["path"] for f in record["files"]}
        for path in found:
            if os.path.abspath(path) not in known:  # noqa: PTH100 - links stay as they are read
                self.checked += 1
                self.stale.append(Change("file", str(path), "new", str(record["name"]), None, self._hash(str(path))))

    def _input(self, run_id: str, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Check one input of a run; gives the run that it is, if it is one."""
        of = f"input {given.get('name')} of run {run_id}"
        kind = given.get("kind")
        if kind == "feature set":
            try:
                self.version(find_version(self.layout, str(given["ref"])))
            except TimefenceError:
                self.checked += 1
                self.stale.append(
                    Change("feature set", str(given["ref"]), "missing", of, given.get("file_sha256"), None)
                )
        elif kind == "dataset" and given.get("path"):
            self._file(str(given["path"]), given.get("file_sha256"), of, remote=False)
        elif kind == "dataset":
            self.unchecked.append(f"{of} is a frame, which is not kept")
        elif kind == "dvc":
            self._dvc(given, of)
        elif kind == "run":
            return self._run(given, of)
        return None

    def _run(self, given: Mapping[str, Any], of: str) -> Mapping[str, Any] | None:
        run_id = str(given["run_id"])
        try:
            folder = find_run_folder(self.layout, run_id)
            upstream = read_summary(folder)[0]
        except TimefenceError:
            self.checked += 1
            self.stale.append(Change("run", run_id, "missing", of, None, None))
            return None
        name = given.get("artifact")
        if name is not None:
            self.checked += 1
            expected, actual = given.get("file_sha256"), self._hash(str(folder.artifact(str(name))))
            if actual != expected or name not in read_run(folder).artifacts:
                what = "missing" if actual is None else "changed"
                self.stale.append(Change("artifact", f"{name} of run {run_id}", what, of, expected, actual))
        return upstream

    def _dvc(self, given: Mapping[str, Any], of: str) -> None:
        from timefence_pl.integrations.dvc import checked_output  # noqa: PLC0415 - an extra

        self.checked += 1
        expected = f"md5:{given.get('md5')}"
        try:
            actual: str | None = f"md5:{checked_output(str(given['path']))['md5']}"
        except IntegrityError as error:
            actual = str(error.actual)
        except TimefenceError:
            actual = None
        if actual != expected:
            what = "missing" if actual is None else "changed"
            self.stale.append(Change("data", str(given["path"]), what, of, expected, actual))

    def _file(self, path: str, expected: str | None, of: str, *, remote: bool) -> None:
        if remote:
            self.unchecked.append(f"{path} ({of}) is not on this machine")
            return
        if expected is None:
            self.unchecked.append(f"{path} ({of}) had changed before it was published: what was read is not known")
            self.unknown.append(path)
            return
        self.checked += 1
        actual = self._hash(path)
        if actual != expected:
            self.stale.append(Change("file", path, "missing" if actual is None else "changed", of, expected, actual))

    def _hash(self, path: str) -> str | None:
        """The SHA-256 of a regular file; None where there is none: a record may name anything."""
        if path not in self._hashes:
            try:
                regular = stat.S_ISREG(Path(path).stat().st_mode)
                self._hashes[path] = self.hasher.hash(path) if regular else None
            except (OSError, ValueError, TimefenceError):
                self._hashes[path] = None
        return self._hashes[path]
