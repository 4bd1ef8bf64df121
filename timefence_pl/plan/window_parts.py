"""Labels and events cut between entities, so that their windows can be computed side by side.

Takes label rows and events in time-key order, gives pieces of both; no entity's rows are in two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import polars as pl

from timefence_pl.plan.time_key import ENTITY, KEY, before, unpack
from timefence_pl.plan.window_events import KNOWN_ORDER, SortedEvents

__all__ = ["Piece", "pieces", "pieces_of_labels"]

#: Events a piece should have at least: what a piece costs besides its rows is a few milliseconds.
LEAST: Final = 1 << 19


@dataclass(frozen=True)
class Piece:
    """The events of some neighbouring entities.

    Attributes:
        events: The events.
        least: The least entity that the piece holds; None for the first, which holds all before the next.
    """

    events: pl.DataFrame
    least: int | None


def pieces(events: pl.DataFrame, frame: SortedEvents, most: int) -> list[Piece]:
    """Pieces of events, in order, of about as many each; one where a cut would not pay.

    Args:
        events: The columns of ``frame``, in its order.
        frame: How the events are packed.
        most: How many pieces to make at most.
    """
    count = min(most, events.height // LEAST)
    if count < 2:
        return [Piece(events, None)]
    places = [events.height * i // count for i in range(1, count)]
    entity = unpack(frame.spec, pl.col(KEY))[0]
    rows = events[KEY][places].to_frame().select_seq(entity.alias(ENTITY), before(frame.spec, entity).alias(KEY))
    cuts = {entity: below for entity, below in rows.iter_rows() if below is not None}
    below = pl.Series(list(cuts.values()), dtype=rows.schema[KEY])
    ends = [0, *events[KEY].search_sorted(below, side="right"), events.height]
    return [
        Piece(_slice(events, start, stop), least)
        for least, (start, stop) in zip([None, *cuts], pairwise(ends), strict=True)
    ]


def pieces_of_labels(labels: pl.DataFrame, events: Sequence[Piece]) -> list[pl.DataFrame]:
    """The label rows of each piece's entities.

    Args:
        labels: Label rows in the order of (entity, label time).
        events: The pieces.
    """
    cuts = [labels[ENTITY].search_sorted(p.least, side="left") for p in events if p.least is not None]
    return [labels[low:high] for low, high in pairwise([0, *cuts, labels.height])]


def _slice(events: pl.DataFrame, start: int, stop: int) -> pl.DataFrame:
    """Some entities' events. The order in which they became known has the same entities in the same rows."""
    part = events[start:stop]
    if KNOWN_ORDER not in events.columns:
        return part
    return part.with_columns(pl.col(KNOWN_ORDER) - start)
