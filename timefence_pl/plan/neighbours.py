"""A feature's rows in match order, by place: what stands beside a match, for those who judge one.

Takes a sorted frame in memory, gives places, and the entities and times of the rows there. Chooses nothing.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from timefence_pl.plan.latest import Bounds, Probe, rows_behind
from timefence_pl.plan.prepare import EVENT_TICK, ROW, SortedFrame
from timefence_pl.plan.time_key import ENTITY, KEY, rows_of, unpack

__all__ = ["MatchOrder"]

_KEY_AND_ROW: Final = (KEY, ROW)


class MatchOrder:
    """The rows of a frame whose values stand apart.

    Args:
        frame: The frame, in memory; :meth:`told_by` holds for it.
    """

    def __init__(self, frame: SortedFrame) -> None:
        self._frame = frame
        self._rows = frame.frame.select(_KEY_AND_ROW).collect(engine="in-memory")

    @staticmethod
    def told_by(frame: SortedFrame) -> bool:
        """Whether entity and event time alone order a frame's rows, and none is left out."""
        return not (frame.values is None or frame.bitemporal or frame.keep_first or frame.duplicates)

    @property
    def single(self) -> bool:
        """Whether an entity has one row at most of a time."""
        keys = self._rows[KEY]
        return not self._frame.order or not bool((keys[1:] == keys[:-1]).any())

    @property
    def height(self) -> int:
        """How many rows there are."""
        return self._rows.height

    def behind(self, probe: Probe, bounds: Bounds) -> pl.Series:
        """For each label row the place behind the last row that it may use, whatever its entity."""
        return rows_behind(probe, self._frame, bounds).collect(engine="in-memory").to_series()

    def at(self, places: pl.Series) -> pl.DataFrame:
        """The rows at some places: ``ENTITY``, ``EVENT_TICK``, and ``ROW``, the number of their values."""
        entity, tick = unpack(self._frame.spec, pl.col(KEY))
        rows = pl.DataFrame([column[places] for column in self._rows])
        return rows.select(entity.alias(ENTITY), tick.alias(EVENT_TICK), ROW)

    def of(self, entities: pl.Series) -> pl.Series:
        """The places of all rows of some entities, ascending."""
        return rows_of(self._frame.spec, self._rows[KEY], entities)
