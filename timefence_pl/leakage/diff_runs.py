"""Rows of two data sets that do not fit in memory, brought together range by range.

Takes lazy frames, gives frames that do fit. Rows are written to a temporary folder in runs, each sorted by a hash of
what says which row it is; the runs of both data sets are then merged range by range of that hash, so that equal rows
meet. Neither step holds more than a run or a range. Knows nothing of what is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from timefence_pl.leakage.diff_rows import ROW

__all__ = ["RowOrder", "SortedRuns"]

#: A run is written when so many bytes are held, in so many groups of rows, each of which can be read alone.
_RUN: Final = 128 << 20
_GROUPS: Final = 128
_BATCH: Final = 50_000
_FEWEST: Final = 1_024
#: Pairs of rows whose order is looked at together.
_PAIRS: Final = 16_000_000

_PLACE: Final = "__tf_place"


class SortedRuns:
    """The rows of one data set, on disk.

    Args:
        folder: Where to write; made here.
        frame: The rows, with ``ROW``. Read once, in batches.
        identity: The columns that say which row it is.
        run: Bytes to hold before they are written.

    Attributes:
        size: Bytes that all rows take in memory.
    """

    def __init__(self, folder: Path, frame: pl.LazyFrame, identity: Sequence[str], *, run: int = _RUN) -> None:
        folder.mkdir()
        self._folder = folder
        self._files: list[Path] = []
        self._schema = frame.collect_schema()
        self.size = 0
        place = pl.struct(identity).hash(1).alias(_PLACE)
        held: list[pl.DataFrame] = []
        size = 0
        for batch in frame.with_columns(place).collect_batches(chunk_size=_BATCH, engine="streaming"):
            held.append(batch)
            size += int(batch.estimated_size())
            if size >= run:
                self._write(held, size)
                held, size = [], 0
        self._write(held, size)

    def _write(self, held: list[pl.DataFrame], size: int) -> None:
        rows = pl.concat(held).sort(_PLACE) if held else pl.DataFrame()
        if not rows.height:
            return
        self._files.append(self._folder / f"{len(self._files):06d}.parquet")
        group = max(rows.height // _GROUPS, _FEWEST)
        rows.write_parquet(self._files[-1], compression="lz4", row_group_size=group)
        self.size += size

    def part(self, number: int, parts: int) -> pl.DataFrame:
        """The rows of one range of hashes, in their order in the data set.

        Args:
            number: Which, from 0.
            parts: Into how many all hashes are divided.
        """
        if not self._files:
            return pl.DataFrame(schema=self._schema)
        first, end = ((1 << 64) * n // parts for n in (number, number + 1))
        within = pl.col(_PLACE).is_between(pl.lit(first, dtype=pl.UInt64), pl.lit(end - 1, dtype=pl.UInt64))
        rows = pl.scan_parquet(self._files, glob=False).filter(within).drop(_PLACE)
        return rows.collect(engine="streaming").sort(ROW)


class RowOrder:
    """Whether paired rows come in the same order in both data sets, told part by part.

    Args:
        folder: Where pairs of several parts are kept; made when needed. None where there is one part.
        step: Pairs to look at together.
    """

    def __init__(self, folder: Path | None, *, step: int = _PAIRS) -> None:
        self._folder = folder
        self._step = step
        self._kept = True
        self._files: list[Path] = []
        self._last = -1

    def add(self, old: pl.Series, new: pl.Series) -> None:
        """Add the pairs of one part.

        Args:
            old: The rows' numbers in the old data set, ascending.
            new: Their numbers in the new one.
        """
        self._kept = self._kept and new.is_sorted()
        if not self._kept or self._folder is None or not len(old):
            return
        self._folder.mkdir(exist_ok=True)
        self._files.append(self._folder / f"{len(self._files):06d}.parquet")
        pl.DataFrame({"old": old, "new": new}).write_parquet(self._files[-1], compression="lz4", row_group_size=65_536)
        self._last = max(self._last, int(old[-1]))

    def kept(self) -> bool:
        """Whether no two pairs changed places."""
        return self._kept and all(f for f in self._ranges())

    def _ranges(self) -> Iterator[bool]:
        last = -1
        for first in range(0, self._last + 1, self._step):
            within = pl.col("old").is_between(first, first + self._step - 1)
            pairs = pl.scan_parquet(self._files, glob=False).filter(within).collect(engine="streaming").sort("old")
            if pairs.height:
                yield int(pairs["new"][0]) > last and pairs["new"].is_sorted()
                last = int(pairs["new"][-1])
