"""The content of files, hashed once.

Takes paths and URIs, gives hashes of content, and remembers those of unchanged local files in a memo. Knows no
formats, sources or stores, and never writes.

A memo entry is trusted only if path, size, modification time, change time, device and inode are all the same, and if
the file was already older than the clock's grain when it was hashed: one that was written a moment ago could be
written again within the same tick of the clock. A rewrite of equal size with the old modification time put back still
has another change time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from timefence_pl.errors import TimefenceValidationError, message, without_secrets
from timefence_pl.fingerprint.keys import Algorithm, Fingerprint, Uncacheable, hash_parts, new_hasher
from timefence_pl.fingerprint.objects import object_version

__all__ = [
    "GRAIN_NS",
    "FileHasher",
    "HashMemo",
    "Versions",
    "is_remote",
    "labels_of",
    "local_path",
    "unescaped",
]

#: How old a file must be when it is hashed for its hash to be remembered. Two seconds is the coarsest grain in use
#: (FAT); ext4 and xfs step with the kernel's tick, a few milliseconds.
GRAIN_NS: Final = 2_000_000_000
_BLOCK: Final = 4 << 20

#: Gives the version of a remote object, of its URI and the options it is read with; see :func:`object_version`.
Versions = Callable[[str, Mapping[str, Any] | None], str]


@dataclass(frozen=True)
class _Stamp:
    """What the file system says of a file; a change of content changes it, beyond the clock's grain."""

    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> _Stamp:
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_dev, stat.st_ino)

    def settled(self, now_ns: int) -> bool:
        """Whether the file was last touched more than a grain ago. A time to come (a skewed clock) is not."""
        return now_ns - max(self.mtime_ns, self.ctime_ns) >= GRAIN_NS

    def as_list(self) -> list[int]:
        return [self.size, self.mtime_ns, self.ctime_ns, self.device, self.inode]


class HashMemo:
    """Hashes of files that have not changed since; plain JSON values, kept by the store."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, path: str, stat: os.stat_result, algorithm: Algorithm = "xxh3_128") -> str | None:
        """The remembered hash of a file, if nothing about it has changed."""
        entry = self._entries.get(path)
        if entry is None or entry["stamp"] != _Stamp.of(stat).as_list():
            return None
        found: str | None = entry["hashes"].get(algorithm)
        return found

    def put(self, path: str, stat: os.stat_result, value: str, *, now_ns: int) -> None:
        """Remember a hash, unless the file was touched within the clock's grain of ``now_ns``.

        Args:
            path: The absolute path.
            stat: What the file system said before the file was read, and again after.
            value: The hash with its algorithm, ``"xxh3_128:<hex>"``.
            now_ns: The time before ``stat`` was taken, in nanoseconds since the epoch.
        """
        stamp = _Stamp.of(stat)
        if not stamp.settled(now_ns):
            self._entries.pop(path, None)
            return
        entry = self._entries.get(path)
        kept = entry["hashes"] if entry is not None and entry["stamp"] == stamp.as_list() else {}
        self._entries[path] = {"stamp": stamp.as_list(), "hashes": {**kept, value.partition(":")[0]: value}}

    def to_dict(self) -> dict[str, Any]:
        """The memo as JSON values."""
        return {path: {"stamp": [*e["stamp"]], "hashes": {**e["hashes"]}} for path, e in self._entries.items()}

    @classmethod
    def from_dict(cls, content: object) -> HashMemo:
        """A memo from JSON values; whatever is broken is left out, and never an error."""
        memo = cls()
        for path, entry in content.items() if isinstance(content, Mapping) else ():
            stamp = entry.get("stamp") if isinstance(entry, Mapping) else None
            hashes = entry.get("hashes") if isinstance(entry, Mapping) else None
            if not (isinstance(path, str) and isinstance(stamp, list) and isinstance(hashes, Mapping)):
                continue
            if len(stamp) != 5 or not all(type(v) is int for v in stamp):
                continue
            good = {k: v for k, v in hashes.items() if k in _DIGITS and _is_hash(k, v)}
            if good:
                memo._entries[path] = {"stamp": stamp, "hashes": good}
        return memo


_DIGITS: Final[Mapping[str, int]] = {"xxh3_128": 32, "sha256": 64}


def _is_hash(algorithm: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    name, _, digits = value.partition(":")
    return name == algorithm and len(digits) == _DIGITS[algorithm] and not digits.strip("0123456789abcdef")


class FileHasher:
    """Hashes files and remote objects, with one memo, one algorithm and several threads.

    Args:
        memo: What is remembered; a new one, forgotten with the hasher, by default.
        algorithm: ``"xxh3_128"`` or ``"sha256"``.
        versions: Gives the version of a remote object.
        threads: Files read at once; the number of processors by default.
    """

    def __init__(
        self,
        memo: HashMemo | None = None,
        *,
        algorithm: Algorithm = "xxh3_128",
        versions: Versions = object_version,
        threads: int | None = None,
    ) -> None:
        self.memo = HashMemo() if memo is None else memo
        self.algorithm: Algorithm = algorithm
        self.versions = versions
        #: Of places that did not tell a version, why: they are asked once, which may have taken seconds.
        self._silent: dict[str, str] = {}
        self.threads = threads or os.cpu_count() or 1

    def hash(self, path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> str:
        """The hash of one file's content, or of a remote object's version.

        Args:
            path: The file or remote object.
            options: How a remote object is read: ``storage_options``, or the ``cloud_options`` of a plan.

        Raises:
            TimefenceValidationError: If a local file cannot be read.
            Uncacheable: If a remote object has no version, or a local file changes while it is read.
        """
        text = os.fspath(path)
        if is_remote(text):
            # The URI belongs to it: versions and generations are only counted within one object.
            return hash_parts("remote object", text, self._version(text, options), algorithm=self.algorithm)
        return self._local(os.path.abspath(local_path(text)))  # noqa: PTH100 - links and ".." stay as they are read

    def hash_all(self, paths: Sequence[str | os.PathLike[str]], options: Mapping[str, Any] | None = None) -> list[str]:
        """The hashes of several files, in order; read in parallel, which never changes a hash. As :meth:`hash`."""
        if len(paths) < 2 or self.threads == 1:
            return [self.hash(path, options) for path in paths]
        # Where the first of remote objects has no version, the others are not asked.
        first = [self.hash(paths[0], options)] if is_remote(os.fspath(paths[0])) else []
        with ThreadPoolExecutor(min(self.threads, len(paths))) as pool:
            return [*first, *pool.map(partial(self.hash, options=options), paths[len(first) :])]

    def _version(self, uri: str, options: Mapping[str, Any] | None) -> str:
        place = uri.partition("://")[2].partition("/")[0]
        if place in self._silent:
            raise Uncacheable(self._silent[place])
        try:
            return self.versions(uri, options)
        except Uncacheable as error:
            self._silent[place] = error.reason
            raise

    def fingerprint(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        names: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Fingerprint:
        """The ordered content of files.

        Args:
            paths: Files or remote objects, in the order in which their rows are read.
            names: Names that are part of the result (hive partitions, path columns), one for each file; by default
                names do not matter.
            options: How remote objects are read, as for :meth:`hash`.

        Raises:
            TimefenceValidationError: If a local file cannot be read.
            Uncacheable: As in :meth:`hash`.
            ValueError: If there are not as many names as paths.
        """
        if names is not None and len(names) != len(paths):
            raise ValueError(f"{len(paths)} paths but {len(names)} names")
        hashes = self.hash_all(paths, options)
        content = hashes if names is None else [list(pair) for pair in zip(hashes, names, strict=True)]
        parts = {f"file {label}": h for label, h in zip(labels_of(paths), hashes, strict=True)}
        return Fingerprint(self.combined(content), parts)

    def combined(self, hashes: Sequence[object]) -> str:
        """The key of :meth:`fingerprint` for files with these hashes, in their order, or pairs of hash and name."""
        return hash_parts("files", list(hashes), algorithm=self.algorithm)

    def _local(self, path: str) -> str:
        for _ in range(3):
            now_ns = time.time_ns()
            try:
                stat = os.stat(path)  # noqa: PTH116
                known = self.memo.get(path, stat, self.algorithm)
                if known is not None:
                    return known
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                    before = os.fstat(file.fileno())
                    value = self._read(file)
                    after = os.fstat(file.fileno())
            except OSError as error:
                raise _unreadable(path, error) from error
            if _Stamp.of(before) == _Stamp.of(after) == _Stamp.of(stat):
                self.memo.put(path, stat, value, now_ns=now_ns)
                return value
        raise Uncacheable(f"the file {path} is being written")

    def _read(self, file: Any) -> str:
        hasher = new_hasher(self.algorithm)
        block = memoryview(bytearray(_BLOCK))
        while size := file.readinto(block):
            hasher.update(block[:size])
        return f"{self.algorithm}:{hasher.hexdigest()}"


def is_remote(path: str) -> bool:
    """Whether a path is a URI that is not a local file's."""
    return "://" in path and not path.startswith("file://")


def local_path(path: str) -> str:
    """A local path without its ``file://`` and that one's escapes, with ``~`` expanded."""
    if path.startswith("file://"):
        return unescaped("/" + path.removeprefix("file://").partition("/")[2])
    return os.path.expanduser(path)  # noqa: PTH111


def unescaped(path: str) -> str:
    """The path of a ``file://`` URI without its escapes, as Polars reads it; as it is, if only that is there.

    Many write a URI by putting ``file://`` before a path, in which ``%2F`` may be part of a folder's name.
    """
    plain = unquote(path)
    return path if os.path.exists(path) and not os.path.exists(plain) else plain  # noqa: PTH110 - as it is spelled


def labels_of(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Short, distinct names for people: relative to the folder that all paths share."""
    texts = [without_secrets(os.fspath(p).replace(os.sep, "/")) for p in paths]
    if len(set(texts)) == 1:
        names = [texts[0].rsplit("/", 1)[-1]] * len(texts)
    else:
        split = [t.split("/") for t in texts]
        shared = 0
        while split and all(len(s) > shared + 1 and s[shared] == split[0][shared] for s in split):
            shared += 1
        names = ["/".join(s[shared:]) for s in split]
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[i] = f"{name} ({seen[name]})"
    return names


def _unreadable(path: str, error: OSError) -> TimefenceValidationError:
    folder = Path(path).parent
    return TimefenceValidationError(
        message(
            f"The file {path!r} cannot be read: {error.strerror or error}.",
            where="" if folder.is_dir() else f"the folder {folder} does not exist",
            fix="Check the path and its permissions.",
        )
    )
