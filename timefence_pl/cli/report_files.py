"""Report files: never over what a command reads, and whole or not at all.

Takes the paths of reports and what the command reads, gives an error where they meet; writes texts. Knows no report.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import timefence_pl as tf
from timefence_pl.cli.project import Project
from timefence_pl.errors import message

__all__ = ["refuse_inputs", "refuse_to_replace", "write_text"]

#: Files of these are data, code or configuration: no report of an earlier run.
_NO_REPORTS: Final = frozenset([".py", ".ipynb", ".sql", ".toml", ".yaml", ".yml", ".duckdb", ".db", ".sqlite"]) | {
    *(".parquet", ".pq", ".csv", ".tsv", ".ndjson", ".jsonl", ".arrow", ".ipc", ".feather"),
    *(".gz", ".zst", ".zstd", ".zlib"),
}


def refuse_inputs(
    project: Project,
    reports: Mapping[str, Path | None],
    data: Sequence[str] = (),
    features: Sequence[tf.Feature | tf.Window] = (),
) -> None:
    """Refuse reports that would destroy what a command reads, or be among its data from then on.

    Args:
        project: The project; its configuration, labels and feature files are inputs.
        reports: The reports' paths, by the options that named them; None where one was not asked for.
        data: Data sets the command reads, as they were given.
        features: Features whose sources it reads.

    Raises:
        TimefenceStoreError: If one is an input, or would be.
    """
    asked = {option: path for option, path in reports.items() if path is not None}
    if not asked:
        return
    tables = [*_tables([*data, *project.config.labels.path]), *(f.source.table for f in features)]
    read = [*project.files.paths(), *_databases(features), *(name for t in tables for name in _inputs(t))]
    read += [project.config.file] if project.config.file is not None else []
    modules = [getattr(m, "__file__", None) for m in tuple(sys.modules.values())]  # feature files import their siblings
    read += [m for m in modules if m is not None]
    refuse_to_replace(asked, read, project.config.store)
    for option, path in asked.items():
        reader = next((t for t in tables if _would_read(t, path)), None)
        if reader is not None:
            raise tf.TimefenceStoreError(
                message(
                    f"{option} {str(path)!r} would become one of the files of {reader.role}.",
                    where=f"it reads {reader.described()}",
                    why="The next run would read the report as data.",
                    fix="Give a path outside.",
                )
            )


def refuse_to_replace(
    reports: Mapping[str, Path | None], read: Iterable[str | Path], store: Path | None = None
) -> None:
    """Refuse reports that are, or stand in, one of the paths that a command reads, or that are no reports' files.

    Args:
        reports: The reports' paths, by the options that named them; None where one was not asked for.
        read: Files and folders.
        store: The store, whose folders are no place for reports.

    Raises:
        TimefenceStoreError: If one does.
    """
    inputs = {os.path.realpath(name) for name in [*read, *_places(store)]}
    taken: dict[str, str] = {}
    for option, path in reports.items():
        if path is None:
            continue
        real = os.path.realpath(path)
        if real in inputs or any(str(f) in inputs and f.is_dir() for f in Path(real).parents):
            raise tf.TimefenceStoreError(
                message(
                    f"{option} {str(path)!r} is one of the command's own inputs.",
                    why="Writing the report would destroy what it is made from.",
                    fix="Give another path.",
                )
            )
        if Path(real).suffix.lower() in _NO_REPORTS and Path(real).exists():
            raise tf.TimefenceStoreError(
                message(
                    f"{option} {str(path)!r} is there already, and by its suffix no report.",
                    why="Writing the report would destroy it.",
                    fix="Give another path, or remove the file.",
                )
            )
        if real in taken and not _is_device(real):
            raise tf.TimefenceStoreError(
                message(f"{taken[real]} and {option} are the same file {str(path)!r}.", fix="Give each its own path.")
            )
        taken[real] = option


def _places(store: Path | None) -> list[Path]:
    """The folders that are a store's own; others may share its root."""
    return [] if store is None else [store / name for name in ("builds", "cache", "feature_sets", "runs")]


def _is_device(path: str) -> bool:
    """Whether something other than a file or folder stands there: a terminal, a pipe, the null device."""
    return Path(path).exists() and not Path(path).is_file()


def _tables(data: Iterable[str]) -> Iterator[Any]:
    for path in data:
        try:
            yield tf.Source(path, keys=[], timestamp="?", name="data").table
        except tf.TimefenceError:  # the command tells what is wrong with it
            continue


def _inputs(table: Any) -> list[str]:
    try:
        found: list[str] = table.inputs()
    except tf.TimefenceError:
        return []
    return found


def _would_read(table: Any, path: Path) -> bool:
    try:
        return bool(table.would_read(str(path.absolute())))
    except tf.TimefenceError:
        return False


def _databases(features: Iterable[tf.Feature | tf.Window]) -> list[str | Path]:
    connections = [f.source.connection for f in features if isinstance(f.source, tf.SQLSource)]
    return [c for c in connections if isinstance(c, str | Path)]


def write_text(path: Path, text: str, *, append: bool = False) -> None:
    """Write a report whole or not at all; what a link leads to is replaced, not the link.

    Raises:
        TimefenceStoreError: If the file system refuses; what stood there is unchanged.
    """
    data = text.encode(errors="backslashreplace")
    real = Path(os.path.realpath(path))
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        if append or _is_device(str(real)):
            _append(real, data)
        else:
            _replace(real, data)
    except OSError as error:
        raise tf.TimefenceStoreError(
            message(
                f"{str(path)!r} cannot be written: {error.strerror}.",
                fix="Check the folder, its permissions and the free space; a file that stood there is unchanged.",
            )
        ) from error


def _append(path: Path, data: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        before = file.tell() if path.is_file() else None
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
        except OSError:
            if before is not None:
                file.truncate(before)
            raise


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
