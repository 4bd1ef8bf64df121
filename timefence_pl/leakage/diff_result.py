"""What differs between two data sets.

Takes figures, gives values that print, and can be written as JSON, HTML or a frame. Compares nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from timefence_pl.choices import shortened
from timefence_pl.errors import TimefenceValidationError, did_you_mean, listing, message
from timefence_pl.printing import plain_rows
from timefence_pl.reports.diff import diff_html, diff_page, diff_text
from timefence_pl.reports.output import json_text, written

__all__ = ["DiffResult"]


@dataclass(frozen=True, repr=False)
class DiffResult:
    """What differs between two data sets.

    Attributes:
        old: The old one, in a few words.
        new: The new one.
        keys: What says which row it is, besides the label time.
        label_time: The label time.
        old_rows: Rows of the old one.
        new_rows: Rows of the new one.
        matched_rows: Pairs of the same row in both.
        removed_rows: Rows that only the old one has.
        added_rows: Rows that only the new one has.
        old_duplicates: Rows of the old one that share keys and label time with others of it.
        new_duplicates: The same of the new one.
        reordered: Whether the rows both have come in another order.
        schema_changes: One entry a column: ``type`` (``"+"`` new, ``"-"`` removed, ``"~"`` of another type, or with
            values that changed, ``"="`` unchanged), ``column`` and ``detail``.
        value_changes: For each column that changed: ``changed_count``, ``changed_pct`` (of the matched rows), how many
            came from or went to null or NaN (``null_to_value``, ``value_to_null``, ``nan_to_value``, ...), and for
            numbers ``mean_delta`` and ``max_delta`` (finite differences, new less old).
        removed: Some rows that only the old one has: keys and label time.
        added: Some rows that only the new one has.
    """

    old: str
    new: str
    keys: tuple[str, ...]
    label_time: str
    old_rows: int
    new_rows: int
    matched_rows: int
    removed_rows: int
    added_rows: int
    old_duplicates: int
    new_duplicates: int
    reordered: bool
    schema_changes: Sequence[Mapping[str, str]]
    value_changes: Mapping[str, Mapping[str, Any]]
    removed: pl.DataFrame
    added: pl.DataFrame
    _largest: Mapping[str, pl.DataFrame]

    @property
    def identical(self) -> bool:
        """Whether both hold the same columns, types and rows, whatever the order of the rows."""
        same = all(c["type"] == "=" for c in self.schema_changes)
        return same and not self.removed_rows and not self.added_rows

    def largest(self, column: str) -> pl.DataFrame:
        """The largest changes of a column: keys, label time, ``old``, ``new`` and, of numbers, ``change``.

        Some values that came, went, or differ by no finite number stand last. Empty where nothing changed.

        Args:
            column: A column that both have.

        Raises:
            TimefenceValidationError: If there is no such column.
        """
        common = [c["column"] for c in self.schema_changes if c["type"] in "~="]
        if not isinstance(column, str) or column not in common:
            raise TimefenceValidationError(
                message(
                    f"There is no column {shortened(column)} to compare. {did_you_mean(str(column), common)}".rstrip(),
                    where=f"columns that both have: {listing(common)}",
                    fix="Name a column that both data sets have, and that is neither a key nor the label time.",
                )
            )
        return self._largest.get(column, pl.DataFrame())

    def to_polars(self) -> pl.DataFrame:
        """One row for each column: ``column``, ``type``, ``detail``, counts and differences."""
        figures = ("null_to_value", "value_to_null", "nan_to_value", "value_to_nan", "null_to_nan", "nan_to_null")
        rows = [
            {
                **c,
                "changed_count": 0,
                "changed_pct": 0.0,
                **dict.fromkeys(figures, 0),
                "mean_delta": None,
                "max_delta": None,
                **self.value_changes.get(c["column"], {}),
            }
            for c in self.schema_changes
        ]
        schema: dict[str, Any] = {
            **dict.fromkeys(("column", "type", "detail"), pl.String),
            "changed_count": pl.Int64,
            "changed_pct": pl.Float64,
            **dict.fromkeys(figures, pl.Int64),
            "mean_delta": pl.Float64,
            "max_delta": pl.Float64,
        }
        return pl.DataFrame(rows, schema=schema)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "identical": self.identical,
            "old": self.old,
            "new": self.new,
            "keys": list(self.keys),
            "label_time": self.label_time,
            "old_rows": self.old_rows,
            "new_rows": self.new_rows,
            "matched_rows": self.matched_rows,
            "removed_rows": self.removed_rows,
            "added_rows": self.added_rows,
            "old_duplicates": self.old_duplicates,
            "new_duplicates": self.new_duplicates,
            "reordered": self.reordered,
            "schema_changes": [dict(c) for c in self.schema_changes],
            "value_changes": {n: dict(c) for n, c in self.value_changes.items()},
            "largest_changes": {n: plain_rows(f) for n, f in self._largest.items()},
            "removed": plain_rows(self.removed),
            "added": plain_rows(self.added),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The result as JSON; written to ``path`` too, if given.

        Raises:
            TimefenceStoreError: If the file cannot be written.
        """
        return written(lambda: json_text(self.to_dict()), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """The result as a page of its own, without scripts or network; written to ``path`` too, if given.

        Raises:
            TimefenceStoreError: If the file cannot be written.
        """
        return written(lambda: diff_page(self), path)

    def __str__(self) -> str:
        return diff_text(self)

    def __repr__(self) -> str:
        return (
            f"DiffResult({self.matched_rows} rows matched, {self.added_rows} added, {self.removed_rows} removed, "
            f"{len(self.value_changes)} columns changed)"
        )

    def _repr_html_(self) -> str:
        return diff_html(self)
