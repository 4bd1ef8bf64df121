"""Labels and events cut between entities, so that their windows can be computed side by side.

Takes label rows and events in time-key order, gives pieces of both; no entity's rows are in two of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import polars as pl

from timefence_pl.plan.time_key import ENTITY, KEY, entity_at
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
    # Searched number by number: a query of the same takes longer to be made than the cut may cost.
    keys = events[KEY]
    cuts = dict(entity_at(frame.spec, keys[events.height * i // count]) for i in range(1, count))
    ends = [0, *(bisect_right(keys, below) for below in cuts.values() if below is not None), events.height]
    least = [entity for entity, below in cuts.items() if below is not None]
    return [
        Piece(_slice(events, start, stop), entity)
        for entity, (start, stop) in zip([None, *least], pairwise(ends), strict=True)
    ]


def pieces_of_labels(labels: pl.DataFrame, events: Sequence[Piece]) -> list[pl.DataFrame]:
    """The label rows of each piece's entities.

    Args:
        labels: Label rows in the order of (entity, label time).
        events: The pieces.
    """
    cuts = [bisect_left(labels[ENTITY], p.least) for p in events if p.least is not None]
    return [labels[low:high] for low, high in pairwise([0, *cuts, labels.height])]


def _slice(events: pl.DataFrame, start: int, stop: int) -> pl.DataFrame:
    """Some entities' events. The order in which they became known has the same entities in the same rows."""
    part = events[start:stop]
    if KNOWN_ORDER not in events.columns:
        return part
    return part.with_columns(pl.col(KNOWN_ORDER) - start)
