"""Checks that only data can make, inside the lazy plan.

Takes the marks a match leaves, gives an expression to filter by: always true, or a ``TimefenceError`` while the plan
runs, in every engine. A filter is not pruned by any projection, so a guard cannot be lost.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import polars as pl

from timefence_pl.definitions.labels import Labels
from timefence_pl.errors import TimefenceDuplicateError, message
from timefence_pl.plan.joined import JoinedFeature
from timefence_pl.printing import rows_in_words

__all__ = ["chosen_among_duplicates", "duplicate_guard", "duplicate_problem"]

_EXAMPLES = 3


def duplicate_guard(joined: Sequence[JoinedFeature], labels: Labels, observed: pl.LazyFrame, mark: str) -> pl.Expr:
    """True for every row, or an error when a feature that must not choose between duplicates did.

    Args:
        joined: The features to watch.
        labels: For their keys and time.
        observed: The plan with marks, run again to describe an offence.
        mark: The mark's name, with a place for the feature's.
    """
    columns = [mark.format(j.feature.name) for j in joined]

    def check(series: Sequence[pl.Series]) -> pl.Series:
        for j, column in zip(joined, series, strict=True):
            if column.any():
                if j.feature.on_duplicate == "error":
                    raise duplicate_problem(j, labels, observed, column.name)
                warnings.warn(chosen_among_duplicates(j.feature.name), UserWarning, stacklevel=2)
        return pl.repeat(value=True, n=len(series[0]), eager=True, dtype=pl.Boolean)

    return pl.map_batches([pl.col(c) for c in columns], check, return_dtype=pl.Boolean, is_elementwise=True)


def chosen_among_duplicates(feature: str) -> str:
    """The warning of ``on_duplicate="keep_any"``."""
    return (
        f"Feature {feature!r}: labels met duplicate rows; the last in source order was taken. "
        'Say on_duplicate="keep_last" if that is meant.'
    )


def duplicate_problem(
    joined: JoinedFeature, labels: Labels, observed: pl.LazyFrame, mark: str
) -> TimefenceDuplicateError:
    """The error for labels that met duplicates, with their count and examples; runs the plan again for them."""
    feature = joined.feature
    wanted = [*joined.label_keys, labels.label_time, *joined.columns]
    offended = observed.filter(pl.col(mark)).select(*dict.fromkeys(wanted)).collect(engine="in-memory")
    examples = "\n".join(rows_in_words(offended.head(_EXAMPLES)))
    keys = offended.select(joined.label_keys).n_unique() if joined.label_keys else 1
    rows = "rows equal in keys and time"
    if feature.source.available_at or feature.source.tie_breaker:
        rows = "rows equal in keys, time, availability and tie breaker"
    return TimefenceDuplicateError(
        message(
            f"Feature {feature.name!r} has duplicates where {offended.height} label row{'' if offended.height == 1 else 's'} "
            f"of {keys} entit{'y' if keys == 1 else 'ies'} need{'s' if offended.height == 1 else ''} one value.",
            where=(
                f"source {feature.source.name!r}: {rows} ({', '.join([*feature.source.keys, feature.source.timestamp])})"
                f"\nlabel rows, with the row that came last:\n{examples}"
            ),
            why=(
                "Unless they are equal in every value, which of them is right cannot be told; the answer would depend "
                "on the order of the source."
            ),
            fix=(
                "rows that are repeated whole: leave the copies out, as in tf.Source(frame.unique(maintain_order=True))",
                "make the rows unique in the source, or with transform=lambda lf: lf.unique([...], keep='last')",
                "name a column that settles it: Source(..., tie_breaker='sequence')",
                'on_duplicate="keep_last" (or "keep_first") on the feature takes source order',
            ),
        )
    )
