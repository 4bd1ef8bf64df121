"""Options of a join: what is refused, and which bounds a feature gets."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import feature, labels, values
from timefence_pl.errors import TimefenceConfigError
from timefence_pl.plan.latest import Bounds
from timefence_pl.plan.options import DEFAULT_LOOKBACK, JoinOptions, bounds_of, join_options

DAY = 86_400_000_000_000
TIMED_EVENTS = pl.DataFrame({"k": [1], "t": [datetime(2024, 1, 1)], "x": [10]})
TIMED_LABELS = pl.DataFrame({"k": [1], "at": [datetime(2024, 1, 9)]})


def options(**given: Any) -> JoinOptions:
    defaults: dict[str, Any] = {
        "max_lookback": DEFAULT_LOOKBACK,
        "max_staleness": None,
        "join": "strict",
        "on_missing": "null",
        "flatten_columns": False,
        "feature_times": False,
    }
    return join_options(**{**defaults, **given})


def timed(**of_feature: Any) -> Bounds:
    given = of_feature.pop("options", {})
    return bounds_of(feature(TIMED_EVENTS, **of_feature), options(**given), integer_times=False)


@pytest.mark.parametrize("run", [tf.point_in_time, tf.build, tf.explain])
@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("join", "x", "'strict', 'inclusive'"),
        ("join", None, "'strict', 'inclusive'"),
        ("join", "Strict", "'strict', 'inclusive'"),
        ("join", ["strict"], "'strict', 'inclusive'"),
        ("on_missing", "x", "'null', 'skip'"),
        ("on_missing", None, "'null', 'skip'"),
        ("on_missing", "drop", "'null', 'skip'"),
    ],
)
def test_an_unknown_choice_is_refused_with_those_known(run: Any, name: str, value: Any, known: str) -> None:
    with pytest.raises(TimefenceConfigError, match=rf"{name}=.* is not known(.|\n)*Use one of {known}"):
        run(labels(), feature(), **{name: value})


@pytest.mark.parametrize("name", ["flatten_columns", "feature_times"])
@pytest.mark.parametrize("value", [1, 0, None, "yes", "True"])
def test_a_switch_is_a_boolean(name: str, value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=f"{name}=.* is not a boolean"):
        tf.point_in_time(labels(), feature(), **{name: value})


@pytest.mark.parametrize("name", ["max_lookback", "max_staleness"])
@pytest.mark.parametrize("value", ["", "1y", "-1d", -1, 1.5, True, timedelta(-1), "x"])
def test_a_bound_is_a_duration(name: str, value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=f"^{name}=.* is not a duration"):
        tf.point_in_time(labels(), feature(), **{name: value})


def test_the_default_bounds_are_strict_with_365_days() -> None:
    assert timed() == Bounds(embargo=0, lookback=365 * DAY, staleness=None, strict=True)


def test_integer_times_have_no_lookback_by_default() -> None:
    assert bounds_of(feature(), options(), integer_times=True).lookback is None
    assert bounds_of(feature(), options(max_lookback=8), integer_times=True).lookback == 8


def test_a_lookback_of_365_days_that_was_asked_for_is_refused_with_integer_times() -> None:
    with pytest.raises(
        TimefenceConfigError, match=r"max_lookback=365d of feature 'f' does not fit(.|\n)*as an integer"
    ):
        tf.point_in_time(labels(), feature(), max_lookback="365d")


def test_a_features_own_bounds_win() -> None:
    given = {"max_lookback": "10d", "max_staleness": "5d"}
    assert timed(options=given).lookback == 10 * DAY
    assert timed(options=given).staleness == 5 * DAY
    own = timed(options=given, max_lookback="20d", max_staleness="15d", embargo="1d")
    assert own == Bounds(embargo=DAY, lookback=20 * DAY, staleness=15 * DAY, strict=True)
    unbounded = timed(options=given, max_lookback=None, max_staleness=None)
    assert unbounded == Bounds(embargo=0, lookback=None, staleness=None, strict=True)


def test_inclusive_bounds() -> None:
    assert timed(options={"join": "inclusive"}).strict is False


@pytest.mark.parametrize(
    ("embargo", "lookback"),
    [
        ("1d", "1d"),
        ("2d", "1d"),
        ("24h", "1d"),
        ("1ns", "1ns"),
        (None, "0d"),
        ("0s", "0s"),
        (timedelta(days=400), None),
    ],
)
def test_an_embargo_must_be_less_than_the_lookback(embargo: Any, lookback: Any) -> None:
    bounds: dict[str, Any] = {} if lookback is None else {"max_lookback": lookback}
    wanted = r"embargo .* of feature 'f' must be less than max_lookback(.|\n)*nothing can ever match"
    with pytest.raises(TimefenceConfigError, match=wanted):
        tf.point_in_time(labels(TIMED_LABELS), feature(TIMED_EVENTS, embargo=embargo), **bounds)
    if lookback:
        with pytest.raises(TimefenceConfigError, match=wanted):
            timed(embargo=embargo, max_lookback=lookback)


def test_an_embargo_of_a_nanosecond_less_than_the_lookback_is_accepted() -> None:
    assert timed(embargo="23h59m59s999ms999us999ns", max_lookback="1d").embargo == DAY - 1
    assert timed(embargo="400d", max_lookback=None).embargo == 400 * DAY


@pytest.mark.parametrize(("staleness", "embargo"), [("1d", "1d"), ("1d", "2d"), ("0d", None), ("1ns", "1ns")])
def test_a_staleness_must_be_greater_than_the_embargo(staleness: str, embargo: Any) -> None:
    wanted = r"max_staleness .* of feature 'f' must be greater than its embargo(.|\n)*all of them would be stale"
    with pytest.raises(TimefenceConfigError, match=wanted):
        timed(embargo=embargo, max_staleness=staleness)
    with pytest.raises(TimefenceConfigError, match=wanted):
        timed(embargo=embargo, options={"max_staleness": staleness})


@pytest.mark.parametrize("name", ["embargo", "max_lookback", "max_staleness"])
def test_integers_do_not_fit_times_nor_units_integers(name: str) -> None:
    with pytest.raises(
        TimefenceConfigError, match=rf"{name}=5 of feature 'f' does not fit its times(.|\n)*with a unit"
    ):
        timed(**{name: 5})
    with pytest.raises(TimefenceConfigError, match=rf"{name}=5d of feature 'f' does not fit(.|\n)*as an integer"):
        bounds_of(feature(**{name: "5d"}), options(), integer_times=True)


@pytest.mark.parametrize("zero", [0, "0d", timedelta(0), None])
def test_no_embargo_fits_every_kind_of_time(zero: Any) -> None:
    assert timed(embargo=zero).embargo == 0
    assert bounds_of(feature(embargo=zero), options(), integer_times=True).embargo == 0


# --- what the bounds do ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("join", "embargo", "expected"),
    [
        ("strict", None, [None, 1, 2]),
        ("inclusive", None, [1, 2, 2]),
        ("strict", 1, [None, None, 1]),
        ("inclusive", 1, [None, 1, 2]),
    ],
)
def test_strict_excludes_and_inclusive_includes_the_limit(join: Any, embargo: Any, expected: list[Any]) -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [5, 6], "x": [1, 2]})
    given = labels(pl.DataFrame({"k": [1, 1, 1], "at": [5, 6, 7]}))
    assert values(given, feature(events, embargo=embargo), join=join) == expected


def test_the_lookback_is_closed_and_counts_from_the_label() -> None:
    events = pl.DataFrame({"k": [1], "t": [5], "x": [1]})
    given = labels(pl.DataFrame({"k": [1] * 4, "at": [6, 8, 9, 10]}))
    assert values(given, feature(events), max_lookback=4) == [1, 1, 1, None]
    assert values(given, feature(events, embargo=2), max_lookback=4) == [None, 1, 1, None]


def test_a_value_as_old_as_the_staleness_is_fresh() -> None:
    events = pl.DataFrame({"k": [1], "t": [5], "x": [1]})
    given = labels(pl.DataFrame({"k": [1] * 3, "at": [8, 9, 10]}))
    assert values(given, feature(events), max_staleness=4) == [1, 1, None]


def test_a_stale_value_is_not_replaced_by_an_older_one() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [1, 2]})
    given = labels(pl.DataFrame({"k": [1], "at": [10]}))
    result = tf.build(given, feature(events), max_staleness=3)
    assert result.frame()["f__x"].to_list() == [None]
    assert result.stats.feature_stats["f"]["stale"] == 1


def test_features_of_different_bounds_are_joined_together() -> None:
    events = pl.DataFrame({"k": [1, 1], "t": [1, 5], "x": [1, 2]})
    given = labels(pl.DataFrame({"k": [1], "at": [10]}))
    features = [
        feature(events),
        feature(events, name="embargoed", embargo=6),
        feature(events, name="near", max_lookback=4),
        feature(events, name="fresh", max_staleness=4),
        feature(events, name="far", max_lookback=5, max_staleness=5),
    ]
    frame = tf.point_in_time(given, features).collect()
    assert frame.row(0)[2:] == (2, 1, None, None, 2)
