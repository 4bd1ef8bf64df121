"""``LazyFrame.timefence.join``: the same join, written from the labels."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf
from tests.unit.tables import EXPECTED, LABELS, feature, labels


def joined(frame: pl.LazyFrame, *args: Any, **options: Any) -> pl.LazyFrame:
    made: pl.LazyFrame = frame.timefence.join(*args, **options)  # type: ignore[attr-defined]
    return made


def test_it_gives_what_point_in_time_gives() -> None:
    options = {"join": "inclusive", "feature_times": True, "max_staleness": 3}
    made = joined(LABELS.lazy(), feature(embargo=1), keys="k", label_time="at", **options)
    assert isinstance(made, pl.LazyFrame)
    assert_frame_equal(made.collect(), tf.point_in_time(labels(), feature(embargo=1), **options).collect())  # type: ignore[arg-type]


def test_it_composes() -> None:
    lazy = LABELS.lazy().filter(pl.col("k") < 3)
    made = joined(lazy, [feature()], keys=["k"], label_time="at").select("f__x").with_row_index()
    assert made.collect()["f__x"].to_list() == EXPECTED[:3]


@pytest.mark.parametrize("options", [{"keys": "k"}, {"label_time": "at"}, {}])
def test_keys_and_label_time_must_be_given(options: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="keys|label_time"):
        joined(LABELS.lazy(), feature(), **options)


def test_a_misspelt_column_is_ours_to_tell() -> None:
    with pytest.raises(tf.TimefenceSchemaError, match="Labels have no column 'att'"):
        joined(LABELS.lazy(), feature(), keys="k", label_time="att")


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="joins"):
        joined(LABELS.lazy(), feature(), keys="k", label_time="at", joins="strict")
