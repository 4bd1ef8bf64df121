"""Output files: checked before work, written beside their target, renamed when whole.

Takes paths and frames, gives files that appear whole or not at all. Knows nothing of features.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from timefence_pl.errors import (
    TimefenceConfigError,
    TimefenceError,
    TimefenceStoreError,
    did_you_mean,
    listing,
    message,
)

__all__ = ["COMPRESSIONS", "OutputFile", "WholeFiles", "check_output", "whole_files"]

COMPRESSIONS: Final = ("zstd", "lz4", "snappy", "gzip", "brotli", "uncompressed")
_FORMATS: Final = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".ndjson": "ndjson", ".arrow": "ipc"}


@dataclass(frozen=True)
class OutputFile:
    """A file to be written.

    Attributes:
        path: Where it will stand.
        format: ``"parquet"``, ``"csv"``, ``"ndjson"`` or ``"ipc"``.
        compression: Of Parquet files; Arrow files take it where they can.
    """

    path: Path
    format: str
    compression: str

    def beside(self, name: str) -> OutputFile:
        """The file ``{stem}_{name}{suffix}`` in the same folder."""
        return OutputFile(
            self.path.with_name(f"{self.path.stem}_{name}{self.path.suffix}"), self.format, self.compression
        )

    def scan(self) -> pl.LazyFrame:
        """The written file, lazily."""
        return _scan(self.format, self.path)

    def write(self, frame: pl.DataFrame, path: Path) -> None:
        """Write a frame in this file's format to ``path``."""
        if self.format == "parquet":
            frame.write_parquet(path, compression=self.compression)  # type: ignore[arg-type]
        elif self.format == "csv":
            frame.write_csv(path)
        elif self.format == "ndjson":
            frame.write_ndjson(path)
        else:
            frame.write_ipc(path, compression=_ipc_compression(self.compression))

    def sink(self, frame: pl.LazyFrame, path: Path) -> None:
        """Stream a lazy frame in this file's format to ``path``."""
        if self.format == "parquet":
            compression: Any = self.compression
            frame.sink_parquet(path, compression=compression, engine="streaming")
        elif self.format == "csv":
            frame.sink_csv(path, engine="streaming")
        elif self.format == "ndjson":
            frame.sink_ndjson(path, engine="streaming")
        else:
            frame.sink_ipc(path, compression=_ipc_compression(self.compression), engine="streaming")


def check_output(output: str | Path, compression: str, inputs: Iterable[str]) -> OutputFile:
    """Check where a build is to write.

    Raises:
        TimefenceConfigError: If the format cannot be told or the path is a folder.
        TimefenceStoreError: If it is one of the build's own inputs.
    """
    if compression not in COMPRESSIONS:
        raise TimefenceConfigError(
            message(
                f"compression={compression!r} is not known. {did_you_mean(str(compression), COMPRESSIONS)}".rstrip(),
                fix=f"Use one of {listing(COMPRESSIONS)}.",
            )
        )
    if not isinstance(output, str | os.PathLike) or not str(output):
        raise TimefenceConfigError(message(f"output={output!r} is not a path.", fix="Give a path, or None."))
    path = Path(output)
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise TimefenceConfigError(
            message(
                f"The format of output={str(output)!r} cannot be told from its suffix {path.suffix!r}.",
                fix=f"Use one of {listing(_FORMATS)}.",
            )
        )
    if path.is_dir():
        raise TimefenceConfigError(message(f"output={str(output)!r} is a folder.", fix="Give a file's name in it."))
    refuse_inputs([path], inputs)
    return OutputFile(path, kind, compression)


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[str]) -> None:
    """Refuse outputs that are inputs.

    Raises:
        TimefenceStoreError: If one is.
    """
    resolved = {os.path.realpath(name) for name in inputs}
    for path in outputs:
        if os.path.realpath(path) in resolved:
            raise TimefenceStoreError(
                message(
                    f"The output {str(path)!r} is one of the build's own inputs.",
                    why="Writing it would destroy the data the build is made from.",
                    fix="Give another output path.",
                )
            )


class WholeFiles:
    """Files being written under temporary names beside their targets."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Path, Path]] = []

    def new(self, target: Path) -> Path:
        """A temporary name in the target's folder, made if it does not exist."""
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.stem[:80]}.{uuid.uuid4().hex}.tmp{target.suffix}")
        self._pairs.append((temporary, target))
        return temporary

    def commit(self) -> None:
        """Make all files durable, then put them in place."""
        for temporary, _ in self._pairs:
            _sync(temporary)
        for temporary, target in self._pairs:
            temporary.replace(target)
        for folder in {target.parent for _, target in self._pairs}:
            _sync(folder)
        self._pairs.clear()

    def discard(self) -> None:
        """Remove what was not put in place."""
        for temporary, _ in self._pairs:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_files() -> Iterator[WholeFiles]:
    """Files that are all put in place at the end, or removed if anything fails.

    Raises:
        TimefenceStoreError: If the file system refuses.
    """
    files = WholeFiles()
    try:
        yield files
        files.commit()
    except TimefenceError:
        raise
    except OSError as error:
        raise TimefenceStoreError(
            message(
                f"The output cannot be written: {error.strerror or error}.",
                where=str(error.filename or ""),
                fix="Check the folder's permissions and the free space; files that stood there are unchanged.",
            )
        ) from error
    finally:
        files.discard()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _ipc_compression(compression: str) -> Any:
    return compression if compression in ("zstd", "lz4", "uncompressed") else "zstd"


def _scan(kind: str, path: Path) -> pl.LazyFrame:
    if kind == "parquet":
        return pl.scan_parquet(path, glob=False)
    if kind == "csv":
        return pl.scan_csv(path, glob=False, try_parse_dates=True)
    if kind == "ndjson":
        return pl.scan_ndjson(path)
    return pl.scan_ipc(path, glob=False)
