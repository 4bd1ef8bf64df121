"""Point-in-time joins that nothing has run yet, and explanations of them.

Takes definitions and options, gives a LazyFrame or an :class:`ExplainResult`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl

from timefence_pl.choices import boolean, shortened
from timefence_pl.definitions.feature_set import Features, flat_features
from timefence_pl.definitions.labels import Labels
from timefence_pl.durations import DurationLike
from timefence_pl.errors import TimefenceConfigError, message
from timefence_pl.explain import ExplainResult, explain_plan
from timefence_pl.feature_cache import CacheStatus, FeatureCache
from timefence_pl.plan.options import DEFAULT_LOOKBACK, join_options
from timefence_pl.plan.training_set import check_definitions, plan_training_set
from timefence_pl.plan.transforms import runs_at_once
from timefence_pl.store.base import BuildStore

__all__ = ["explain", "point_in_time"]


def point_in_time(
    labels: Labels,
    features: Features,
    *,
    max_lookback: DurationLike | None = DEFAULT_LOOKBACK,
    max_staleness: DurationLike | None = None,
    join: Literal["strict", "inclusive"] = "strict",
    on_missing: Literal["null", "skip"] = "null",
    flatten_columns: bool = False,
    feature_times: bool = False,
    checks: bool = True,
) -> pl.LazyFrame:
    """Join features to labels, each as it was known at the label time; nothing is run.

    Of a feature's rows with the label's keys, those with ``feature_time < label_time - embargo`` (``<=`` where
    inclusive) and ``feature_time >= label_time - max_lookback`` are eligible, and the latest wins; on a source with
    ``available_at`` the upper bound holds for availability too. A winner older than ``max_staleness`` is null.

    Args:
        labels: The rows to be filled.
        features: A feature, features, or sets of them.
        max_lookback: The oldest usable feature time before the label time (closed); None is unbounded. Unset, it is
            365 days, or unbounded where times are integers. Features may override it.
        max_staleness: The age past which a found value is null; None is unbounded. Features may override it.
        join: ``"strict"`` excludes a value stamped exactly at the limit, ``"inclusive"`` includes it.
        on_missing: ``"null"`` keeps rows for which a feature found nothing, ``"skip"`` drops them.
        flatten_columns: Name columns without their feature's name.
        feature_times: Add ``{feature}__feature_time``.
        checks: Guard against choosing between duplicates, by Python inside the plan. Without it, for engines that
            run no Python, the last of duplicates is taken.

    Returns:
        Every label row once (with ``on_missing="skip"`` those for which every feature but windows found a row), in the
        labels' order: the label columns, then ``{feature}__{column}``. While it runs it raises
        :class:`TimefenceDuplicateError` where a label's match is one of several duplicates, and
        :class:`TimefenceSchemaError` for text that is not of ``timestamp_format`` and for what a database refuses.
        Faults that only Polars sees end in Polars' errors there, since the plan is run by whoever collects it: a file
        that is torn or has vanished, a late type in a CSV file, a Delta or Iceberg table that changed under the plan,
        and whatever a feature's own expressions, functions and lazy frames raise. ``tf.build`` words these too.

    Raises:
        TimefenceError: If schemas or options do not fit; no data is read.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> events = tf.Source(pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [10, 50]}), keys="k", timestamp="t")
        >>> labels = tf.Labels(pl.DataFrame({"k": [1, 1], "at": [5, 6]}), keys="k", label_time="at")
        >>> tf.point_in_time(labels, tf.Feature(events, columns="x")).collect()["x__x"].to_list()
        [10, 50]
    """
    options = join_options(
        max_lookback=max_lookback,
        max_staleness=max_staleness,
        join=join,
        on_missing=on_missing,
        flatten_columns=flatten_columns,
        feature_times=feature_times,
    )
    boolean(checks, "checks")
    flat = flat_features(features)
    for feature in flat:
        name = None if feature.transform is None else runs_at_once(feature.transform)
        if name is not None:
            raise TimefenceConfigError(
                message(
                    f"The transform of feature {feature.name!r} uses {name}, so it would run while it is planned.",
                    why="point_in_time gives a LazyFrame that nothing has run.",
                    fix=("stay lazy in the transform", "use tf.build, which runs it"),
                )
            )
    return plan_training_set(labels, flat, options, checks=checks).frame


def explain(
    labels: Labels,
    features: Features,
    *,
    max_lookback: DurationLike | None = DEFAULT_LOOKBACK,
    max_staleness: DurationLike | None = None,
    join: Literal["strict", "inclusive"] = "strict",
    on_missing: Literal["null", "skip"] = "null",
    flatten_columns: bool = False,
    feature_times: bool = False,
    store: BuildStore | None = None,
) -> ExplainResult:
    """Explain how features would be joined; ``.row(n)`` explains what one label row gets.

    Nothing is joined. The rows of sources in memory and in Parquet files are counted, to tell what the join costs;
    ``.row(n)`` reads the labels and the sources.

    Args:
        labels: As for :func:`point_in_time`.
        features: As for :func:`point_in_time`.
        max_lookback: As for :func:`point_in_time`.
        max_staleness: As for :func:`point_in_time`.
        join: As for :func:`point_in_time`.
        on_missing: As for :func:`point_in_time`.
        flatten_columns: As for :func:`point_in_time`.
        feature_times: As for :func:`point_in_time`.
        store: Say of each feature whether this store has it, and if not, what changed. Files are hashed for it.

    Raises:
        TimefenceError: If schemas or options do not fit.
    """
    options = join_options(
        max_lookback=max_lookback,
        max_staleness=max_staleness,
        join=join,
        on_missing=on_missing,
        flatten_columns=flatten_columns,
        feature_times=feature_times,
    )
    flat = flat_features(features)
    check_definitions(labels, flat, options)
    status: Mapping[str, CacheStatus] = {}
    if store is not None and not isinstance(store, BuildStore):
        raise TimefenceConfigError(
            message(f"store={shortened(store)} is not a store.", fix="Use tf.Store('.timefence').")
        )
    if store is not None:
        with store.hasher() as hasher:
            cache = FeatureCache(store.layout, hasher)
            cache.frames(flat, use_hints=False)
            status = cache.status
    return explain_plan(labels, plan_training_set(labels, flat, options), options, status)
