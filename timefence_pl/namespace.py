"""``LazyFrame.timefence.join``: a point-in-time join that starts from the labels.

Registers the namespace when imported; everything it does is :func:`timefence_pl.joins.point_in_time`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from timefence_pl.definitions.feature_set import Features
from timefence_pl.definitions.labels import Labels
from timefence_pl.joins import point_in_time

__all__ = ["TimefenceNamespace"]


@pl.api.register_lazyframe_namespace("timefence")
class TimefenceNamespace:
    """Point-in-time joins on a LazyFrame of labels."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    def join(
        self,
        features: Features,
        *,
        keys: str | Sequence[str],
        label_time: str,
        **options: Any,
    ) -> pl.LazyFrame:
        """Join features to these labels, each as it was known at the label time; nothing is run.

        Args:
            features: A feature, features, or sets of them.
            keys: The entity key column or columns.
            label_time: The label time column.
            **options: As for :func:`timefence_pl.point_in_time`.

        Returns:
            The labels' rows and columns, in order, then ``{feature}__{column}``.

        Examples:
            >>> import polars as pl
            >>> import timefence_pl as tf
            >>> events = tf.Source(pl.DataFrame({"k": [1], "t": [1], "x": [10]}), keys="k", timestamp="t")
            >>> labels = pl.LazyFrame({"k": [1], "at": [5]})
            >>> labels.timefence.join(tf.Feature(events, columns="x"), keys="k", label_time="at").collect()["x__x"].item()
            10
        """
        return point_in_time(Labels(self._frame, keys=keys, label_time=label_time), features, **options)
