"""How the values of one column changed between paired rows.

Takes the column's values old and new, gives counts and the largest changes; parts of a data set add up. Knows nothing
of how rows were paired.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from timefence_pl.leakage.diff_rows import ROW
from timefence_pl.leakage.equality import Tolerance, equal

__all__ = ["LARGEST", "ColumnChanges"]

#: Changes of a column that are kept: the largest, then at most so many that are no finite number.
LARGEST: Final = 10
_NO_NUMBER: Final = 3

_DELTA: Final = "__tf_delta"


@dataclass
class ColumnChanges:
    """Changes of one column, added up.

    Attributes:
        column: Its name.
        types: Old and new.
        tolerance: For floats.
        changed: Pairs of rows whose values differ.
        kinds: Of these, by what became of the value: ``null_to_value``, ``value_to_null``, ``nan_to_value``,
            ``value_to_nan``, ``null_to_nan``, ``nan_to_null``.
        numbers: Of these, how many differ by a finite number, and the sum and the largest of the differences.
        largest: The largest changes: the rows' identity, ``old``, ``new`` and for numbers ``change``.
    """

    column: str
    types: tuple[pl.DataType, pl.DataType]
    tolerance: Tolerance
    changed: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    numbers: tuple[int, float, float] = (0, 0.0, 0.0)
    largest: pl.DataFrame | None = None

    @property
    def numeric(self) -> bool:
        """Whether values differ by numbers."""
        return all(t.is_numeric() or t.is_decimal() for t in self.types)

    def add(self, old: pl.Series, new: pl.Series, identity: pl.DataFrame) -> None:
        """Add pairs of rows.

        Args:
            old: The values.
            new: The values.
            identity: Who the rows are, to be kept with the largest changes; ``ROW`` settles ties.
        """
        values = pl.DataFrame([old.rename("old"), new.rename("new")])
        if old.dtype == new.dtype and values["old"].equals(values["new"], null_equal=True):
            return
        different = values.select(~equal(pl.col("old"), pl.col("new"), self.types, self.tolerance)).to_series()
        if not different.any():
            return
        rows = values.hstack(identity).filter(different)
        self.changed += rows.height
        for name, count in rows.select(_kinds(self.types)).row(0, named=True).items():
            self.kinds[name] = self.kinds.get(name, 0) + int(count or 0)
        if self.numeric:
            change = pl.col("new").cast(pl.Float64) - pl.col("old").cast(pl.Float64)
            rows = rows.with_columns(pl.when(change.is_finite()).then(change).alias("change"))
            known = rows["change"].drop_nulls()
            count, total, most = self.numbers
            largest = max(most, float(known.abs().max() or 0.0)) if len(known) else most  # type: ignore[arg-type]
            self.numbers = (count + len(known), total + float(known.sum()), largest)
        self.largest = self._most([rows] if self.largest is None else [self.largest, rows])

    def plain(self, matched: int) -> dict[str, Any]:
        """The figures: ``changed_count``, ``changed_pct`` and what else there is."""
        figures: dict[str, Any] = {
            "changed_count": self.changed,
            "changed_pct": self.changed / matched if matched else 0.0,
            **{name: count for name, count in self.kinds.items() if count},
        }
        count, total, most = self.numbers
        if count:
            figures |= {"mean_delta": total / count, "max_delta": most}
        return figures

    def _most(self, frames: list[pl.DataFrame]) -> pl.DataFrame:
        rows = pl.concat(frames)
        if "change" not in rows.columns:
            return rows.sort(ROW).head(LARGEST)
        rows = rows.with_columns(pl.col("change").abs().alias(_DELTA)).sort(_DELTA, ROW, descending=[True, False])
        came_or_went = pl.col("change").is_null()
        # Twice: what is left out now may be all there is.
        kept = [rows.filter(came_or_went).head(LARGEST), rows.filter(~came_or_went).head(LARGEST)]
        return pl.concat(kept).drop(_DELTA)

    def shown(self) -> pl.DataFrame:
        """The largest changes, as they are shown."""
        if self.largest is None or "change" not in self.largest.columns:
            return pl.DataFrame() if self.largest is None else self.largest
        numbers = self.largest.filter(pl.col("change").is_not_null())
        others = self.largest.filter(pl.col("change").is_null()).head(max(_NO_NUMBER, LARGEST - numbers.height))
        return pl.concat([numbers.head(LARGEST - others.height), others])


def _kinds(types: tuple[pl.DataType, pl.DataType]) -> list[pl.Expr]:
    states = []
    for name, dtype in zip(("old", "new"), types, strict=True):
        column = pl.col(name)
        nan = column.is_nan().fill_null(value=False) if dtype.is_float() else pl.lit(value=False)
        states.append({"null": column.is_null(), "nan": nan, "value": column.is_not_null() & ~nan})
    words = ("null_to_value", "value_to_null", "nan_to_value", "value_to_nan", "null_to_nan", "nan_to_null")
    counts = []
    for word in words:
        before, after = word.split("_to_")
        counts.append((states[0][before] & states[1][after]).sum().alias(word))
    return counts
