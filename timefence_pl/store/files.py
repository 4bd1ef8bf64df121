"""Files that appear whole or not at all, and their hashes.

Takes paths and bytes, gives files written beside their target, made durable and renamed. Knows nothing of what is in
them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import polars as pl
import xxhash

from timefence_pl.errors import TimefenceError, TimefenceStoreError, message

__all__ = [
    "WholeFiles",
    "has_hash",
    "hash_file",
    "is_temporary",
    "refused_by_file_system",
    "whole_files",
    "write_whole",
    "writes_of_polars",
]

_MARK = ".tmp"
#: How Polars tells an error of the operating system, and those that only writing meets.
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
_REFUSALS = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS})
#: Read at once: one buffer that stays in the processor's cache costs half of new ones.
_BLOCK = 1 << 20
#: Seconds until what was written meanwhile is made durable: more each time, since others wait for the disk too.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 1.0


def hash_file(path: Path, algorithm: str = "xxh3_128") -> str:
    """The algorithm, ``xxh3_128`` or ``sha256``, a colon, and the hash of a file's bytes."""
    state = hashlib.sha256() if algorithm == "sha256" else xxhash.xxh3_128()
    block = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            state.update(block[:size])
    return f"{algorithm}:{state.hexdigest()}"


def has_hash(path: Path, expected: object) -> bool:
    """Whether a file's bytes have a hash, of whichever algorithm it names."""
    algorithm = str(expected).partition(":")[0]
    return algorithm in ("xxh3_128", "sha256") and hash_file(path, algorithm) == expected


def temporary_name(target: Path) -> Path:
    """A name beside the target that no other writer has; hidden, and known as temporary to :func:`is_temporary`."""
    return target.with_name(f".{_shortened(target.stem, 80)}.{uuid.uuid4().hex}{_MARK}{target.suffix}")


def _shortened(name: str, size: int) -> str:
    """As much of the beginning of a name as takes so many bytes."""
    return os.fsencode(name)[:size].decode(errors="ignore")


def is_temporary(path: Path) -> bool:
    """Whether a file is what a killed writer left behind."""
    return path.name.startswith(".") and Path(path.stem).suffix == _MARK


class WholeFiles:
    """Files being written under temporary names beside their targets."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Path, Path]] = []
        self._syncing: dict[Path, Future[None]] = {}

    def new(self, target: Path) -> Path:
        """A temporary name in the target's folder, made if it does not exist."""
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(target)
        self._pairs.append((temporary, target))
        return temporary

    def written(self, target: Path) -> Path:
        """Where the file that is to stand at ``target`` is now."""
        return next(temporary for temporary, t in self._pairs if t == target)

    @contextmanager
    def writing(self, target: Path) -> Iterator[Path]:
        """A temporary name, as :meth:`new` gives it, while its file is written, which is made durable as it grows."""
        temporary, whole = self.new(target), Event()
        try:
            pool = ThreadPoolExecutor(1)
            self._syncing[temporary] = pool.submit(_sync_while_written, temporary, whole)
            pool.shutdown(wait=False)
            yield temporary
        finally:
            whole.set()

    def commit(self) -> None:
        """Make all files durable, then put them in place, in the order they were asked for."""
        for temporary, _ in self._pairs:
            begun = self._syncing.pop(temporary, None)
            if begun is None:
                sync(temporary)
            else:
                begun.result()
        for temporary, target in self._pairs:
            temporary.replace(target)
        for folder in {target.parent for _, target in self._pairs}:
            sync(folder)
        self._pairs.clear()

    def discard(self) -> None:
        """Remove what was not put in place."""
        wait(self._syncing.values())
        self._syncing.clear()
        for temporary, _ in self._pairs:
            temporary.unlink(missing_ok=True)
        self._pairs.clear()


@contextmanager
def whole_files() -> Iterator[WholeFiles]:
    """Files that are all put in place at the end, one after the other, or removed if anything fails before.

    Each appears whole or not at all. Where the file system refuses one of several, those before it stand.

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
        raise refused_by_file_system(error) from error
    finally:
        files.discard()


def write_whole(target: Path, data: bytes) -> None:
    """Write bytes to a file that appears whole or not at all.

    Raises:
        OSError: If the file system refuses; the file that stood there is unchanged.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(target)
    try:
        temporary.write_bytes(data)
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's names, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_while_written(path: Path, whole: Event) -> None:
    """Make a file durable piece by piece until it is whole, so that little is left to wait for then."""
    pause = _FIRST_PAUSE
    while not whole.wait(pause):
        with suppress(FileNotFoundError):
            sync(path)
        pause = min(2 * pause, _LONGEST_PAUSE)
    sync(path)


@contextmanager
def writes_of_polars(what: str = "The output") -> Iterator[None]:
    """Turn what Polars raises where the file system refuses its writing into our error; its other errors pass.

    Args:
        what: What is written, for the error.

    Raises:
        TimefenceStoreError: If the file system refuses.
    """
    try:
        yield
    except pl.exceptions.PolarsError as error:
        found = _SYSTEM_ERROR.search(str(error))
        number = 0 if found is None else int(found[1])
        if number not in _REFUSALS:
            raise
        raise refused_by_file_system(OSError(number, os.strerror(number)), what) from error


def refused_by_file_system(error: OSError, what: str = "The output") -> TimefenceStoreError:
    """Our error for an operating system's."""
    return TimefenceStoreError(
        message(
            f"{what} cannot be written: {_SYSTEM_ERROR.sub('', str(error.strerror or error)).rstrip()}.",
            where=str(error.filename or ""),
            fix="Check the folder's permissions and the free space; files that stood there are unchanged.",
        )
    )
