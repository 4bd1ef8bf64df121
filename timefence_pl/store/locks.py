"""Locks between processes, which end with their holder.

Takes the path of a lock file, gives a context. The operating system lets go of a lock when its process ends, however
it ends: so a lock also tells whether its holder lives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from timefence_pl.errors import TimefenceStoreError, message
from timefence_pl.store.files import refused_by_file_system

__all__ = ["Holding", "is_held", "locked"]

#: Seconds to wait for another process; what is done under a lock takes milliseconds.
PATIENCE: Final = 60.0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock; waits for another holder.

    Raises:
        TimefenceStoreError: If another process keeps it for a minute, or the file system refuses.
    """
    holding = Holding(path)
    try:
        yield
    finally:
        holding.release()


class Holding:
    """A lock that is held until it is released, or its process ends.

    Args:
        path: Its file; the folder is made.

    Raises:
        TimefenceStoreError: As :func:`locked`.
    """

    def __init__(self, path: Path) -> None:
        # A lock object of its own for each holder, so that threads exclude each other like processes do.
        self._lock = FileLock(path, timeout=PATIENCE, thread_local=False, is_singleton=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(poll_interval=0.002)
        except Timeout as error:
            raise TimefenceStoreError(
                message(
                    f"Another process has held {str(path)!r} for {PATIENCE:.0f} seconds.",
                    fix="Wait for it, or see what it is; a process that ended holds nothing.",
                )
            ) from error
        except OSError as error:
            raise refused_by_file_system(error, f"The lock {path}") from error

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()


def is_held(path: Path) -> bool:
    """Whether some living process, this one included, holds a lock; where that cannot be tried, it is."""
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0, thread_local=False, is_singleton=False)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return path.exists()
    lock.release()
    return False
