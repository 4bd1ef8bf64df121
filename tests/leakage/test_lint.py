"""What findings say, and what the linter does with sources, transforms, embargoes and what it cannot read."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from tests.leakage.lookahead_events import every_kind, source
from timefence_pl.leakage.lint_rules import RULES
from timefence_pl.leakage.lint_sql import read_sql

X, AT = pl.col("x"), pl.col("at")
EVENTS = every_kind()
SOURCE = source()


def rules(*exprs: pl.Expr, **options: Any) -> list[str]:
    return [f.rule for f in tf.lint(tf.Feature(SOURCE, *exprs, name="f", **options))]


def of(transform: Any, embargo: str | None = None, of_source: tf.Source = SOURCE) -> list[tf.Finding]:
    return tf.lint(tf.Feature(of_source, transform=transform, name="f", embargo=embargo))


def test_a_finding_says_what_why_and_how() -> None:
    (found,) = tf.lint(tf.Feature(SOURCE, (X - X.mean().over("user")).alias("away"), name="away"))
    assert found == tf.Finding(
        feature="away",
        rule="group-aggregate",
        expression='col("x").mean()',
        message="It is computed from all rows of the group, later ones included.",
        fix=(
            "Compute it from the rows so far, as in .cum_sum().over('user') or .rolling_mean_by('at', '30d').over('user'); "
            "or aggregate as of the label time with tf.Window."
        ),
    )
    assert str(found) == f"away: group-aggregate: {found.expression}\n  {found.message}\n  Fix: {found.fix}"


def test_every_place_is_told_once_in_order() -> None:
    found = tf.lint(
        [
            tf.Feature(SOURCE, X.shift(-1), X.reverse().alias("r"), X.shift(-1).alias("again"), name="a"),
            tf.Feature(SOURCE, X, name="b"),
            tf.FeatureSet("set", [tf.Feature(SOURCE, X.rank(), name="c")]),
        ]
    )
    assert [(f.feature, f.rule) for f in found] == [("a", "negative-shift"), ("a", "reversed"), ("c", "rank")]


def test_nothing_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.select("user", "at", "x").write_parquet(path)
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    path.write_bytes(whole[:4] + bytes(len(whole) - footer - 4) + whole[-footer:])
    with pytest.raises(pl.exceptions.PolarsError):
        pl.read_parquet(path)
    data = tf.Source(path, keys="user", timestamp="at")
    assert [f.rule for f in tf.lint(tf.Feature(data, X.shift(-1), name="f"))] == ["negative-shift"]


@pytest.mark.parametrize(
    ("expr", "rule"),
    [
        (X.shift(-1), "negative-shift"),
        (X.shift(-2, fill_value=0), "negative-shift"),
        (X.diff(-1), "negative-shift"),
        (X.pct_change(-1), "negative-shift"),
        (X.backward_fill(), "backward-fill"),
        (X.fill_null(strategy="max"), "statistic-fill"),
        (X.rolling_sum(3, center=True), "centred-window"),
        (X.sum().rolling("at", period="1d", offset="0d"), "forward-window"),
        (X.rolling_mean_by("day", "3d"), "other-index"),
        (X.reverse(), "reversed"),
        (X.cum_max(reverse=True), "reversed-cumulative"),
        (X / X.max(), "whole-column"),
        (X.max().over("user"), "group-aggregate"),
        (pl.len().over("user"), "group-aggregate"),
        (X.get(3).over("user"), "by-position"),
        (X.rank(), "rank"),
        (X.bin_ranks(4, labels=False), "quantile-cut"),
        (X.interpolate(), "interpolation"),
        (X.shuffle(), "sampling"),
        (X.is_unique(), "later-rows"),
        (X.sort(), "sorted-by-value"),
        (X.cum_sum().over("user", order_by="n"), "sorted-by-value"),
        (X.map_batches(lambda s: s, return_dtype=pl.Float64), "python"),
        (pl.fold(pl.lit(0.0), lambda a, b: a + b, [X, pl.col("y")]), "python"),
    ],
    ids=str,
)
def test_each_rule(expr: pl.Expr, rule: str) -> None:
    assert rules(expr) == [rule]
    assert RULES[rule].unread == tf.lint(tf.Feature(SOURCE, expr, name="f"))[0].unread


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_says_why_and_what_to_do(rule: str) -> None:
    assert RULES[rule].message.endswith((".", "}"))
    assert RULES[rule].fix.endswith(".")
    assert rule == rule.lower()


@pytest.mark.parametrize(
    "expr",
    [
        X.mean().over("at"),
        X.rank().over("user", "at"),
        X.sort().first().over(AT.alias("t")),
        X.map_batches(lambda s: s, return_dtype=pl.Float64).over("at"),
        X.map_batches(lambda s: s.sum(), return_dtype=pl.Float64, returns_scalar=True).rolling("at", period="1d"),
        pl.col("lists").list.eval(pl.element().reverse().cum_sum(reverse=True)),
        X.cumulative_eval(pl.element().reverse().first()),
    ],
    ids=str,
)
def test_within_rows_that_are_known_anything_goes(expr: pl.Expr) -> None:
    assert rules(expr) == []


def test_chance_counts_even_there() -> None:
    assert rules(X.shuffle().over("at")) == ["sampling"]


def test_the_time_must_be_the_sources_own() -> None:
    assert rules(X.mean().over(AT.dt.date())) == ["group-aggregate"]
    assert rules(X.rolling_sum_by(AT.dt.truncate("1d"), "3d")) == ["other-index"]
    assert rules(X.sum().rolling(AT.dt.truncate("1d"), period="3d")) == ["other-index"]


@pytest.mark.parametrize(
    ("stamp", "lag"),
    [
        (AT, None),
        (AT.dt.offset_by("1h"), None),
        (AT + dt.timedelta(hours=1), None),
        (AT.dt.truncate("1d").dt.offset_by("1d"), None),
        (AT.dt.truncate("1d") + pl.duration(days=1), None),
        (AT.dt.truncate("1mo").dt.offset_by("1mo"), 3 * 86_400),
        (AT.dt.date(), None),
        (AT.cast(pl.Date), None),
        (AT.dt.date().dt.month_end(), None),
        (pl.max_horizontal("at", pl.lit(dt.datetime(2024, 1, 15))), None),
        (AT.set_sorted(), None),
        (AT.dt.truncate("1d"), 86_400),
        (AT.dt.round("1h"), 1_800),
        (AT.dt.offset_by("-90m"), 5_400),
        (AT - dt.timedelta(seconds=5), 5),
        (AT.dt.date().cast(pl.Datetime("us")), 86_400),
        (AT.dt.month_start(), 31 * 86_400),
        (pl.when(pl.col("flag")).then(AT).otherwise(AT.dt.truncate("1h")), 3_600),
    ],
    ids=str,
)
def test_how_late_a_stamp_is_known(stamp: pl.Expr, lag: int | None) -> None:
    def transform(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.group_by("user", stamp.alias("feature_time")).agg(X.sum())

    found = of(transform)
    if lag is None:
        assert found == []
    else:
        (finding,) = found
        assert finding.rule == "bucket-start"
        assert of(transform, embargo=f"{lag}s") == []
        assert len(of(transform, embargo=f"{lag - 1}s")) == 1


def test_an_embargo_is_named_that_covers_a_bucket() -> None:
    (found,) = of(lambda f: f.group_by_dynamic("at", every="6h", group_by="user").agg(X.sum()), embargo="1h")
    assert found.message == "Rows of the span are stamped up to 6h before the last of them is known."
    assert "embargo='6h'" in found.fix
    assert of(lambda f: f.group_by_dynamic("at", every="6h", group_by="user").agg(X.sum()), embargo="6h") == []
    assert of(lambda f: f.rolling("at", period="1d", offset="-12h", group_by="user").agg(X.sum()), "12h") == []


def test_integer_times_have_buckets_too() -> None:
    data = tf.Source(pl.DataFrame({"k": [1], "t": [5], "x": [1.0]}), keys="k", timestamp="t")
    start = tf.Feature(data, transform=lambda f: f.group_by("k", pl.col("t") // 10 * 10).agg(X.sum()), name="f")
    end = tf.Feature(data, transform=lambda f: f.group_by("k", (pl.col("t") // 10 + 1) * 10).agg(X.sum()), name="f")
    rest = tf.Feature(
        data, transform=lambda f: f.group_by("k", pl.col("t") - pl.col("t") % 7).agg(X.sum()), name="f", embargo=7
    )
    assert ["up to 10 before" in f.message for f in tf.lint(start)] == [True]
    assert tf.lint(end) == tf.lint(rest) == []


def test_dates_known_at_their_start_are_early_stamps() -> None:
    days = EVENTS.select("user", "x", at=AT.dt.date())
    early = source(days, date_known_at="start")
    plain = source(days)

    def at_midnight(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(pl.col("at").cast(pl.Datetime("us")))

    assert of(at_midnight, of_source=early) == []
    assert [f.rule for f in of(at_midnight, of_source=plain)] == ["bucket-start"]


def test_what_a_transform_reads_besides_is_told(tmp_path: Path) -> None:
    path = tmp_path / "prices.parquet"
    pl.DataFrame({"kind": ["apple"], "price": [1.0]}).write_parquet(path)
    inline = pl.LazyFrame({"kind": ["apple"], "price": [1.0]})
    for other in (inline, pl.scan_parquet(path)):
        (found,) = of(lambda f, other=other: f.join(other, on="kind").select("user", "at", "price"))
        assert (found.rule, found.unread) == ("second-input", True)


def test_a_transform_that_collects_is_not_read() -> None:
    def at_once(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.collect().with_columns(X.shift(-1)).lazy()

    (found,) = of(at_once)
    assert (found.rule, found.unread) == ("unread-transform", True)
    assert "collect()" in found.message


def test_python_in_plans_is_not_read() -> None:
    (whole,) = of(lambda f: f.map_batches(lambda d: d).select("user", "at", "x"))
    (groups,) = of(lambda f: f.group_by("user").map_groups(lambda d: d, schema=None).select("user", "at", "x"))
    assert {whole.rule, groups.rule} == {"python"}


def test_several_rows_of_a_bitemporal_source() -> None:
    late = source(EVENTS.with_columns(known=AT + pl.duration(hours=3)), available_at="known")
    (found,) = of(lambda f: f.with_columns(X.cum_sum().over("user")).select("user", "at", "known", "x"), of_source=late)
    assert (found.rule, found.unread) == ("availability", True)
    assert of(lambda f: f.filter(X > 3).select("user", "at", "known", X * 2), of_source=late) == []
    rules = [f.rule for f in of(lambda f: f.with_columns(X.mean()).select("user", "at", "known", "x"), of_source=late)]
    assert rules == ["whole-column", "availability"]


def test_windows_look_ahead_through_their_source_alone() -> None:
    plain = tf.Window(SOURCE, {"last": X.last(), "rank": X.rank().max()}, windows=[None], name="w")
    assert tf.lint(plain) == []
    scaled = source(EVENTS.lazy().with_columns(x=X / X.mean().over("user")))  # type: ignore[arg-type]
    (found,) = tf.lint(tf.Window(scaled, {"last": X.last()}, windows=[None], name="w"))
    assert found.rule == "group-aggregate"
    assert found.message.startswith("In the plan of source 'events': it is computed from all rows")


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        (EVENTS.lazy(), []),
        (EVENTS.lazy().filter(X > 3).rename({"y": "z"}), []),
        (EVENTS.lazy().sort("user", "at").with_columns(X.shift(1).over("user")), []),
        (EVENTS.lazy().join(pl.LazyFrame({"kind": ["apple"], "w": [1]}), on="kind"), []),
        (EVENTS.lazy().group_by("user", "at").agg(X.sum()), []),
        (EVENTS.lazy().with_columns(X.mean().over("at")), []),
        (EVENTS.lazy().with_columns(X.shift(-1).over("user")), ["negative-shift"]),
        (EVENTS.lazy().filter(pl.col("y") > pl.col("y").mean()), ["whole-column"]),
        (EVENTS.lazy().with_columns(X.backward_fill()), ["backward-fill"]),
    ],
)
def test_the_plan_of_a_source_is_read_and_checked(plan: pl.LazyFrame, found: list[str]) -> None:
    feature = tf.Feature(source(plan), columns="x", name="f")  # type: ignore[arg-type]
    assert [f.rule for f in tf.lint(feature)] == found
    report = tf.check_lookahead(feature)["f"]
    assert report.status == ("unchecked" if found else "clean")
    if found:
        assert "the plan of its source looks ahead" in report.reason


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT * FROM ev WHERE x > 3", []),
        ('SELECT "user", "at", SUM(x) AS x FROM ev GROUP BY "user", "at"', []),
        ('SELECT "user", MIN("at") AS "at", SUM(x) AS x FROM ev GROUP BY "user"', []),
        ('SELECT *, LAG(x) OVER (PARTITION BY "user" ORDER BY "at") AS z FROM ev', []),
        ('SELECT *, AVG(x) OVER (PARTITION BY "user") AS z FROM ev', ["group-aggregate"]),
        ('SELECT *, LEAD(x) OVER (PARTITION BY "user" ORDER BY "at") AS z FROM ev', ["negative-shift"]),
    ],
)
def test_the_query_of_a_source_is_read_and_checked(query: str, found: list[str]) -> None:
    tables = {"ev": EVENTS.select("user", "at", "x")}
    feature = tf.Feature(
        tf.SQLSource(query, keys="user", timestamp="at", name="q", tables=tables), columns="x", name="f"
    )
    assert [f.rule for f in tf.lint(feature)] == found
    assert tf.check_lookahead(feature)["f"].status == ("unchecked" if found else "clean")


def test_columns_are_never_a_finding() -> None:
    assert tf.lint(tf.Feature(SOURCE, columns={"x": "amount", "y": "share"})) == []


def test_sql_that_is_not_read_is_told() -> None:
    text = 'SELECT "user", date_trunc(\'day\', "at") AS feature_time, SUM(x) AS x FROM {source} GROUP BY 1, 2'
    (found,) = tf.lint(tf.Feature(SOURCE, sql=text, name="f"))
    assert (found.rule, found.unread) == ("unread-sql", True)
    text = 'SELECT a."user", a."at", b.x FROM {source} a JOIN {source} b ON a."user" = b."user"'
    (found,) = tf.lint(tf.Feature(SOURCE, sql=text, name="f"))
    assert (found.rule, found.unread) == ("unread-sql", True)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'lead(x) over (partition by y)' AS v FROM {source}",
        "SELECT x AS v -- AVG(x) OVER ()\nFROM {source}",
        "SELECT x AS v /* LEAD(x) OVER () */ FROM {source}",
        'SELECT "over" AS v, "sum" FROM {source}',
    ],
)
def test_texts_and_comments_are_no_sql(text: str) -> None:
    found: list[str] = []
    read_sql(text, "at", lambda rule, _part, **_words: found.append(rule))
    assert found == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('SELECT LEAD(x) OVER (PARTITION BY "user" ORDER BY at) FROM t', "negative-shift"),
        ("SELECT lag(x, -2) OVER (ORDER BY at ASC) FROM t", "negative-shift"),
        ("SELECT lead(x) OVER (ORDER BY t.at DESC NULLS LAST) FROM t", None),
        ("SELECT lag(x) OVER (ORDER BY at DESC) FROM t", "negative-shift"),
        ("SELECT sum(x) FILTER (WHERE y > 1) OVER (ORDER BY at) FROM t", None),
        ("SELECT avg(x) OVER (PARTITION BY at) FROM t", None),
        ("SELECT avg(x) OVER (PARTITION BY date_trunc('day', at)) FROM t", "group-aggregate"),
        ("SELECT sum(x) FILTER (WHERE y > 1) OVER (PARTITION BY k) FROM t", "group-aggregate"),
        ("SELECT k, (SELECT max(x) FROM t) FROM t GROUP BY k, at", "whole-column"),
        ("SELECT row_number() OVER (PARTITION BY k ORDER BY x) FROM t", "rank"),
        ("SELECT median(x) FROM t", "whole-column"),
        ("SELECT * FROM t WHERE x > (SELECT avg(x) FROM t)", "whole-column"),
        ("SELECT k, sum(x) FROM t GROUP BY k", "group-aggregate"),
        ("SELECT k, at, sum(x) FROM t GROUP BY k, at HAVING sum(x) > 1", None),
        ("SELECT x, random() AS r FROM t", "random-sql"),
        ("SELECT DISTINCT ON (k) k, at, x FROM t ORDER BY k, at DESC", "unread-sql"),
        ("SELECT k, at, x FROM t WHERE k IN (SELECT k FROM t WHERE x > 3)", "unread-sql"),
        ("SELECT k, at, x FROM t ORDER BY x LIMIT 5", "unread-sql"),
        ("WITH a AS (SELECT k, at, x * 2 AS x FROM t) SELECT k, at, x FROM a", None),
        ("SELECT k, at, x FROM (SELECT k, at, lag(x) OVER (ORDER BY at) AS x FROM t)", None),
        ("SELECT x, current_date AS r FROM t", "random-sql"),
    ],
)
def test_sql_by_its_words(text: str, rule: str | None) -> None:
    found: list[str] = []
    read_sql(text, "at", lambda rule, _part, **_words: found.append(rule))
    assert found == ([] if rule is None else [rule])


def test_arguments_and_definitions_that_do_not_fit() -> None:
    with pytest.raises(tf.TimefenceValidationError, match="no features"):
        tf.lint([])
    with pytest.raises(tf.TimefenceSchemaError, match="no column 'when'"):
        tf.lint(tf.Feature(tf.Source(EVENTS, keys="user", timestamp="when"), X, name="f"))
