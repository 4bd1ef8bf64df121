"""One feature of a training set, as it is joined; and the names of the marks that a match leaves of it.

Takes definitions and a sorted frame, holds them together. Runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.plan.latest import Bounds
from timefence_pl.plan.prepare import SortedFrame
from timefence_pl.plan.window_events import SortedEvents
from timefence_pl.plan.windows import WindowBounds

__all__ = ["DUPLICATE_MATCH", "KNOWN_TICK", "REASON", "SOURCE_ROW", "AnyBounds", "AnyFrame", "JoinedFeature"]

#: Of a feature: why a label row has what it has, whether it met duplicates, the ticks from which its row was usable, and
#: that row's number.
REASON: Final = "__tf_reason__{}"
DUPLICATE_MATCH: Final = "__tf_dup__{}"
KNOWN_TICK: Final = "__tf_known__{}"
SOURCE_ROW: Final = "__tf_row__{}"

AnyFrame = SortedFrame | SortedEvents
AnyBounds = Bounds | WindowBounds


@dataclass(frozen=True)
class JoinedFeature:
    """One feature of a training plan.

    Attributes:
        feature: The definition.
        bounds: Its exact bounds.
        label_keys: The label columns that stand for its source's keys.
        columns: Output columns, in order: name in the output to type, the feature time included.
        frame: Its sorted frame.
    """

    feature: AnyFeature
    bounds: AnyBounds
    label_keys: tuple[str, ...]
    columns: dict[str, pl.DataType]
    frame: AnyFrame
