"""The public store: builds, cached features, their upkeep.

Takes a folder, gives what is in it. A thin face over :mod:`timefence_pl.store`.
"""

from __future__ import annotations

from timefence_pl.durations import DurationLike
from timefence_pl.store.base import BuildStore
from timefence_pl.store.upkeep import Garbage, Problem, collect_garbage, verify_store

__all__ = ["Store"]


class Store(BuildStore):
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
