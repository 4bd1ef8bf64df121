"""Output files: checked before work, written by format.

Takes paths, frames and schemas, gives files. Knows nothing of features.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

import polars as pl

from timefence_pl.choices import shortened
from timefence_pl.definitions.paths import is_under
from timefence_pl.definitions.table import Table
from timefence_pl.errors import (
    TimefenceConfigError,
    TimefenceStoreError,
    listing,
    message,
)
from timefence_pl.fingerprint.inputs import scanned_paths
from timefence_pl.store.files import writes_of_polars

__all__ = ["COMPRESSIONS", "OutputFile", "check_output", "refuse_inputs"]

COMPRESSIONS: Final = ("zstd", "lz4", "snappy", "gzip", "brotli", "uncompressed")
_ARROW: Final = ("zstd", "lz4", "uncompressed")
_FORMATS: Final = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".ndjson": "ndjson", ".arrow": "ipc"}


@dataclass(frozen=True)
class OutputFile:
    """A file to be written.

    Attributes:
        path: Where it will stand.
        format: ``"parquet"``, ``"csv"``, ``"ndjson"`` or ``"ipc"``.
        compression: Of Parquet and Arrow files; text files are not compressed.
        schema: Its columns, which a text file is read back with.
    """

    path: Path
    format: str
    compression: str
    schema: pl.Schema

    def at(self, path: Path) -> OutputFile:
        """The same at another path."""
        return replace(self, path=path)

    def beside(self, name: str) -> OutputFile:
        """The file ``{stem}_{name}{suffix}`` in the same folder."""
        return self.at(self.path.with_name(f"{self.path.stem}_{name}{self.path.suffix}"))

    def scan(self) -> pl.LazyFrame:
        """The written file, lazily, with the types it was written from."""
        if self.format == "parquet":
            return pl.scan_parquet(self.path, glob=False, hive_partitioning=False)
        if self.format == "ipc":
            return pl.scan_ipc(self.path, glob=False, hive_partitioning=False)
        read_as = pl.Schema({n: _stored_type(self.format, t) for n, t in self.schema.items()})
        read = (
            # Without the header: Polars does not undo its quoting.
            pl.scan_csv(self.path, glob=False, has_header=False, skip_rows=1, schema=read_as)
            if self.format == "csv"
            else pl.scan_ndjson(self.path, schema=read_as)
        )
        return read.select(_from_text(n, t) if _as_text(t) else pl.col(n).cast(t) for n, t in self.schema.items())

    def write(self, frame: pl.DataFrame, path: Path) -> None:
        """Write a frame in this file's format to ``path``.

        Raises:
            TimefenceConfigError: If the format cannot hold a value: NDJSON has no NaN and no infinities.
            TimefenceStoreError: If the file system refuses.
        """
        if self.format == "ndjson":
            _refuse_not_finite(frame, self.path)
        with writes_of_polars():
            if self.format == "parquet":
                frame.write_parquet(path, compression=self.compression)  # type: ignore[arg-type]
            elif self.format == "csv":
                frame.write_csv(path)
            elif self.format == "ndjson":
                frame.write_ndjson(path)
            else:
                frame.write_ipc(path, compression=self.compression)  # type: ignore[call-overload]

    def sink(self, frame: pl.LazyFrame, path: Path) -> None:
        """Stream a lazy frame in this file's format to ``path``.

        Raises:
            TimefenceStoreError: If the file system refuses.
        """
        compression: Any = self.compression
        with writes_of_polars():
            if self.format == "parquet":
                frame.sink_parquet(path, compression=compression, engine="streaming")
            elif self.format == "csv":
                frame.sink_csv(path, engine="streaming")
            elif self.format == "ndjson":
                frame.sink_ndjson(path, engine="streaming")
            else:
                frame.sink_ipc(path, compression=compression, engine="streaming")


def check_output(output: str | Path, compression: str, schema: pl.Schema) -> OutputFile:
    """Check where, and as what, a build is to write.

    Raises:
        TimefenceConfigError: If the format cannot be told, cannot hold a column or be compressed so, or the path
            cannot be a file's.
    """
    if not isinstance(output, str | os.PathLike) or not str(output) or "\0" in str(output):
        raise TimefenceConfigError(message(f"output={shortened(output)} is not a path.", fix="Give a path, or None."))
    if "://" in str(output):
        raise TimefenceConfigError(
            message(
                f"output={str(output)!r} is not on this machine.", fix="Write a local file, and copy it from there."
            )
        )
    path = Path(output).expanduser().absolute()
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise TimefenceConfigError(
            message(
                f"The format of output={str(output)!r} cannot be told from its suffix {path.suffix!r}.",
                fix=f"Use one of {listing(_FORMATS)}.",
            )
        )
    try:
        folder = path.is_dir()
    except OSError as error:
        raise TimefenceConfigError(
            message(f"output={str(output)[:80]!r} cannot be a file: {error.strerror}.", fix="Give a shorter path.")
        ) from error
    if folder:
        raise TimefenceConfigError(message(f"output={str(output)!r} is a folder.", fix="Give a file's name in it."))
    if kind == "ipc" and compression not in _ARROW:
        raise TimefenceConfigError(
            message(
                f"An Arrow file cannot be compressed by compression={compression!r}.",
                where=f"output: {path}",
                fix=f"Use one of {listing(_ARROW)}, or write .parquet.",
            )
        )
    unfit = [n for n, t in schema.items() if not _holds(kind, t)]
    if unfit:
        raise TimefenceConfigError(
            message(
                f"A {kind} file cannot hold {listing(unfit)}.",
                where="\n".join(f"{n}: {schema[n]}" for n in unfit[:6]),
                fix="Write .parquet or .arrow, or cast the columns.",
            )
        )
    return OutputFile(path, kind, compression, schema)


def _holds(kind: str, dtype: pl.DataType) -> bool:
    if dtype == pl.Object:
        return False
    if kind == "csv":
        return not dtype.is_nested() and dtype not in (pl.Binary, pl.Duration)
    return kind != "ndjson" or not any(t in str(dtype) for t in ("Binary", "Duration"))


def _refuse_not_finite(frame: pl.DataFrame, path: Path) -> None:
    """Refuse NaN and infinities, which NDJSON would hold as null."""
    counts = {n: _not_finite(frame[n]) for n, t in frame.schema.items() if "Float" in str(t)}
    lost = {n: count for n, count in counts.items() if count}
    if lost:
        raise TimefenceConfigError(
            message(
                f"An ndjson file cannot hold the NaN and infinite values of {listing(lost)}.",
                where=f"output: {path}\n"
                + "\n".join(f"{n}: {count:,} value{'' if count == 1 else 's'}" for n, count in list(lost.items())[:6]),
                why="JSON has no such numbers: they would be written as null, as if there were no value.",
                fix=(
                    "write .parquet, .arrow or .csv, which hold them",
                    "make them null in the feature: .fill_nan(None), pl.when(x.is_finite()).then(x)",
                ),
            )
        )


def _not_finite(column: pl.Series) -> int:
    """How many values are NaN or infinite, those inside lists and structs too."""
    dtype = column.dtype
    if dtype.is_float():
        return int((~column.is_finite()).sum())
    if isinstance(dtype, pl.Struct):
        return sum(_not_finite(column.struct.field(f.name)) for f in dtype.fields)
    if isinstance(dtype, pl.Map):
        return _not_finite(column.map.entries())
    return _not_finite(column.explode()) if dtype.is_nested() else 0


def _stored_type(kind: str, dtype: pl.DataType) -> pl.DataType:
    """The type a text file's column is read as, before it is made its own."""
    if _as_text(dtype):
        return pl.String()
    narrow = dtype in (pl.Int8, pl.Int16, pl.UInt8, pl.UInt16)  # which Polars cannot read from NDJSON
    return pl.Int32() if kind == "ndjson" and narrow else dtype


def _as_text(dtype: pl.DataType) -> bool:
    """Whether text files hold a column of this type as text that must be read back by its type."""
    if dtype == pl.Null:
        return True
    return dtype.is_temporal() or dtype in (pl.Categorical, pl.Enum, pl.Int128, pl.UInt128) or dtype.is_decimal()


def _from_text(name: str, dtype: pl.DataType) -> pl.Expr:
    text = pl.col(name)
    if dtype == pl.Null:
        return pl.lit(None).alias(name)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            return text.str.to_datetime(time_unit=dtype.time_unit)
        return text.str.to_datetime(time_unit=dtype.time_unit, time_zone="UTC").dt.convert_time_zone(dtype.time_zone)
    if dtype == pl.Date:
        return text.str.to_date()
    if dtype == pl.Time:
        return text.str.to_time()
    return text.cast(dtype)


def refuse_inputs(outputs: Iterable[Path], tables: Iterable[Table], plans: Iterable[pl.LazyFrame]) -> None:
    """Refuse outputs that are inputs, or would be among them from now on.

    Args:
        outputs: Where files are to stand.
        tables: What is read.
        plans: Plans that may read more.

    Raises:
        TimefenceStoreError: If one is.
    """
    tables = list(tables)
    read = [
        *(name for table in tables for name in table.inputs()),
        *(name for plan in plans for name in scanned_paths(plan)),
    ]
    resolved = {os.path.realpath(_local(name)) for name in read}
    for path in outputs:
        if os.path.realpath(path) in resolved or (path.exists() and any(is_under(name, str(path)) for name in read)):
            raise TimefenceStoreError(
                message(
                    f"The output {str(path)!r} is one of the build's own inputs.",
                    why="Writing it would destroy the data the build is made from.",
                    fix="Give another output path.",
                )
            )
        reader = next((t for t in tables if t.would_read(str(path))), None)
        if reader is not None:
            raise TimefenceStoreError(
                message(
                    f"The output {str(path)!r} would become one of the files of {reader.role}.",
                    where=f"it reads {reader.described()}",
                    why="The next build would read this one's result as data.",
                    fix="Give an output path outside.",
                )
            )


def _local(name: str) -> str:
    return unquote(urlparse(name).path) if name.startswith("file:") else name
