"""Telling how far a run has come.

Takes a callable for lines of text, gives the lines. Knows nothing of what runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

__all__ = ["Progress", "Steps"]

Progress = Callable[[str], None]


class Steps:
    """The steps of one build, told in words."""

    def __init__(self, progress: Progress | None, features: int) -> None:
        self._say = progress or (lambda _line: None)
        self._features = features
        self._lock = threading.Lock()
        self._computed = 0
        self._joined = 0

    def loading_labels(self) -> None:
        """Schemas are read and checked."""
        self._say("Loading labels")

    def checking_lookahead(self) -> None:
        """Features are recomputed without their sources' later rows."""
        self._say("Checking look-ahead")

    def computing(self, features: Sequence[str]) -> None:
        """The features' frames are computed and sorted."""
        with self._lock:
            for name in features:
                self._computed += 1
                self._say(f"Computing {name} ({self._computed}/{self._features})")

    def joining(self, features: Sequence[str]) -> None:
        """The features are joined to the labels."""
        with self._lock:
            for name in features:
                self._joined += 1
                self._say(f"Joining {name} ({self._joined}/{self._features})")

    def writing(self, path: str) -> None:
        """The output is written."""
        self._say(f"Writing output {path}")

    def verifying(self) -> None:
        """The result is checked."""
        self._say("Verifying")
