"""Logs that only grow: one record a line, each with its hash.

Takes plain mappings, gives them back in order. Several processes may append to one log: a line is written by one call
to the end of the file, so lines never mix. A line that a killed process tore, or that changed since, is left out and
counted; it never hides its neighbours, since each line begins with the line feed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import xxhash

from timefence_pl.errors import TimefenceStoreError, message
from timefence_pl.store.files import refused_by_file_system

__all__ = ["AppendLog", "LogContents", "append_line", "line_of", "read_log", "records_of"]

_DIGITS: Final = 16


@dataclass(frozen=True)
class LogContents:
    """What a log holds.

    Attributes:
        records: Its records, oldest first.
        broken: Lines that are not as they were written.
        size: Bytes that were read.
    """

    records: tuple[dict[str, Any], ...]
    broken: int
    size: int


class AppendLog:
    """A log being written to.

    A record is with the operating system when :meth:`append` returns: the death of the process costs nothing, that of
    the machine what was not yet synced.

    Args:
        path: The file; made if it is not there.

    Raises:
        TimefenceStoreError: If the file system refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._handle: int | None = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise refused_by_file_system(error, f"The log {path}") from error

    def append(self, line: bytes) -> None:
        """Write one line of :func:`line_of`.

        Raises:
            TimefenceStoreError: If the log is closed or the file system refuses; what it holds is unchanged.
        """
        if self._handle is None:
            raise TimefenceStoreError(message(f"The log {str(self._path)!r} is closed.", fix="Open it again."))
        try:
            written = os.write(self._handle, line)
        except OSError as error:
            raise refused_by_file_system(error, f"The log {self._path}") from error
        if written != len(line):
            raise TimefenceStoreError(
                message(f"The log {str(self._path)!r} takes no more.", fix="Free some space and log it again.")
            )

    def close(self, *, durable: bool = True) -> None:
        """Close it, having made it durable."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        try:
            if durable:
                os.fsync(handle)
        except OSError as error:
            raise refused_by_file_system(error, f"The log {self._path}") from error
        finally:
            os.close(handle)

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is not None and os is not None:  # at the end of Python modules are gone, and files closed anyway
            os.close(handle)


def append_line(path: Path, line: bytes, *, durable: bool = False) -> None:
    """Append one line of :func:`line_of` to a log that is not kept open."""
    log = AppendLog(path)
    try:
        log.append(line)
    finally:
        log.close(durable=durable)


def line_of(record: Mapping[str, Any]) -> bytes:
    """A record as a line: line feed, hash, JSON.

    Raises:
        TypeError: If it holds what JSON does not.
    """
    data = orjson.dumps(record)
    return b"\n" + xxhash.xxh3_64_hexdigest(data).encode() + b" " + data


def read_log(path: Path) -> LogContents:
    """All records of a log; one that is not there is empty.

    Raises:
        TimefenceStoreError: If it is there and cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return LogContents((), 0, 0)
    except OSError as error:
        raise TimefenceStoreError(
            message(f"The log {str(path)!r} cannot be read: {error.strerror}.", fix="Check its permissions.")
        ) from error
    return records_of(data)


def records_of(data: bytes) -> LogContents:
    """The records in the bytes of a log."""
    records, broken = [], 0
    for line in data.split(b"\n"):
        if not line:
            continue
        record = _record(line)
        if record is None:
            broken += 1
        else:
            records.append(record)
    return LogContents(tuple(records), broken, len(data))


def _record(line: bytes) -> dict[str, Any] | None:
    digest, content = line[:_DIGITS], line[_DIGITS + 1 :]
    if line[_DIGITS : _DIGITS + 1] != b" " or xxhash.xxh3_64_hexdigest(content).encode() != digest:
        return None
    try:
        record = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None
