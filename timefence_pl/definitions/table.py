"""Where rows come from: files, a LazyFrame, a DataFrame, or anything that speaks Arrow.

Takes what a user names as data, gives a LazyFrame in a defined row order (files by relative name, then row).
Knows no keys, times or features, and never reads rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

import polars as pl
import polars.selectors as cs

from timefence_pl.choices import one_of
from timefence_pl.definitions.csv_types import INFERRED, common_types, inferred_types, read_types
from timefence_pl.definitions.paths import (
    MAGIC,
    TableFormat,
    expand,
    format_in,
    format_of,
    is_remote,
    is_under,
    local_path,
    missing_file,
    partitions,
    stem_of,
    stripped,
)
from timefence_pl.errors import (
    TimefenceError,
    TimefenceSchemaError,
    TimefenceValidationError,
    listing,
    message,
    without_secrets,
)
from timefence_pl.faults import polars_faults, reason_of
from timefence_pl.fingerprint.inputs import reread, scanned_paths
from timefence_pl.integrations.lakes import LakeTable, lake_kind, lake_name

__all__ = ["Table"]

_FORMATS: Final = ("parquet", "csv", "ndjson", "ipc", "delta", "iceberg")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows to be read, in a defined order.

    Attributes:
        role: What the rows are for messages, as in ``source 'users'`` or ``labels``.
        patterns: Paths, URIs, globs or directories; empty where ``frame`` is given.
        frame: The lazy frame, where the rows are not files of ours.
        in_memory: Whether ``frame`` wraps a DataFrame held in memory.
        format: The file format; None where the suffix tells.
        options: Reading options (``delimiter``, ``schema``, ``hive_partitioning``, ``storage_options``).
        columns: The columns and types to read as, where they are not the files' own.
        table: A Delta or Iceberg table that is open already.
        behind: Tables that ``frame`` reads and its plan does not show, as those of a query in DuckDB.
        unordered: Whether the rows of ``frame`` come in no order that could be relied on.
        remake: Makes ``frame`` anew, over the files that its tables have now; None where it never changes.
    """

    role: str
    patterns: tuple[str, ...] = ()
    frame: pl.LazyFrame | None = None
    in_memory: bool = False
    format: TableFormat | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: pl.Schema | None = None
    table: object = None
    behind: tuple[Table, ...] = ()
    unordered: bool = False
    remake: Callable[[], pl.LazyFrame] | None = None

    @classmethod
    def of(
        cls,
        role: str,
        data: object,
        path: object,
        df: object,
        format: str | None,  # noqa: A002 - the public name
        options: Mapping[str, Any],
    ) -> Table:
        """Make a table of exactly one of ``data``, ``path`` and ``df``.

        Raises:
            TimefenceValidationError: If none or several are given, or it is not something to read rows from.
        """
        given = {n: v for n, v in (("data", data), ("path", path), ("df", df)) if v is not None}
        if len(given) != 1:
            got = f"got {listing(given)}" if given else "got none"
            raise TimefenceValidationError(
                message(f"{role} needs exactly one of data, path or df; {got}.", fix="Give a path or a frame, once.")
            )
        if format is not None:
            hint = ", or leave it out where the file's suffix tells."
            one_of(format, _FORMATS, "format", of=role, fix=hint, error=TimefenceValidationError)
        (value,) = given.values()
        kind = cast("TableFormat | None", format)
        if isinstance(value, str | os.PathLike):
            return cls(role, patterns=(_text(role, value),), format=kind, options=options)
        if isinstance(value, list | tuple) and value and all(isinstance(v, str | os.PathLike) for v in value):
            return cls(role, patterns=tuple(_text(role, v) for v in value), format=kind, options=options)
        if isinstance(value, pl.LazyFrame):
            return cls(role, frame=value, options=options)
        lake = lake_kind(value)
        if lake is not None:
            return cls(role, patterns=(lake_name(value),), format=lake, options=options, table=value)
        return cls(role, frame=_to_frame(role, value).lazy(), in_memory=True, options=options)

    def described(self) -> str:
        """The data in a few words, for messages and reports."""
        if self.frame is None:
            return ", ".join(map(without_secrets, self.patterns))
        return "DataFrame" if self.in_memory else "LazyFrame"

    def default_name(self) -> str:
        """The file's stem, its folder's name where the pattern is all wildcard, or the kind of frame."""
        if self.frame is not None:
            return "dataframe" if self.in_memory else "lazyframe"
        parts = [p for p in self.patterns[0].rstrip("/").replace("\\", "/").split("/") if p]
        for part in reversed(parts):
            stem = stem_of(part)
            if stem and not any(c in stem for c in MAGIC) and "=" not in stem:
                return stem
        return "source"

    def files(self) -> list[str]:
        """All files, in the order in which their rows are read: by name relative to what was asked for.

        Raises:
            TimefenceValidationError: If a path does not exist, or a pattern or directory holds no file.
        """
        return [name for pattern in self.patterns for name in expand(self.role, pattern, self.file_format())]

    def has_order(self) -> bool:
        """Whether the rows come in an order that means something: not those of queries, and of lakes' tables."""
        return not self.unordered and self.lake() is None

    def lake(self) -> LakeTable | None:
        """The Delta or Iceberg table that the rows are; None where they are not.

        Raises:
            TimefenceValidationError: If several are named.
        """
        kind = None if self.frame is not None else self.file_format()
        if kind not in ("delta", "iceberg"):
            return None
        if len(self.patterns) != 1:
            raise TimefenceValidationError(
                message(f"{self.role}: a {kind} table is one path.", where=self.described(), fix="Give one path.")
            )
        target = self.patterns[0] if self.table is None else self.table
        return LakeTable(self.role, kind, target, self.options.get("storage_options"))

    def reads_partitions(self) -> bool:
        """Whether columns may be read from the names of the files' folders (``year=2024/``)."""
        hive = self.options.get("hive_partitioning")
        if hive is not None:
            return bool(hive)
        return any("=" in part for name in self.files() for part in name.replace("\\", "/").split("/")[:-1])

    def of_files(self, files: Sequence[str]) -> Table:
        """The same table over some of its files, with the columns and types that all of them have together."""
        return replace(self, patterns=tuple(files), format=self.file_format(), columns=self.schema())

    def read_alike(self, files: Sequence[str]) -> bool:
        """Whether some of its files read by themselves have the columns and types that all of them have together.

        Else values may come out otherwise: a number has lost its fraction, a time its finer units. CSV files are read
        with the types of all in any case.
        """
        kind = self.file_format()
        if kind == "csv":
            return True
        try:
            return replace(self, patterns=tuple(files), format=kind).scan().collect_schema() == self.schema()
        except polars_faults(TimefenceError):
            return False

    def local_files(self, kind: TableFormat | None = None) -> list[str]:
        """The files on this machine, of one format if asked; empty for frames, lakes and remote data."""
        if self.frame is not None or self.file_format() in ("delta", "iceberg"):
            return []
        if any(is_remote(p) for p in self.patterns) or kind not in (None, self.file_format()):
            return []
        return self.files()

    def inputs(self) -> list[str]:
        """All paths on this machine that the rows are read from, those inside a lazy frame included."""
        lake = self.lake()
        if lake is not None:
            return [*self.patterns, *(f.path for f in lake.snapshot().files)]
        if self.frame is None:
            return self.local_files() or list(self.patterns)
        behind = [name for table in self.behind for name in table.inputs()]
        return behind if self.in_memory else [*behind, *scanned_paths(self.plan())]

    def would_read(self, path: str) -> bool:
        """Whether a file of this path would be among the rows, if it were there: inside a directory or glob."""
        if any(table.would_read(path) for table in self.behind):
            return True
        if self.frame is not None or any(is_remote(p) for p in self.patterns):
            return False
        if any(map(os.path.isdir, self.patterns)) and format_of(path) != self.file_format():
            return False
        return any(is_under(pattern, path) for pattern in self.patterns)

    def size_known(self) -> bool:
        """Whether :meth:`local_files` and memory are all there is, so that the size of the data can be told."""
        return self.in_memory or bool(self.local_files())

    def file_format(self) -> TableFormat:
        """The format of the files, by option or by suffix."""
        if self.format is not None:
            return self.format
        formats = {f for f in map(format_of, self.patterns) if f is not None}
        if len(formats) > 1:
            raise TimefenceValidationError(
                message(
                    f"{self.role} mixes files of the formats {listing(sorted(formats))}.",
                    fix="Read files of one format; give format= where suffixes mislead.",
                )
            )
        if formats:
            return formats.pop()
        first = self.patterns[0]
        if not is_remote(first) and os.path.isdir(first):  # noqa: PTH112 - patterns stay strings
            if (Path(first) / "_delta_log").is_dir():
                return "delta"
            found = format_in(first)
            if found is not None:
                return found
        if not is_remote(first) and not os.path.exists(first) and not any(c in first for c in MAGIC):  # noqa: PTH110
            raise missing_file(self.role, first)
        raise TimefenceValidationError(
            message(
                f"The format of {self.role} cannot be told from {first!r}.",
                fix=f"Give format=, one of {listing(_FORMATS)}.",
            )
        )

    def scan(self) -> pl.LazyFrame:
        """All rows, lazily, files in order.

        Raises:
            TimefenceValidationError: If a file is missing or a format's package is not installed.
        """
        try:
            frame = self._scan()
        except TimefenceError:
            raise
        except polars_faults(TypeError, ValueError) as error:
            raise TimefenceValidationError(
                message(
                    f"The data of {self.role} ({self.described()[:200]}) cannot be scanned.",
                    where=reason_of(error).splitlines()[0][:300],
                    fix="Check the path and the reading options.",
                )
            ) from error
        if self.columns is None or frame.collect_schema() == self.columns:
            return frame
        return frame.select(cs.by_name(name).cast(dtype) for name, dtype in self.columns.items())

    def plan(self) -> pl.LazyFrame:
        """The lazy frame of a table that is one, as it is now."""
        assert self.frame is not None  # noqa: S101 - the caller's case
        return self.frame if self.remake is None else self.remake()

    def _scan(self) -> pl.LazyFrame:
        if self.frame is not None:
            return self.frame if self.in_memory else reread(self.plan())
        kind = self.file_format()
        storage = self.options.get("storage_options")
        schema = self.options.get("schema")
        lake = self.lake()
        if lake is not None:
            return lake.scan()
        files = self.files()
        hive = self.reads_partitions()
        folders = partitions(self.role, files) if hive else {}
        if kind == "parquet":
            return pl.scan_parquet(files, glob=False, hive_partitioning=hive, schema=schema, storage_options=storage)
        if kind == "ipc":
            return pl.scan_ipc(files, glob=False, hive_partitioning=hive, storage_options=storage)
        if kind == "ndjson" and not folders:
            return pl.scan_ndjson(files, schema=schema, storage_options=storage)
        if kind == "ndjson":
            frames = [pl.scan_ndjson(name, schema=schema, storage_options=storage) for name in files]
        else:
            frames = self._scan_csvs(files, schema, storage)
        values = [_as_folders_are_read(name, texts) for name, texts in folders.items()]
        made = [f.with_columns(pl.lit(v[i], v.dtype).alias(v.name) for v in values) for i, f in enumerate(frames)]
        return pl.concat(made, how="vertical_relaxed")

    def version(self) -> object:
        """What the schema depends on, cheaply asked: the files as the file system tells them."""
        if self.frame is not None:
            return tuple(table.version() for table in self.behind)
        found = []
        for name in self.local_files():
            status = Path(name).stat()
            found.append((name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
        return tuple(found) or object()

    def _check_files_agree(self) -> None:
        """Refuse Parquet files of different columns, which a scan would notice only when it runs."""
        names = self.local_files("parquet")
        if len(names) < 2 or self.options.get("schema") is not None:
            return
        first = _parquet_schema(names[0])
        for name in names[1:]:
            other = _parquet_schema(name)
            if other == first:
                continue
            odd = sorted(set(first.items()) ^ set(other.items()), key=repr)
            raise TimefenceSchemaError(
                message(
                    f"The files of {self.role} do not have the same columns.",
                    where=f"{names[0]} and {name} differ in {listing(sorted({c for c, _ in odd}))}\n"
                    + "\n".join(f"{c}: {first.get(c, 'missing')} and {other.get(c, 'missing')}" for c, _ in odd[:6]),
                    fix="Write them alike, or give a LazyFrame that brings them together.",
                )
            )

    def _odd_csv(self) -> str:
        """Which of several CSV files has other columns than the first; empty where none has, or that is not why."""
        names = self.local_files("csv")
        columns: dict[str, list[str]] = {}
        for name in names if len(names) > 1 else []:
            try:
                columns[name] = list(self._scan_csv(name, None, None).collect_schema())
            except polars_faults() as error:
                return f"{name}: {reason_of(error).splitlines()[0][:300]}"
            if columns[name] != columns[names[0]]:
                return f"{names[0]} has the columns {listing(columns[names[0]])}\n{name} has {listing(columns[name])}"
        return ""

    def _scan_csvs(self, files: Sequence[str], schema: Any, storage: Any) -> list[pl.LazyFrame]:
        """CSV files with the types that they have together, or with those of more files (:meth:`of_files`)."""
        if schema is not None or (len(files) == 1 and self.columns is None):
            return [self._scan_csv(name, schema, storage) for name in files]
        own = [self._csv_types(name, storage) for name in files]
        types = {name: found for name, found in zip(files, own, strict=True) if found is not None}
        if None in own or any(list(found) != list(own[0] or ()) for found in types.values()):
            return [self._scan_csv(name, None, storage) for name in files]  # the scan tells what is wrong
        if self.columns is None and all(found == own[0] for found in own):
            return [self._scan_csv(name, own[0], storage) for name in files]
        local = {name: self._separator(name) for name in files if not is_remote(name)}
        common = common_types(types, local) | dict(self.columns or {})
        frames = []
        for name in files:
            read = read_types(types[name], common)
            casts = [cs.by_name(c).cast(common[c]) for c, dtype in read.items() if dtype != common[c]]
            frames.append(self._scan_csv(name, read, storage).with_columns(casts))
        return frames

    def _csv_types(self, name: str, storage: Any) -> pl.Schema | None:
        if is_remote(name):
            return self._scan_csv(name, None, storage).collect_schema()
        return inferred_types(name, self._separator(name), self.options.get("parse_dates", True))

    def _separator(self, name: str) -> str:
        default = "\t" if stripped(name).endswith(".tsv") else ","
        return self.options.get("delimiter") or default

    def _scan_csv(self, name: str, schema: Any, storage: Any) -> pl.LazyFrame:
        separator, dates = self._separator(name), self.options.get("parse_dates", True)
        if schema is None and not is_remote(name):
            schema = inferred_types(name, separator, dates)
        return pl.scan_csv(
            name,
            glob=False,
            separator=separator,
            schema=schema,
            infer_schema_length=INFERRED,
            try_parse_dates=dates,
            storage_options=storage,
        )

    def schema(self) -> pl.Schema:
        """Column names and data types, without reading rows.

        Raises:
            TimefenceSchemaError: If the schema cannot be read.
        """
        version = self.version()
        known = _SCHEMAS.get(self)
        if known is not None and known[0] == version:
            return pl.Schema(known[1])
        lake = self.lake()
        try:
            self._check_files_agree()
            schema = self.scan().collect_schema() if lake is None else lake.schema()
        except polars_faults() as error:
            raise TimefenceSchemaError(
                message(
                    f"The columns of {self.role} ({self.described()}) cannot be read.",
                    where=self._odd_csv() or reason_of(error).splitlines()[0][:300],
                    fix="Check that the file is whole and of the format it is read as (format=).",
                )
            ) from error
        _SCHEMAS[self] = (version, schema)
        return pl.Schema(schema)  # a copy: schemas can be changed, and this one is kept


_SCHEMAS: WeakKeyDictionary[Table, tuple[object, pl.Schema]] = WeakKeyDictionary()


def _parquet_schema(name: str) -> dict[str, pl.DataType]:
    status = Path(name).stat()
    return _parquet_schema_of(name, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=65_536)
def _parquet_schema_of(name: str, *_version: int) -> dict[str, pl.DataType]:
    return dict(pl.read_parquet_schema(name))


def _as_folders_are_read(name: str, values: Sequence[str | None]) -> pl.Series:
    """The values of partition folders in the type that Polars gives those of Parquet files."""
    texts = pl.DataFrame({name: values}, schema={name: pl.String})
    known = texts.filter(pl.col(name).is_not_null())
    if known.is_empty() or (known[name] == "").any():
        return texts[name]
    read = pl.read_csv(known.write_csv().encode(), try_parse_dates=True, infer_schema_length=None)
    if read.height != known.height:
        return texts[name]
    positions = texts[name].is_not_null().cum_sum().cast(pl.Int64) - 1
    return read[name].gather(positions.clip(0)).set(texts[name].is_null(), None)


def _text(role: str, value: object) -> str:
    text = os.fspath(cast("os.PathLike[str]", value))
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise TimefenceValidationError(message(f"{role} has an empty or invalid path {value!r}.", fix="Give a path."))
    text = local_path(role, text)
    return os.path.expanduser(text) if text.startswith("~") else text  # noqa: PTH111 - globs are no Path


def _to_frame(role: str, value: object) -> pl.DataFrame:
    """A DataFrame of any in-memory table, read once here, so that one-shot readers are not read twice."""
    if isinstance(value, pl.DataFrame):
        return value
    to_arrow = getattr(value, "to_arrow_table", None)
    try:
        if callable(to_arrow):
            return cast("pl.DataFrame", pl.from_arrow(to_arrow()))
        if hasattr(value, "__arrow_c_stream__"):
            return pl.DataFrame(value)
        if type(value).__module__.split(".")[0] == "pandas":
            pandas: Any = value
            return pl.from_pandas(pandas)
    except Exception as error:
        raise TimefenceValidationError(
            message(
                f"{role} cannot be read from the {type(value).__name__} given.",
                where=str(error).strip()[:300],
                fix="Give a table with unique column names and types that Arrow has.",
            )
        ) from error
    raise TimefenceValidationError(
        message(
            f"{role} cannot be read from a {type(value).__name__}.",
            fix="Give a path, a list of paths, a Polars frame, or an object with the Arrow PyCapsule interface.",
        )
    )
