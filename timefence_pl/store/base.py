"""The store as builds use it: builds, cached features, their upkeep, and a hasher that remembers.

Takes a folder, gives what is in it. Knows nothing of published feature sets and runs, which stand on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import orjson

from timefence_pl.choices import is_file, one_of, path_of, shortened
from timefence_pl.errors import TimefenceConfigError, TimefenceStoreError, TimefenceValidationError, message
from timefence_pl.fingerprint import FileHasher, HashMemo
from timefence_pl.store.builds import list_builds, read_build, save_build
from timefence_pl.store.files import write_whole
from timefence_pl.store.layout import Layout
from timefence_pl.store.upkeep import cache_info

__all__ = ["BuildStore"]


class BuildStore:
    """What :func:`build` and :func:`explain` need of a store; :class:`Store` is all of it."""

    def __init__(
        self,
        path: str | Path = ".timefence",
        *,
        hash: Literal["xxh3_128", "sha256"] = "xxh3_128",  # noqa: A002 - the public name
    ) -> None:
        one_of(hash, ("xxh3_128", "sha256"), "hash", of="the store")
        if not isinstance(path, str | Path) or not str(path):
            raise TimefenceConfigError(
                message(f"path={shortened(path)} of the store is not a path.", fix="Give a folder.")
            )
        try:
            #: The store's folder.
            self.path = Path(path).expanduser().absolute()
            taken = self.path.exists() and not self.path.is_dir()
            usable = "\0" not in str(path)
        except (OSError, RuntimeError, ValueError):
            taken, usable = False, False
        if not usable:
            raise TimefenceConfigError(
                message(f"path={shortened(str(path))} of the store is not the path of a folder.", fix="Give a folder.")
            )
        if taken:
            raise TimefenceStoreError(
                message(f"A file stands where the store should be: {shortened(str(path))}.", fix="Give a folder.")
            )
        self.hash = hash
        self._layout = Layout(self.path)

    @property
    def layout(self) -> Layout:
        """Where things stand in the store."""
        return self._layout

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    def save_build(self, manifest: Mapping[str, Any]) -> Path:
        """Keep a build's manifest.

        Returns:
            The path of its ``build.json``.

        Raises:
            TimefenceStoreError: If the build id is taken or no valid name, or the file system refuses.
        """
        self._layout.create()
        return save_build(self._layout, manifest, self.hash)

    def list_builds(self) -> list[dict[str, Any]]:
        """All builds' manifests, newest first; those that cannot be read are passed over."""
        return list_builds(self._layout)

    def get_build(self, build_id: str) -> dict[str, Any] | None:
        """A build's manifest; None where there is none."""
        return read_build(self._layout, build_id) if isinstance(build_id, str) else None

    def content_hash(self, path: str | Path) -> str:
        """``sha256:`` and the hash of a file's bytes.

        Raises:
            TimefenceValidationError: If the file cannot be read.
        """
        if not is_file(path_of(path, "path")):
            raise TimefenceValidationError(message(f"There is no file {shortened(str(path))}.", fix="Check the path."))
        return FileHasher(algorithm="sha256").hash(path)

    def cache_info(self) -> dict[str, Any]:
        """Counts and sizes: ``entries``, ``bytes``, ``builds``, ``features``, ``set_aside``."""
        return cache_info(self._layout)

    @contextmanager
    def hasher(self, algorithm: Literal["xxh3_128", "sha256"] | None = None) -> Iterator[FileHasher]:
        """A hasher that remembers, in the store, the hashes of files that did not change.

        Args:
            algorithm: The store's by default.
        """
        if algorithm is not None:
            one_of(algorithm, ("xxh3_128", "sha256"), "algorithm")
        memo = HashMemo.from_dict(self._read_memo())
        known = memo.to_dict()
        yield FileHasher(memo, algorithm=self.hash if algorithm is None else algorithm)
        now = memo.to_dict()
        if now != known:
            try:
                # What another process remembered since is kept; a lost memo only costs reading again.
                write_whole(
                    self._layout.hashes, orjson.dumps({**HashMemo.from_dict(self._read_memo()).to_dict(), **now})
                )
            except OSError:
                return

    def _read_memo(self) -> object:
        try:
            return orjson.loads(self._layout.hashes.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
