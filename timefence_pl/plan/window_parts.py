"""Labels and events cut between entities, so that their windows can be computed side by side.

Takes label rows and events in time-key order, gives pieces of both; no entity's rows are in two of them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import polars as pl

from timefence_pl.plan.time_key import ENTITY, KEY, before, unpack
from timefence_pl.plan.window_events import KNOWN_ORDER, SortedEvents

__all__ = ["cut_between_entities"]

#: Events a piece should have at least: what a piece costs besides its rows is a few milliseconds.
LEAST: Final = 1 << 19


def cut_between_entities(
    labels: pl.DataFrame, events: pl.DataFrame, frame: SortedEvents, most: int
) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Pieces of labels and events, in order, of about as many events each; one where a cut would not pay.

    Args:
        labels: Label rows in the order of (entity, label time).
        events: The columns of ``frame``, in its order.
        frame: How the events are packed.
        most: How many pieces to make at most.
    """
    count = min(most, events.height // LEAST)
    if count < 2:
        return [(labels, events)]
    places = [events.height * i // count for i in range(1, count)]
    cuts = (
        events[KEY]
        .gather(places)
        .to_frame()
        .lazy()
        .select(unpack(frame.spec, pl.col(KEY))[0].alias(ENTITY))
        .unique(maintain_order=True)
        .with_columns(before(frame.spec, pl.col(ENTITY)).alias(KEY))
        .drop_nulls()
        .collect(engine="in-memory")
    )
    event_cuts = [0, *events[KEY].search_sorted(cuts[KEY], side="right"), events.height]
    label_cuts = [0, *labels[ENTITY].search_sorted(cuts[ENTITY], side="left"), labels.height]
    return [
        (labels[low:high], _slice(events, start, stop))
        for (low, high), (start, stop) in zip(pairwise(label_cuts), pairwise(event_cuts), strict=True)
    ]


def _slice(events: pl.DataFrame, start: int, stop: int) -> pl.DataFrame:
    """Some entities' events. The order in which they became known has the same entities in the same rows."""
    part = events[start:stop]
    if KNOWN_ORDER not in events.columns:
        return part
    return part.with_columns(pl.col(KNOWN_ORDER) - start)
