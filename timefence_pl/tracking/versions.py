"""Published versions: their records read, found by reference, listed, and what a consumer gets.

Takes a layout and references, gives :class:`FeatureSetVersion`. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from timefence_pl.errors import IntegrityError, NotFoundError, did_you_mean, listing, message
from timefence_pl.store.files import is_temporary
from timefence_pl.store.layout import Layout
from timefence_pl.store.names import checked_stored_name
from timefence_pl.store.records import unsealed
from timefence_pl.tracking.aliases import State, read_state
from timefence_pl.tracking.fingerprints import SetFingerprint, VerifyLevel, checked_level, verify_file
from timefence_pl.tracking.folders import SetFolder, set_names
from timefence_pl.tracking.refs import Ref, parse_ref
from timefence_pl.tracking.values import from_json

if TYPE_CHECKING:
    from timefence_pl.tracking.checks import CheckReport
    from timefence_pl.tracking.lineage import Lineage

__all__ = [
    "FeatureSetVersion",
    "find_version",
    "known_versions",
    "published",
    "read_version",
    "recorded_version",
    "versions_frame",
]

_SCHEMA: Final[dict[str, Any]] = {
    "name": pl.String,
    "version": pl.Int64,
    "created_at": pl.Datetime("us", "UTC"),
    "n_rows": pl.Int64,
    "size_bytes": pl.Int64,
    "content_hash": pl.String,
    "file_sha256": pl.String,
    "names": pl.List(pl.String),
    "build_id": pl.String,
    "run_id": pl.String,
    "status": pl.String,
}


@dataclass(frozen=True, repr=False)
class FeatureSetVersion:
    """One published version of a feature set: rows that never change, and where they came from.

    Attributes:
        name: The feature set.
        version: Its number: 1, 2, ...
        fingerprint: Hash of the file, hash of the content, schema, rows.
        keys: Key columns.
        timestamp: The time column, if any.
        created_at: When it was published, in UTC.
        metadata: What its publisher said of it.
        path: The Parquet file; outside the store where it was published with ``copy=False``.
        build: The manifest of the build it came from, if any.
        inputs: The files and definitions it was built from, with their hashes; empty where they are not known.
        run_id: The run that published it, if any.
        names: Aliases and tags that pointed at it when it was read.
    """

    name: str
    version: int
    fingerprint: SetFingerprint
    keys: tuple[str, ...]
    timestamp: str | None
    created_at: datetime
    metadata: Mapping[str, Any]
    path: Path
    build: Mapping[str, Any] | None
    inputs: Mapping[str, Any]
    run_id: str | None
    names: tuple[str, ...]
    _layout: Layout = field(compare=False)

    @property
    def ref(self) -> str:
        """The reference that always means this version: ``name:v3``."""
        return f"{self.name}:v{self.version}"

    @property
    def is_reference(self) -> bool:
        """Whether the file stands outside the store."""
        return not self.path.is_relative_to(self._layout.root)

    def verify(self, level: VerifyLevel = "file") -> bool:
        """Check the file, now.

        Args:
            level: ``"size"``: there, of the recorded size, with no file beside it that does not belong there.
                ``"file"``: every byte too. ``"content"``: every value, name and data type, in whatever order of rows
                and compression. ``"none"``: nothing.

        Returns:
            True; it never returns anything else.

        Raises:
            IntegrityError: If it is not what was published; tells expected from actual.
            NotFoundError: If the version was deleted.
        """
        checked_level(level)
        folder = SetFolder(self._layout, self.name)
        if folder.deleted(self.version).exists():
            raise _deleted(folder, self.version)
        if level == "none":
            return True
        verify_file(f"Version {self.ref}", self.path, self.fingerprint, level, keys=self.keys, timestamp=self.timestamp)
        _refuse_extra_files(folder, self.version)
        return True

    def scan(self, verify: VerifyLevel = "file") -> pl.LazyFrame:
        """The rows, lazily, in the order in which they were published; checked now, before any is read.

        Collecting reads the file as it is then. A store's files are read-only and never written again; where others may
        change them in between, take :meth:`frame`, which reads at once, or :meth:`verify` again afterwards.

        Args:
            verify: As for :meth:`verify`.

        Raises:
            IntegrityError: As :meth:`verify`.
        """
        self.verify(verify)
        return pl.scan_parquet(self.path, glob=False, hive_partitioning=False)

    def frame(self, verify: VerifyLevel = "file") -> pl.DataFrame:
        """The rows in memory; as :meth:`scan`."""
        return self.scan(verify).collect(engine="streaming")

    def lineage(self, direction: str = "up") -> Lineage:
        """Where it came from (``"up"``), or what was made of it (``"down"``)."""
        from timefence_pl.tracking.lineage import trace  # noqa: PLC0415 - lineage is made of versions

        return trace(self._layout, self.ref, direction)

    def check(self) -> CheckReport:
        """What of its file and its sources has changed since it was published."""
        from timefence_pl.tracking.checks import check  # noqa: PLC0415 - checks are of versions

        return check(self._layout, self.ref)

    def to_mlflow(self) -> Any:
        """An MLflow dataset, for ``mlflow.log_input``; needs the extra ``mlflow``."""
        from timefence_pl.integrations.mlflow import dataset_of  # noqa: PLC0415 - an extra

        return dataset_of(self.to_dict())

    def log_to_mlflow(self, *, context: str = "training", run_id: str | None = None, client: Any = None) -> Any:
        """Log it as an input of an MLflow run, with its full hash, reference and fingerprint as tags.

        Args:
            context: What it was used for.
            run_id: The run; the active one by default.
            client: An ``MlflowClient``; one of the current tracking URI by default.

        Returns:
            The MLflow dataset.

        Raises:
            TimefenceConfigError: If MLflow is not installed, or there is no run.
        """
        from timefence_pl.integrations.mlflow import log_dataset  # noqa: PLC0415 - an extra

        return log_dataset(self.to_dict(), context=context, run_id=run_id, client=client)

    def to_dict(self) -> dict[str, Any]:
        """Everything known of it, as plain values."""
        return {
            "ref": self.ref,
            "name": self.name,
            "version": self.version,
            "fingerprint": self.fingerprint.to_dict(),
            "keys": list(self.keys),
            "timestamp": self.timestamp,
            "created_at": self.created_at.isoformat(),
            "metadata": dict(self.metadata),
            "path": str(self.path),
            "build": None if self.build is None else dict(self.build),
            "inputs": dict(self.inputs),
            "run_id": self.run_id,
            "names": list(self.names),
        }

    def __str__(self) -> str:
        f = self.fingerprint
        lines = [
            f"{self.ref}: {f.n_rows:,} rows, {len(f.schema)} columns, {f.size_bytes:,} bytes",
            f"  published: {self.created_at:%Y-%m-%d %H:%M:%S} UTC" + (f", {listing(self.names)}" * bool(self.names)),
            f"  keys:      {', '.join(self.keys) or 'none'}"
            + (f", timestamp {self.timestamp}" if self.timestamp else ""),
            f"  content:   {f.content_hash}",
            f"  file:      {f.file_sha256}",
            f"  from:      {self._origin()}",
        ]
        lines += [f"  {n}: {v}" for n, v in self.metadata.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"FeatureSetVersion({self.ref!r}, {self.fingerprint.n_rows} rows, {self.fingerprint.content_hash!r})"

    def _origin(self) -> str:
        made = f"build {self.build['build_id']}" if self.build else "a frame"
        return made + (f", in run {self.run_id}" if self.run_id else "")


def find_version(layout: Layout, ref: str | Ref | FeatureSetVersion) -> FeatureSetVersion:
    """The version that a reference means now.

    Raises:
        InvalidNameError: If it is no reference.
        NotFoundError: If there is no such version, or it was deleted.
        IntegrityError: If its record is damaged.
    """
    if isinstance(ref, FeatureSetVersion):
        ref = ref.ref
    wanted = ref if isinstance(ref, Ref) else parse_ref(ref)
    folder = SetFolder(layout, wanted.name)
    if not folder.begun():
        raise _no_set(layout, wanted.name)
    if wanted.digest is not None:
        return _by_hash(folder, folder.claimed(), wanted)
    if wanted.version is not None:
        return read_version(folder, wanted.version)
    state = read_state(folder)
    return read_version(folder, state.find(folder, str(wanted.alias)), state)


def read_version(folder: SetFolder, number: int, state: State | None = None) -> FeatureSetVersion:
    """A version by number.

    Raises:
        NotFoundError: If there is none, or it was deleted.
        IntegrityError: If its record is damaged.
    """
    if folder.deleted(number).exists():
        raise _deleted(folder, number)
    if state is None:
        try:
            state = read_state(folder)
        except IntegrityError:
            state = State(last=number)  # a version by number is found where it is not known what aliases point at
    if number > state.last:
        raise _no_version(folder, number)  # half made
    return _from_record(folder, number, _record(folder, number), state)


def published(folder: SetFolder, state: State) -> list[int]:
    """Numbers of all versions that were published, ascending; deleted ones left out."""
    return [
        n for n in folder.claimed() if n <= state.last and folder.record(n).exists() and not folder.deleted(n).exists()
    ]


def known_versions(folder: SetFolder) -> list[FeatureSetVersion]:
    """All whole versions of a feature set, oldest first; those deleted, damaged or half made are passed over."""
    state = read_state(folder)
    found = []
    for number in folder.claimed():
        try:
            found.append(read_version(folder, number, state))
        except (NotFoundError, IntegrityError):
            continue
    return found


def recorded_version(folder: SetFolder, number: int) -> FeatureSetVersion | None:
    """What is recorded of a version, deleted or not; None where nothing can be read."""
    try:
        return _from_record(folder, number, _record(folder, number), State())
    except (NotFoundError, IntegrityError):
        return None


def versions_frame(layout: Layout, name: str) -> pl.DataFrame:
    """A row a version, oldest first; ``status`` is ``"published"``, ``"deleted"`` or ``"damaged"``.

    Raises:
        NotFoundError: If there is no such feature set.
    """
    folder = SetFolder(layout, checked_stored_name("feature set", name))
    if not folder.begun():
        raise _no_set(layout, folder.name)
    state = read_state(folder)
    rows: list[dict[str, Any]] = []
    for number in folder.claimed():
        if number > state.last or not folder.record(number).exists():
            continue  # half made, or half removed
        status = "deleted" if folder.deleted(number).exists() else "published"
        version = recorded_version(folder, number)
        row: dict[str, Any] = {"name": folder.name, "version": number, "names": state.of(number)}
        if version is None:
            status = "deleted" if status == "deleted" else "damaged"
        else:
            f = version.fingerprint
            row |= {
                "created_at": version.created_at,
                "n_rows": f.n_rows,
                "size_bytes": f.size_bytes,
                "content_hash": f.content_hash,
                "file_sha256": f.file_sha256,
                "build_id": version.build["build_id"] if version.build else None,
                "run_id": version.run_id,
            }
        rows.append({**row, "status": status})
    return pl.DataFrame(rows, schema=_SCHEMA)


def _by_hash(folder: SetFolder, claimed: list[int], wanted: Ref) -> FeatureSetVersion:
    digest = str(wanted.digest)
    found = [
        v
        for v in known_versions(folder)
        if v.fingerprint.content_hash.startswith(digest) or v.fingerprint.file_sha256.startswith(digest)
    ]
    if len({v.fingerprint.content_hash for v in found}) > 1:
        raise NotFoundError(
            message(f"{str(wanted)!r} fits {len(found)} versions of different content.", fix="Give more digits.")
        )
    if not found:
        raise NotFoundError(
            message(
                f"No version of {folder.name!r} has the hash {digest}.",
                where=f"versions: {listing(f'v{n}' for n in claimed)}",
                fix=f"List them: store.versions({folder.name!r}).",
            )
        )
    return found[-1]


def _record(folder: SetFolder, number: int) -> dict[str, Any]:
    path = folder.record(number)
    if folder.path.is_symlink() or path.parent.is_symlink():
        raise _no_version(folder, number)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise _no_version(folder, number) from None
    except OSError as error:
        raise _damaged(folder, number, error.strerror or "it cannot be read") from error
    record = unsealed(data)
    if record is None or record.get("name") != folder.name or record.get("version") != number:
        raise _damaged(folder, number, "it is not as it was written" if record is None else "it is another's")
    return record


def _from_record(folder: SetFolder, number: int, record: Mapping[str, Any], state: State) -> FeatureSetVersion:
    try:
        data = record["data"]
        path = folder.data(number) if data["kind"] == "copy" else Path(data["path"])
        return FeatureSetVersion(
            name=folder.name,
            version=number,
            fingerprint=SetFingerprint.from_dict(record["fingerprint"]),
            keys=tuple(record["keys"]),
            timestamp=record["timestamp"],
            created_at=datetime.fromisoformat(record["created_at"]),
            metadata=from_json(record["metadata"]),
            path=path,
            build=record["build"],
            inputs=record["inputs"],
            run_id=record["run_id"],
            names=tuple(state.of(number)),
            _layout=folder.layout,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, number, f"it lacks what a record has ({error})") from error


def _refuse_extra_files(folder: SetFolder, number: int) -> None:
    known = {folder.record(number).name, folder.data(number).name}
    # What a killed deletion left is none of the version's, and gc removes it.
    extra = sorted(p.name for p in folder.version(number).iterdir() if p.name not in known and not is_temporary(p))
    if extra:
        raise IntegrityError(
            message(
                f"There are files beside version {folder.name}:v{number} that do not belong to it: {listing(extra)}.",
                where=str(folder.version(number)),
                fix="See who wrote them, and remove them.",
            ),
            expected=sorted(known),
            actual=sorted([*known, *extra]),
        )


def _no_set(layout: Layout, name: str) -> NotFoundError:
    known = set_names(layout)
    return NotFoundError(
        message(
            f"There is no feature set {name!r} in {str(layout.root)!r}. {did_you_mean(name, known)}".rstrip(),
            where=f"feature sets: {listing(known)}",
            fix=f"Publish it: store.publish({name!r}, frame, keys=...).",
        )
    )


def _no_version(folder: SetFolder, number: int) -> NotFoundError:
    try:
        there = [f"v{n}" for n in published(folder, read_state(folder))]
    except IntegrityError:
        there = [f"v{n}" for n in folder.claimed()]
    return NotFoundError(
        message(
            f"There is no version {folder.name}:v{number}.",
            where=f"versions: {listing(there)}",
            fix=f"List them: store.versions({folder.name!r}).",
        )
    )


def _deleted(folder: SetFolder, number: int) -> NotFoundError:
    record = unsealed(folder.deleted(number).read_bytes()) or {}
    return NotFoundError(
        message(
            f"The version {folder.name}:v{number} was deleted, at {record.get('at', 'an unknown time')}.",
            fix=f"List the others: store.versions({folder.name!r}).",
        )
    )


def _damaged(folder: SetFolder, number: int, reason: str) -> IntegrityError:
    return IntegrityError(
        message(
            f"The record of version {folder.name}:v{number} is damaged: {reason}.",
            where=str(folder.record(number)),
            fix="Put it back from a copy of the store, or publish the data again.",
        )
    )
