"""The public store: builds, cached features, their upkeep.

Takes a folder, gives what is in it. A thin face over :mod:`timefence_pl.store`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import orjson

from timefence_pl.durations import DurationLike
from timefence_pl.errors import TimefenceConfigError, TimefenceValidationError, message
from timefence_pl.fingerprint import FileHasher, HashMemo
from timefence_pl.store.builds import list_builds, read_build, save_build
from timefence_pl.store.files import write_whole
from timefence_pl.store.layout import Layout
from timefence_pl.store.upkeep import Garbage, Problem, cache_info, collect_garbage, verify_store

__all__ = ["Store"]


class Store:
    """A folder that keeps builds, their manifests, and the feature frames they were made of.

    Several processes may use one store at once. Nothing read from it is ever executed, and no file outside it is
    touched, whatever its records say.

    Args:
        path: The folder; made when first used.
        hash: ``"xxh3_128"`` or ``"sha256"``, for everything the store hashes.

    Raises:
        TimefenceConfigError: For an unknown hash.

    Examples:
        >>> import tempfile, timefence_pl as tf
        >>> store = tf.Store(tempfile.mkdtemp())
        >>> store.list_builds()
        []
    """

    def __init__(
        self,
        path: str | Path = ".timefence",
        *,
        hash: Literal["xxh3_128", "sha256"] = "xxh3_128",  # noqa: A002 - the public name
    ) -> None:
        if hash not in ("xxh3_128", "sha256"):
            raise TimefenceConfigError(message(f"hash={hash!r} is not known.", fix="Use 'xxh3_128' or 'sha256'."))
        if not isinstance(path, str | Path) or not str(path):
            raise TimefenceConfigError(message(f"path={path!r} of the store is not a path.", fix="Give a folder."))
        #: The store's folder.
        self.path = Path(path).expanduser().absolute()
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
        return save_build(self._layout, manifest)

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
        if not Path(path).is_file():
            raise TimefenceValidationError(message(f"There is no file {str(path)!r}.", fix="Check the path."))
        return FileHasher(algorithm="sha256").hash(path)

    def cache_info(self) -> dict[str, Any]:
        """Counts and sizes: ``entries``, ``bytes``, ``builds``, ``features``, ``set_aside``."""
        return cache_info(self._layout)

    def gc(
        self,
        *,
        keep_builds: int | None = None,
        max_size: int | None = None,
        older_than: DurationLike | None = None,
        dry_run: bool = True,
    ) -> Garbage:
        """Remove what is not needed; only says what it would remove unless ``dry_run=False``.

        Args:
            keep_builds: Keep this many newest builds' manifests; all by default. Outputs are never removed.
            max_size: Remove the oldest cached frames until the rest has at most this many bytes.
            older_than: Remove cached frames made longer ago, as in ``"30d"``.
            dry_run: Only say what would go.
        """
        return collect_garbage(
            self._layout, keep_builds=keep_builds, max_size=max_size, older_than=older_than, dry_run=dry_run
        )

    def verify(self, *, repair: bool = False) -> list[Problem]:
        """Check every cached frame and every build's output against their records; nothing found is ``[]``.

        Args:
            repair: Set damaged frames aside, so that the next build makes them again.
        """
        return verify_store(self._layout, repair=repair)

    @contextmanager
    def hasher(self) -> Iterator[FileHasher]:
        """A hasher that remembers, in the store, the hashes of files that did not change."""
        memo = HashMemo.from_dict(self._read_memo())
        known = memo.to_dict()
        yield FileHasher(memo, algorithm=self.hash)
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
