"""What a run counts while it runs: reasons, duplicates, the youngest value; and the check that no value is too young.

Takes the marks of an observed plan (whole or in batches), gives plain numbers. Writes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from timefence_pl.definitions.labels import Labels
from timefence_pl.errors import TimefenceLeakageError, message
from timefence_pl.plan.joined import DUPLICATE_MATCH, KNOWN_TICK, REASON, JoinedFeature
from timefence_pl.plan.latest import Reason
from timefence_pl.plan.ticks import Clock, Ends
from timefence_pl.plan.training_set import TrainingPlan

__all__ = ["FeatureCounts", "Observation"]

#: Differences of ticks no further from 0 than this fit 64 bits.
_NARROW: Final = (1 << 62) - 1


@dataclass
class FeatureCounts:
    """One feature's partition of the label rows.

    Attributes:
        reasons: Rows by :class:`Reason`.
        duplicates: Matched rows that were one of several duplicates.
        youngest: The least age of a used value at its label time, counted from when it was usable, in nanoseconds or
            integer units; None where no value was used.
    """

    reasons: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    duplicates: int = 0
    youngest: int | None = None


class Observation:
    """Counts over all batches of one run; batches may come from several threads."""

    def __init__(self, plan: TrainingPlan, labels: Labels) -> None:
        self._plan = plan
        self._label_time = labels.label_time
        self._roles = [*labels.keys, labels.label_time]
        self._lock = threading.Lock()
        #: Rows seen.
        self.rows = 0
        #: Those with a null key or a null label time.
        self.incomplete = 0
        #: Counts by feature name.
        self.features = {j.feature.name: FeatureCounts() for j in plan.features}

    def columns(self) -> list[str]:
        """The columns of the observed plan that :meth:`add` needs."""
        marks = [m.format(j.feature.name) for j in self._plan.features for m in (REASON, DUPLICATE_MATCH, KNOWN_TICK)]
        return [*self._roles, *marks]

    def add(self, batch: pl.DataFrame) -> None:
        """Count one batch of the observed plan."""
        self.add_features(batch, list(self.features), self._plan.clock.ticks(pl.col(self._label_time)))
        self.add_labels(batch)

    def add_labels(self, batch: pl.DataFrame) -> None:
        """Count label rows, of whose columns keys and label time are needed."""
        null = pl.any_horizontal(pl.col(n).is_null() for n in self._roles)
        nulls = any(batch[n].null_count() for n in self._roles)
        incomplete = int(batch.select(null.sum()).item()) if nulls else 0
        with self._lock:
            self.rows += batch.height
            self.incomplete += incomplete

    def add_features(
        self, batch: pl.DataFrame, names: Sequence[str], label_tick: pl.Expr, label_ends: Ends | None = None
    ) -> None:
        """Count the marks of some features, for label rows in any order; :attr:`rows` is left alone.

        Args:
            batch: Their marks.
            names: The features.
            label_tick: The label time's ticks in the batch.
            label_ends: Their least and greatest, where known.
        """
        exprs: list[pl.Expr] = []
        ticks = [pl.col(KNOWN_TICK.format(n)) for n in names]
        ticks += [label_tick] if label_ends is None else []
        ends = batch.select(
            e.alias(f"{i}/{j}") for i, t in enumerate(ticks) for j, e in enumerate((t.min(), t.max()))
        ).row(0)
        narrow = all(t is None or -_NARROW <= t <= _NARROW for t in (*ends, *(label_ends or ())))
        for j in self._plan.features:
            name = j.feature.name
            if name not in names:
                continue
            exprs += [
                pl.col(REASON.format(name)).eq(reason.value).sum().alias(f"{name}/{reason.value}") for reason in Reason
            ]
            exprs.append(pl.col(DUPLICATE_MATCH.format(name)).sum().alias(f"{name}/dup"))
            exprs.append(_age(j, self._plan.clock, label_tick, narrow=narrow).min().alias(f"{name}/age"))
        counts = batch.lazy().select(exprs).collect(engine="in-memory").row(0, named=True)
        with self._lock:
            for name in names:
                feature = self.features[name]
                for reason in Reason:
                    feature.reasons[reason] += counts[f"{name}/{reason.value}"]
                feature.duplicates += counts[f"{name}/dup"]
                ages = [a for a in (feature.youngest, counts[f"{name}/age"]) if a is not None]
                feature.youngest = min(ages, default=None)

    def check(self) -> None:
        """Check that no value was used before its embargo was over, by arithmetic apart from the match's.

        Raises:
            TimefenceLeakageError: If one was, or the counts are no partition of the rows: both are faults of this package.
        """
        for j in self._plan.features:
            counts = self.features[j.feature.name]
            least = j.bounds.embargo + (1 if j.bounds.strict else 0)
            if counts.youngest is not None and counts.youngest < least:
                raise TimefenceLeakageError(
                    message(
                        f"Feature {j.feature.name!r} used a value {counts.youngest} units old; "
                        f"at least {least} were due.",
                        why="The match rule was broken. This is a fault of timefence_pl, not of your data.",
                        fix="Please report it with the manifest.",
                    )
                )
            if sum(counts.reasons.values()) != self.rows:
                raise TimefenceLeakageError(
                    message(
                        f"The counts of feature {j.feature.name!r} do not add up to {self.rows} rows.",
                        fix="Please report it: this is a fault of timefence_pl.",
                    )
                )


def _age(joined: JoinedFeature, clock: Clock, label: pl.Expr, *, narrow: bool) -> pl.Expr:
    """Label time less the time from which the value was usable, exact; narrow where differences of ticks fit 64 bits."""
    known = joined.frame.clock
    row = pl.col(KNOWN_TICK.format(joined.feature.name))
    if (clock.size, clock.offset) == (known.size, known.offset):
        ticks = (label - row).min() if narrow else label.cast(pl.Int128) - row.cast(pl.Int128)
        return ticks.cast(pl.Int128) * clock.size
    return label.cast(pl.Int128) * clock.size + clock.offset - (row.cast(pl.Int128) * known.size + known.offset)
