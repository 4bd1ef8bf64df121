"""Duplicates: refused where a label would have to choose, in every engine and under every projection."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import feature, labels, source, values
from timefence_pl.errors import TimefenceDuplicateError

#: Entity 2 has two rows at 1.
EVENTS = pl.DataFrame({"k": [1, 2, 2], "t": [1, 1, 1], "x": [10, 20, 21]})
LABELS = pl.DataFrame({"k": [1, 1, 2, 2], "at": [5, 6, 7, 8]})
ENGINES = ["in-memory", "streaming"]


# --- the guard ---------------------------------------------------------------------------------------------------------


PROJECTIONS: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "everything": lambda lf: lf,
    "a label column": lambda lf: lf.select("k"),
    "another feature": lambda lf: lf.select("g__x"),
    "the number of rows": lambda lf: lf.select(pl.len()),
    "a count": lambda lf: lf.select(pl.col("k").count()),
    "the first row": lambda lf: lf.head(1),
    "the last row": lambda lf: lf.tail(1),
    "a slice": lambda lf: lf.slice(0, 1),
    "a column of the first row": lambda lf: lf.select("k").head(1),
    "without the feature": lambda lf: lf.drop("f__x"),
    "rows of another entity": lambda lf: lf.filter(pl.col("k") == 1),
    "groups": lambda lf: lf.group_by("k").len(),
    "distinct keys": lambda lf: lf.select("k").unique(),
    "sorted": lambda lf: lf.sort("at").head(1),
    "numbered": lambda lf: lf.with_row_index().select("index"),
    "joined": lambda lf: lf.join(LABELS.lazy(), on="k", how="semi").select("k"),
    "cached": lambda lf: lf.cache().select("k"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("project", PROJECTIONS.values(), ids=PROJECTIONS.keys())
def test_the_guard_survives_every_projection(engine: Any, project: Callable[[pl.LazyFrame], pl.LazyFrame]) -> None:
    lazy = tf.point_in_time(labels(LABELS), [feature(EVENTS), feature(EVENTS.head(2), name="g")])
    with pytest.raises(TimefenceDuplicateError, match="Feature 'f' has duplicates"):
        project(lazy).collect(engine=engine)


def test_rows_that_are_repeated_whole_are_duplicates_and_the_error_says_how_to_leave_them_out() -> None:
    repeated = pl.concat([EVENTS.head(2), EVENTS.head(2)])
    with pytest.raises(TimefenceDuplicateError, match=r"Unless they are equal in every value(.|\n)*repeated whole"):
        tf.build(labels(LABELS), feature(repeated))
    assert values(labels(LABELS), feature(repeated.unique(maintain_order=True))) == [10, 10, 20, 20]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_guard_survives_a_sink(engine: Any, tmp_path: Path) -> None:
    lazy = tf.point_in_time(labels(LABELS), feature(EVENTS))
    with pytest.raises(TimefenceDuplicateError, match="Feature 'f' has duplicates"):
        lazy.sink_parquet(tmp_path / "set.parquet", engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_guard_runs_without_any_optimisation(engine: Any) -> None:
    lazy = tf.point_in_time(labels(LABELS), feature(EVENTS))
    with pytest.raises(TimefenceDuplicateError, match="Feature 'f' has duplicates"):
        lazy.collect(engine=engine, optimizations=pl.QueryOptFlags.none())


def test_planning_raises_nothing() -> None:
    lazy = tf.point_in_time(labels(LABELS), feature(EVENTS))
    assert list(lazy.collect_schema()) == ["k", "at", "f__x"]
    assert "duplicates" not in str(tf.explain(labels(LABELS), feature(EVENTS)))


@pytest.mark.parametrize("engine", ENGINES)
def test_without_checks_the_last_is_taken(engine: Any) -> None:
    lazy = tf.point_in_time(labels(LABELS), feature(EVENTS), checks=False)
    assert lazy.collect(engine=engine)["f__x"].to_list() == [10, 10, 21, 21]


@pytest.mark.parametrize("output", [None, "set.parquet"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_build_raises(tmp_path: Path, output: str | None, *, lazy: bool) -> None:
    path = None if output is None else tmp_path / output
    with pytest.raises(TimefenceDuplicateError, match="Feature 'f' has duplicates"):
        tf.build(labels(LABELS), feature(EVENTS.lazy() if lazy else EVENTS), path)


# --- the message -------------------------------------------------------------------------------------------------------


def test_the_error_counts_and_shows_what_to_look_at() -> None:
    with pytest.raises(TimefenceDuplicateError) as caught:
        tf.build(labels(LABELS), feature(EVENTS))
    text = str(caught.value)
    assert text.startswith("Feature 'f' has duplicates where 2 label rows of 1 entity need one value.")
    assert "source 'events': rows equal in keys and time (k, t)" in text
    assert "k=2, at=7, f__x=21" in text
    assert 'on_duplicate="keep_last"' in text
    assert "tie_breaker=" in text


@pytest.mark.parametrize("run", ["in-memory", "streaming", "build", "file"])
def test_the_error_ends_where_its_message_does(tmp_path: Path, run: Any) -> None:
    lazy = tf.point_in_time(labels(LABELS), feature(EVENTS))
    output = tmp_path / "x.parquet" if run == "file" else None
    with pytest.raises(TimefenceDuplicateError) as caught:
        _ = lazy.collect(engine=run) if run in ENGINES else tf.build(labels(LABELS), feature(EVENTS), output)
    assert str(caught.value).endswith("on the feature takes source order")


def test_the_error_counts_entities() -> None:
    events = pl.concat([EVENTS, EVENTS])
    with pytest.raises(TimefenceDuplicateError, match=r"4 label rows of 2 entities"):
        tf.build(labels(LABELS), feature(events))


@pytest.mark.parametrize("options", [{"flatten_columns": True}, {"feature_times": True}, {"on_missing": "skip"}])
def test_the_error_is_told_under_every_output_option(options: dict[str, Any]) -> None:
    for run in (
        lambda: tf.point_in_time(labels(LABELS), feature(EVENTS), **options).collect(),
        lambda: tf.build(labels(LABELS), feature(EVENTS), **options),
    ):
        with pytest.raises(TimefenceDuplicateError, match=r"2 label rows of 1 entity"):
            run()


def test_the_error_is_told_for_times_that_python_cannot_hold() -> None:
    far = pl.Series([2**63 - 5] * 3).cast(pl.Datetime("ms"))
    events = EVENTS.with_columns(t=far)
    given = LABELS.with_columns(at=pl.Series([2**63 - 1] * 4).cast(pl.Datetime("ms")))
    for run in (
        lambda: tf.point_in_time(labels(given), feature(events)).collect(),
        lambda: tf.build(labels(given), feature(events)),
    ):
        with pytest.raises(TimefenceDuplicateError, match="9223372036854775807"):
            run()


def test_the_error_is_told_for_a_source_without_keys() -> None:
    with pytest.raises(TimefenceDuplicateError, match=r"4 label rows of 1 entity"):
        tf.build(labels(LABELS, keys=[]), feature(EVENTS, source_keys=[]))


# --- where they do not matter ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "given", "options", "expected"),
    [
        (EVENTS, LABELS.head(2), {}, [10, 10]),
        (pl.concat([EVENTS, pl.DataFrame({"k": [2], "t": [2], "x": [30]})]), LABELS, {}, [10, 10, 30, 30]),
        (EVENTS, LABELS, {"max_lookback": 5}, [10, 10, None, None]),
        (EVENTS, LABELS, {"max_staleness": 5}, [10, 10, None, None]),
        (EVENTS, LABELS.with_columns(at=pl.lit(1)), {}, [None] * 4),
    ],
    ids=["of other entities", "superseded", "too old", "stale", "not usable yet"],
)
def test_duplicates_that_no_label_meets_are_legal(
    events: pl.DataFrame, given: pl.DataFrame, options: dict[str, Any], expected: list[Any]
) -> None:
    assert values(labels(given), feature(events), **options) == expected


def test_duplicates_with_equal_values_are_duplicates() -> None:
    with pytest.raises(TimefenceDuplicateError):
        tf.build(labels(LABELS), feature(EVENTS.with_columns(x=pl.lit(5))))


def test_rows_with_null_key_or_time_are_no_duplicates() -> None:
    events = pl.DataFrame({"k": [None, None, 1, 1], "t": [1, 1, None, None], "x": [1, 2, 3, 4]})
    given = pl.DataFrame({"k": [None, 1], "at": [5, 5]})
    assert values(labels(given), feature(events)) == [None, None]


# --- policies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "expected"), [("keep_last", [10, 10, 21, 21]), ("keep_first", [10, 10, 20, 20])])
def test_policies_follow_source_order(policy: Any, expected: list[Any]) -> None:
    assert values(labels(LABELS), feature(EVENTS, on_duplicate=policy)) == expected
    assert values(labels(LABELS), feature(EVENTS.reverse(), on_duplicate=policy)) == [
        10,
        10,
        *[41 - e for e in expected[2:]],
    ]


def test_policies_of_features_of_one_source_do_not_mix() -> None:
    given = source(EVENTS)
    features = [
        tf.Feature(given, columns="x", name="last", on_duplicate="keep_last"),
        tf.Feature(given, columns="x", name="first", on_duplicate="keep_first"),
    ]
    frame = tf.point_in_time(labels(LABELS), features).collect()
    assert frame["last__x"].to_list() == [10, 10, 21, 21]
    assert frame["first__x"].to_list() == [10, 10, 20, 20]


@pytest.mark.parametrize("engine", ENGINES)
def test_keep_any_takes_the_last_with_a_warning(engine: Any) -> None:
    lazy = tf.point_in_time(labels(LABELS), feature(EVENTS, on_duplicate="keep_any"))
    with pytest.warns(UserWarning, match="Feature 'f': labels met duplicate rows; the last in source order was taken"):
        assert lazy.collect(engine=engine)["f__x"].to_list() == [10, 10, 21, 21]


def test_keep_any_warns_in_a_build_at_the_callers_line() -> None:
    with pytest.warns(UserWarning, match="Feature 'f': labels met duplicate rows") as caught:
        result = tf.build(labels(LABELS), feature(EVENTS, on_duplicate="keep_any"))
    assert [Path(w.filename).name for w in caught] == [Path(__file__).name]
    assert result.stats.feature_stats["f"]["duplicates"] == 2


def test_keep_any_does_not_warn_where_no_label_met_duplicates() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert values(labels(LABELS.head(2)), feature(EVENTS, on_duplicate="keep_any")) == [10, 10]


@pytest.mark.parametrize("policy", ["keep_last", "keep_any"])
def test_duplicates_that_were_chosen_between_are_counted(policy: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        stats = tf.build(labels(LABELS), feature(EVENTS, on_duplicate=policy)).stats.feature_stats["f"]
    assert stats["duplicates"] == 2
    assert stats["matched"] == 4


# --- tie breakers ------------------------------------------------------------------------------------------------------


def tied(breaker: Any, **options: Any) -> list[Any]:
    events = EVENTS.with_columns(s=breaker)
    return values(labels(LABELS.tail(1)), feature(events, source_tie_breaker="s", **options))


@pytest.mark.parametrize(
    ("breaker", "expected"),
    [
        (pl.Series([0, 9, 3]), 20),
        (pl.Series([0, 3, 9]), 21),
        (pl.Series([0, None, -3]), 21),
        (pl.Series([0, -3, None]), 20),
        (pl.Series(["", "b", "a"]), 20),
        (pl.Series([0.0, 1.0, float("nan")]), 21),
        (pl.Series([0.0, float("inf"), 1.0]), 20),
        (pl.Series([False, True, False]), 20),
        (pl.Series([datetime(2024, 1, 1), datetime(2024, 1, 3), datetime(2024, 1, 2)]), 20),
        (pl.Series(["a", "a", "b"], dtype=pl.Enum(["b", "a"])), 20),
    ],
    ids=str,
)
def test_the_greatest_tie_breaker_wins_and_null_is_the_lowest(breaker: pl.Series, expected: int) -> None:
    assert tied(breaker) == [expected]
    assert tied(breaker, on_duplicate="keep_first") == [expected]


@pytest.mark.parametrize(
    "breaker", [pl.Series([0, 1, 1]), pl.Series([0, None, None]), pl.Series([0.0, float("nan"), float("nan")])], ids=str
)
def test_rows_equal_in_the_tie_breaker_are_duplicates(breaker: pl.Series) -> None:
    with pytest.raises(TimefenceDuplicateError, match="rows equal in keys, time, availability and tie breaker"):
        tied(breaker)
    assert tied(breaker, on_duplicate="keep_last") == [21]
    assert tied(breaker, on_duplicate="keep_first") == [20]


def test_several_tie_breakers_count_in_order() -> None:
    events = EVENTS.with_columns(s=pl.Series([1, 1, 1]), u=pl.Series(["a", "c", "b"]))
    assert values(labels(LABELS.tail(1)), feature(events, source_tie_breaker=["s", "u"])) == [20]
    events = EVENTS.with_columns(s=pl.Series([1, 1, 2]), u=pl.Series(["a", "c", "b"]))
    assert values(labels(LABELS.tail(1)), feature(events, source_tie_breaker=["s", "u"])) == [21]


def test_a_tie_breaker_without_an_order_is_refused() -> None:
    events = EVENTS.with_columns(s=pl.Series([object()] * 3, dtype=pl.Object))
    with pytest.raises(tf.TimefenceSchemaError, match="tie_breaker 's' of source 'events' is .*, which has no order"):
        tf.point_in_time(labels(LABELS), feature(events, source_tie_breaker="s"))


def test_a_tie_breaker_may_be_a_value_too() -> None:
    events = EVENTS.with_columns(s=pl.Series([0, 9, 3]))
    frame = tf.point_in_time(labels(LABELS), feature(events, "x", "s", source_tie_breaker="s")).collect()
    assert frame["f__s"].to_list() == [0, 0, 9, 9]


# --- what is told ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "value"), [("keep_last", 21), ("keep_first", 20)])
def test_a_choice_is_counted_and_explained_whichever_row_is_kept(which: Any, value: int) -> None:
    one = feature(EVENTS, on_duplicate=which)
    assert values(labels(LABELS), one) == [10, 10, value, value]
    assert tf.build(labels(LABELS), one).stats.feature_stats["f"]["duplicates"] == 2
    row = tf.explain(labels(LABELS), one).row(2)["f"]
    assert row.note == "the row is one of several duplicates"
    assert row.chosen is not None
    assert row.chosen.values == {"x": value}
    assert [c.why for c in row.passed_over] == ["age 6: another row of the same time won"]
    assert tf.explain(labels(LABELS), one).row(0)["f"].note == ""
