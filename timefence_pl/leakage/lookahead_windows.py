"""Window features at the cutoffs themselves, from all events and from those known before.

Takes window features over one source's events, gives for each the entities' values at each cutoff. Uses the plan that
builds use: a label at a cutoff may use the events known before it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.window import Window
from timefence_pl.leakage.lookahead_events import Events
from timefence_pl.plan.joined import AnyFrame
from timefence_pl.plan.options import join_options
from timefence_pl.plan.rows import KEY_COLUMN, TIME_COLUMN
from timefence_pl.plan.training_set import training_set
from timefence_pl.plan.window_events import event_sets, prepare_events

__all__ = ["ENTITIES", "window_rows"]

#: Entities whose windows are computed, at each cutoff.
ENTITIES: Final = 1_000


def window_rows(
    window: Window, events: Events, keys: pl.DataFrame, cutoffs: Sequence[int], frame: pl.LazyFrame
) -> pl.DataFrame:
    """A window feature's values for entities at cutoffs.

    Args:
        window: The feature.
        events: Its source's events, for their columns and times.
        keys: The entities, by the source's keys.
        cutoffs: The last ticks before each cutoff.
        frame: The events to compute from.

    Returns:
        One row for each cutoff and entity: the source's keys, the cutoff as a time, then the feature's columns.
    """
    names = {source_key: label_key for label_key, source_key in window.key_mapping.items()}
    own = [names.get(k, k) for k in events.source.keys]
    time = _free_name(own)
    times = pl.concat([events.shown(c) for c in cutoffs]).alias(time).to_frame()
    rows = times.join(keys.rename(dict(zip(keys.columns, own, strict=True))), how="cross", maintain_order="left_right")
    labels = Labels(rows if own else times, keys=own, label_time=time)
    options = join_options(max_lookback=None)
    (group,) = event_sets([window])
    frames: dict[str, AnyFrame] = {window.name: prepare_events(group, frame)}
    plan = training_set(labels, [window], frames, options)
    made = plan.frame.collect(engine="in-memory")
    internal = [pl.col(k).alias(KEY_COLUMN.format(i)) for i, k in enumerate(own)]
    return made.select(*internal, pl.col(time).alias(TIME_COLUMN), *plan.features[0].columns)


def _free_name(taken: Sequence[str]) -> str:
    name = "label_time"
    while name in taken:
        name += "_"
    return name
