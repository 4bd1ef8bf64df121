"""Small tables and shorthand for unit tests.

Takes frames or their parts, gives definitions and answers. Every answer is asked of both engines and of ``build``, and
they must agree.
"""

from __future__ import annotations

from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

import timefence_pl as tf

#: Entity 1 has 10 at 1 and 50 at 5, entity 2 has 30 at 3.
EVENTS = pl.DataFrame({"k": [1, 1, 2], "t": [1, 5, 3], "x": [10, 50, 30]})
#: Their latest values before the label times are 10, 50, 30 and none.
LABELS = pl.DataFrame({"k": [1, 1, 2, 3], "at": [5, 6, 4, 9], "y": [0, 1, 0, 1]})
#: What ``x`` of ``EVENTS`` is for ``LABELS``.
EXPECTED = [10, 50, 30, None]


def source(data: Any = EVENTS, **options: Any) -> tf.Source:
    return tf.Source(data, **{"keys": "k", "timestamp": "t", "name": "events", **options})


def labels(data: Any = LABELS, **options: Any) -> tf.Labels:
    return tf.Labels(data, **{"keys": "k", "label_time": "at", **options})


def feature(data: Any = EVENTS, *exprs: Any, **options: Any) -> tf.Feature:
    """A feature ``f`` of ``x``; options of the source are given as ``source_...``."""
    of_source = {k.removeprefix("source_"): options.pop(k) for k in list(options) if k.startswith("source_")}
    if not exprs and not {"columns", "sql", "transform"} & set(options):
        options["columns"] = "x"
    return tf.Feature(source(data, **of_source), *exprs, **{"name": "f", **options})


def joined(given: tf.Labels, features: Any, **options: Any) -> pl.DataFrame:
    """The training set, the same from the in-memory engine, the streaming engine and ``build``."""
    lazy = tf.point_in_time(given, features, **options)
    frame = lazy.collect(engine="in-memory")
    assert lazy.collect_schema() == frame.schema
    assert_frame_equal(lazy.collect(engine="streaming"), frame)
    assert_frame_equal(tf.build(given, features, **options).frame(), frame)
    return frame


def values(given: tf.Labels, features: Any, column: str = "f__x", **options: Any) -> list[Any]:
    return joined(given, features, **options)[column].to_list()
