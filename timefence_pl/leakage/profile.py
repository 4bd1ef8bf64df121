"""What the charts of a build are drawn from: ages of the values used, and what became of the rows over time.

Takes the definitions of a build, joins them once more, gives plain figures. Compares and judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from timefence_pl.definitions.feature_set import AnyFeature
from timefence_pl.definitions.labels import Labels
from timefence_pl.leakage.equality import Tolerance
from timefence_pl.leakage.rebuilt import Rebuilt, rebuild
from timefence_pl.leakage.tallies import BUCKET, Ages, Charts, TimeAxis, bounds_marked, numbers_of
from timefence_pl.plan.joined import JoinedFeature
from timefence_pl.plan.latest import Reason
from timefence_pl.plan.options import JoinOptions
from timefence_pl.plan.training_set import prepare_all, training_set

__all__ = ["Profile", "drawn_ages", "named_reasons", "profile"]

_REASONS: Final = {r.value: r.name.lower() for r in Reason}


@dataclass(frozen=True)
class Profile:
    """One feature's figures.

    Attributes:
        charts: What charts are drawn from.
        counts: Label rows by what became of them.
    """

    charts: Charts
    counts: Mapping[str, int]


def profile(labels: Labels, features: Sequence[AnyFeature], options: JoinOptions) -> dict[str, Profile]:
    """The figures of each feature, from the labels and sources as they are now.

    Args:
        labels: The labels.
        features: The features.
        options: The build's.
    """
    rows = labels.scan().select(list(dict.fromkeys((*labels.keys, labels.label_time)))).collect(engine="streaming")
    own = Labels(rows, keys=labels.keys, label_time=labels.label_time)
    plan = training_set(own, features, prepare_all(features), options)
    ticks = rows.select(plan.clock.ticks(pl.col(labels.label_time))).to_series()
    axis = TimeAxis.of(ticks, plan.clock)
    bucket = axis.bucket(ticks)
    totals = numbers_of(bucket)

    def figures(found: Rebuilt) -> Profile:
        bounds = found.joined.bounds
        integer = plan.clock.kind == "integer"
        marks = bounds_marked(bounds.embargo, bounds.lookback, bounds.staleness, integer=integer)
        counts = found.reasons.group_by("reason").agg(pl.col("rows").sum())
        charts = Charts(
            **drawn_ages(found.joined, found.ages.with_columns(verdict=pl.lit("ok")), marks),
            reasons=named_reasons(found.reasons),
            verdicts=pl.DataFrame(schema={BUCKET: pl.UInt8, "verdict": pl.String, "rows": pl.Int64}),
            totals=totals,
            spans=axis.spans(),
            times=not integer,
        )
        return Profile(charts, {_REASONS[r]: n for r, n in counts.iter_rows()})

    nothing = {f.name: () for f in features}
    return rebuild(plan, own, pl.DataFrame(), nothing, Tolerance(0, 0), bucket, figures)


def drawn_ages(joined: JoinedFeature, ages: pl.DataFrame, marks: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """The ages of a feature's values, as :class:`Charts` holds them."""
    drawn = Ages.of(joined.frame.clock.kind).drawn(ages, marks)
    return {"ages": drawn.tally, "edges": drawn.labels, "marks": drawn.marks}


def named_reasons(reasons: pl.DataFrame) -> pl.DataFrame:
    """Counts by bucket and reason, with the reasons' names; rows without a label time are left out."""
    return reasons.drop_nulls().with_columns(pl.col("reason").replace_strict(_REASONS, return_dtype=pl.String))
