"""Delta and Iceberg tables: a lazy scan, and what a table holds right now.

Takes a path, a name, or a table object of ``deltalake`` or ``pyiceberg``, gives a LazyFrame, or the files of the current
version. Knows nothing of sources. The packages are imported when a table is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from timefence_pl.errors import TimefenceSchemaError, TimefenceValidationError, did_you_mean, message

__all__ = ["LakeFile", "LakeKind", "LakeTable", "Snapshot", "lake_kind", "lake_name"]

LakeKind = Literal["delta", "iceberg"]
_PACKAGES: Final[dict[LakeKind, str]] = {"delta": "deltalake", "iceberg": "pyiceberg"}


@dataclass(frozen=True)
class LakeFile:
    """One data file of a table's current version.

    Attributes:
        path: Where it stands.
        partition: The values its partition gives to all its rows, as text.
        deletes: Files that name rows of it that are gone.
    """

    path: str
    partition: str
    deletes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """What a table holds right now.

    Attributes:
        files: Its data files; the rows of a table have no order, and neither have these.
        schema: Its columns, as the table tells them.
        besides: What else its rows depend on and no file's content tells; empty where there is nothing.
    """

    files: tuple[LakeFile, ...]
    schema: str
    besides: str = ""


def lake_kind(value: object) -> LakeKind | None:
    """Of which kind a table object is; None for anything else. Imports nothing."""
    for kind, package in _PACKAGES.items():
        wanted = "DeltaTable" if kind == "delta" else "Table"
        if any(c.__name__ == wanted and c.__module__.split(".")[0] == package for c in type(value).__mro__):
            return kind
    return None


def lake_name(table: object) -> str:
    """What to call an open table: a Delta table's root, an Iceberg table's full name."""
    value: Any = table
    return str(value.table_uri) if lake_kind(value) == "delta" else ".".join(value.name())


class LakeTable:
    """A table by its path or name, or an open one, which stays at the version it was opened at.

    Args:
        role: What its rows are, for messages.
        kind: ``"delta"`` or ``"iceberg"``.
        target: A path, URI or (Iceberg) a name in the default catalog; or a table object.
        storage_options: For remote tables.
    """

    def __init__(self, role: str, kind: LakeKind, target: object, storage_options: Mapping[str, Any] | None) -> None:
        if kind == "iceberg" and isinstance(target, str) and os.path.isfile(target):  # noqa: PTH113
            target = os.path.abspath(target)  # noqa: PTH100 - a path needs a slash, or it is a catalog's name
        self._role, self._kind, self._target, self._storage = role, kind, target, storage_options

    def scan(self) -> pl.LazyFrame:
        """Its rows, lazily, in no order that could be relied on.

        Raises:
            TimefenceValidationError: If the package that reads it is missing.
        """
        target: Any = self._target
        storage: Any = None if self._storage is None else dict(self._storage)
        try:
            if self._kind == "delta":
                return pl.scan_delta(target, storage_options=storage)
            return pl.scan_iceberg(target, storage_options=storage)
        except ImportError as error:
            raise self._not_installed() from error
        except Exception as error:
            raise self.unreadable(error) from error

    def schema(self) -> pl.Schema:
        """Its columns; opens the table.

        Raises:
            TimefenceValidationError: If the package is missing, or there is no such table.
            TimefenceSchemaError: If the table cannot be read.
        """
        try:
            return self.scan().collect_schema()
        except (TimefenceValidationError, TimefenceSchemaError):
            raise
        except ImportError as error:
            raise self._not_installed() from error
        except Exception as error:
            raise self.unreadable(error) from error

    def snapshot(self) -> Snapshot:
        """The files and columns of its current version.

        Raises:
            TimefenceValidationError: As :meth:`schema`.
            TimefenceSchemaError: As :meth:`schema`.
        """
        try:
            return self._delta() if self._kind == "delta" else self._iceberg()
        except ImportError as error:
            raise self._not_installed() from error
        except Exception as error:
            raise self.unreadable(error) from error

    def unreadable(self, error: Exception) -> TimefenceValidationError | TimefenceSchemaError:
        """Our error for one of the packages'."""
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        shown = str(self._target) if isinstance(self._target, str) else type(self._target).__name__
        if self._is_missing(error):
            return TimefenceValidationError(
                message(
                    f"There is no {self._kind} table at {shown!r}, which {self._role} is to read. "
                    f"{_nearest(shown)}".rstrip(),
                    where=reason[:300],
                    fix="Give the table's root folder, which holds _delta_log."
                    if self._kind == "delta"
                    else (
                        "give the path of its current metadata file (.metadata.json), or its name in the default catalog",
                        "load it from a catalog and give the table: tf.Source(catalog.load_table('db.events'), ...)",
                    ),
                )
            )
        return TimefenceSchemaError(
            message(
                f"The {self._kind} table of {self._role} ({shown}) cannot be read.",
                where=reason[:300],
                fix="Check the table, and that the installed version of "
                f"{_PACKAGES[self._kind]} knows the features it uses.",
            )
        )

    def _is_missing(self, error: Exception) -> bool:
        if isinstance(error, FileNotFoundError) or "NotFound" in type(error).__name__:
            return True
        text = self._target
        if not isinstance(text, str):
            return False
        if self._kind == "delta":
            return "://" not in text and not os.path.isdir(os.path.join(text, "_delta_log"))  # noqa: PTH112, PTH118
        return "failed to load catalog" in str(error)

    def _delta(self) -> Snapshot:
        from deltalake import DeltaTable  # noqa: PLC0415 - an extra

        target: Any = self._target
        storage = None if self._storage is None else {str(k): str(v) for k, v in self._storage.items()}
        table = target if not isinstance(target, str) else DeltaTable(target, storage_options=storage)
        features = getattr(table.protocol(), "reader_features", None) or ()
        files = tuple(LakeFile(str(f), _folders(str(f))) for f in table.file_uris())
        besides = "deletion vectors" if "deletionVectors" in features else ""
        return Snapshot(files, table.schema().to_json(), besides)

    def _iceberg(self) -> Snapshot:
        target: Any = self._target
        if isinstance(target, str):
            target = _open_iceberg(target, self._storage)
        files = tuple(
            LakeFile(
                _without_scheme(task.file.file_path),
                repr(task.file.partition),
                tuple(sorted(_without_scheme(d.file_path) for d in task.delete_files)),
            )
            for task in target.scan().plan_files()
        )
        return Snapshot(files, f"{target.schema().model_dump_json()} {target.spec()!r}")

    def _not_installed(self) -> TimefenceValidationError:
        package = _PACKAGES[self._kind]
        return TimefenceValidationError(
            message(
                f"Reading the {self._kind} table of {self._role} needs the package {package}, which is not installed.",
                fix=f'pip install "timefence-pl[{self._kind}]"',
            )
        )


def _open_iceberg(target: str, storage: Mapping[str, Any] | None) -> Any:
    from pyiceberg.catalog import load_catalog  # noqa: PLC0415 - an extra
    from pyiceberg.table import StaticTable  # noqa: PLC0415

    properties = {} if storage is None else {str(k): str(v) for k, v in storage.items()}
    if "/" in target:
        return StaticTable.from_metadata(target, properties)
    return load_catalog(**properties).load_table(target)


def _without_scheme(path: str) -> str:
    """A file's path as Iceberg keeps it: behind ``file:`` stands what is on disk, whose ``%2F`` is no escape."""
    return re.sub(r"^file:(//)?(?=/)", "", path)


def _folders(path: str) -> str:
    return "/".join(p for p in path.replace("\\", "/").split("/")[:-1] if "=" in p)


def _nearest(path: str) -> str:
    folder, name = os.path.split(path.rstrip("/"))
    beside = sorted(os.listdir(folder or ".")) if os.path.isdir(folder or ".") else []  # noqa: PTH112, PTH208
    return did_you_mean(name, [n for n in beside if n != name])
