"""Where things stand in a store.

Takes the root folder, gives paths. Names that users chose never become paths unchecked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import xxhash

from timefence_pl.errors import TimefenceStoreError, message
from timefence_pl.store.files import refused_by_file_system, write_whole

__all__ = ["STORE_FORMAT", "Layout"]

#: Version of the layout; a store of a later version is refused.
STORE_FORMAT: Final = 1
_BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Layout:
    """Paths of a store.

    Attributes:
        root: Its folder.
    """

    root: Path

    @property
    def marker(self) -> Path:
        """The file that tells our store from another's."""
        return self.root / "timefence_pl.json"

    @property
    def builds(self) -> Path:
        """One folder a build."""
        return self.root / "builds"

    @property
    def features(self) -> Path:
        """Cached feature frames and their records."""
        return self.root / "cache" / "features"

    @property
    def hashes(self) -> Path:
        """The memo of file hashes."""
        return self.root / "cache" / "hashes.json"

    @property
    def aside(self) -> Path:
        """Where damaged files go."""
        return self.root / "cache" / "set_aside"

    @property
    def feature_sets(self) -> Path:
        """One folder a published feature set."""
        return self.root / "feature_sets"

    @property
    def runs(self) -> Path:
        """One folder an experiment, with one a run."""
        return self.root / "runs"

    @property
    def lock(self) -> Path:
        """Held while shared files change."""
        return self.root / "lock"

    def build(self, build_id: str) -> Path | None:
        """A build's folder; None for what cannot be a build's name."""
        if not _BUILD_ID.fullmatch(build_id) or ".." in build_id:
            return None
        return self.builds / build_id

    def feature(self, name: str, key: str) -> Path:
        """A cached frame's file: the name, or what can be kept of it and its hash, then the key's digits."""
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60]
        if plain != name or name != name.lower():  # two names may be one on a disk
            plain = f"{plain}_{xxhash.xxh3_64_hexdigest(name.encode())}"
        return self.features / f"{plain}__{key.split(':', 1)[-1]}.parquet"

    def record(self, frame: Path) -> Path:
        """The record of a cached frame's file."""
        return frame.with_suffix(".json")

    def create(self) -> None:
        """Make the folders and the marker, if they are not there.

        Raises:
            TimefenceStoreError: If they cannot be made, or the store is of a later version.
        """
        try:
            for folder in (self.builds, self.features):
                folder.mkdir(parents=True, exist_ok=True)
            if not self.marker.exists():
                write_whole(self.marker, orjson.dumps({"format": STORE_FORMAT}))
        except OSError as error:
            raise refused_by_file_system(error, f"The store {self.root}") from error
        self.check_version()

    def check_version(self) -> None:
        """Refuse a store that a later version wrote.

        Raises:
            TimefenceStoreError: If it is.
        """
        try:
            found = orjson.loads(self.marker.read_bytes()).get("format", 0)
        except (OSError, orjson.JSONDecodeError, AttributeError):
            return
        if isinstance(found, int) and found > STORE_FORMAT:
            raise TimefenceStoreError(
                message(
                    f"The store {str(self.root)!r} has format {found}; this version reads up to {STORE_FORMAT}.",
                    fix="Upgrade timefence_pl, or use another folder.",
                )
            )
