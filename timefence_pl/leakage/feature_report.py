"""What the reports over features share: the features by name, JSON, and a page as a file.

Takes what a report says of itself as plain values and as a page, gives files and look-ups. Knows no verdicts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from timefence_pl.choices import shortened
from timefence_pl.errors import TimefenceValidationError, did_you_mean, listing, message
from timefence_pl.reports.output import json_text, written

__all__ = ["FeatureReport"]

F = TypeVar("F")


class FeatureReport(ABC, Generic[F]):
    """A report with one part for each feature."""

    #: By feature name.
    features: Mapping[str, F]

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The report as plain values that JSON can hold."""

    @abstractmethod
    def _page(self) -> str: ...

    def to_json(self, path: str | Path | None = None) -> str:
        """The report as JSON, with examples; written to ``path`` too, if given.

        Raises:
            TimefenceStoreError: If the file cannot be written.
        """
        return written(lambda: json_text(self.to_dict()), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """The report as a page of its own, without scripts or network; written to ``path`` too, if given.

        Charts need the extra ``report``; a line says so where they are left out.

        Raises:
            TimefenceStoreError: If the file cannot be written.
        """
        return written(self._page, path)

    def __getitem__(self, name: str) -> F:
        if not isinstance(name, str) or name not in self.features:
            raise TimefenceValidationError(
                message(
                    f"There is no feature {shortened(name)} in the report. {did_you_mean(str(name), self.features)}".rstrip(),
                    where=f"features: {listing(self.features)}",
                    fix="Name a feature of the report.",
                )
            )
        return self.features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)
