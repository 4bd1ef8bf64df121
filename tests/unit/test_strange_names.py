"""Names of columns and features that mean something to somebody else: patterns, quotes, braces, paths, Polars' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, joined, labels, values
from timefence_pl.errors import TimefenceSchemaError

NAMES = [
    "a b",
    " ",
    "ünï 🎈",
    "x.y",
    "q'uote",
    'q"uote',
    "`tick`",
    "back\\slash",
    "a/b",
    "new\nline",
    "tab\t",
    "{}",
    "{source}",
    "%s",
    "$x",
    "^x",
    "x$",
    "a*b",
    "[x]",
    "SELECT",
    "--",
    "literal",
    "len",
    "element",
    "feature_time",
    "__x",
    "x__",
    "_",
    "0",
    "None",
    "index",
]
PATTERNS = ["^x$", "^.*$", "*", "^$"]


@pytest.mark.parametrize("name", NAMES)
def test_any_column_may_be_named_so(name: str) -> None:
    assert values(labels(), feature(EVENTS.rename({"x": name}), columns=[name]), f"f__{name}") == EXPECTED
    assert values(labels(), feature(EVENTS.rename({"x": name}), pl.col(name) + 0), f"f__{name}") == EXPECTED
    assert values(labels(), feature(columns={"x": name}), f"f__{name}") == EXPECTED
    assert (
        values(labels(LABELS.rename({"k": name}), keys=name), feature(EVENTS.rename({"k": name}), source_keys=name))
        == EXPECTED
    )
    assert (
        values(
            labels(LABELS.rename({"at": name}), label_time=name),
            feature(EVENTS.rename({"t": name}), source_timestamp=name),
        )
        == EXPECTED
    )
    assert joined(labels(LABELS.rename({"y": name})), feature())[name].to_list() == [0, 1, 0, 1]


@pytest.mark.parametrize("name", NAMES)
def test_roles_of_times_and_ties_may_be_named_so(name: str) -> None:
    known = feature(EVENTS.with_columns(pl.col("t").alias(name)), source_available_at=name)
    tied = feature(EVENTS.with_columns(pl.col("t").alias(name)), source_tie_breaker=name)
    assert values(labels(), known) == EXPECTED
    assert values(labels(), tied) == EXPECTED
    mapped = feature(EVENTS.rename({"k": name}), source_keys=name, key_mapping={"k": name})
    assert values(labels(), mapped) == EXPECTED


@pytest.mark.parametrize("name", [n for n in NAMES if n not in (" ", "back\\slash", "a/b", "new\nline", "tab\t")])
def test_a_feature_may_be_named_so(name: str) -> None:
    frame = joined(labels(), feature(name=name), feature_times=True)
    assert frame.columns == ["k", "at", "y", f"{name}__x", f"{name}__feature_time"]
    assert frame[f"{name}__x"].to_list() == EXPECTED
    row = tf.explain(labels(), feature(name=name)).row(0)
    assert row[name].chosen is not None
    assert name in str(row)


@pytest.mark.parametrize("name", ["a b", "ünï 🎈", "q'uote", 'q"uote', "{}", "new\nline", "a,b"])
@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson", "arrow"])
def test_strange_names_are_written_and_read_back(tmp_path: Path, name: str, suffix: str) -> None:
    result = tf.build(labels(LABELS.rename({"y": name})), feature(columns={"x": name}), tmp_path / f"set.{suffix}")
    assert result.frame().columns == ["k", "at", name, f"f__{name}"]
    assert result.frame()[f"f__{name}"].to_list() == EXPECTED


# --- patterns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("column", ["k", "at", "y"])
def test_label_columns_that_polars_takes_for_patterns_are_refused(name: str, column: str) -> None:
    given = LABELS.rename({column: name})
    roles: dict[str, Any] = {"k": {"keys": name}, "at": {"label_time": name}, "y": {}}[column]
    with pytest.raises(TimefenceSchemaError, match=r"Column names of labels read as patterns to Polars(.|\n)*Rename"):
        tf.point_in_time(labels(given, **roles), feature())


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("role", ["keys", "timestamp", "available_at", "tie_breaker"])
def test_columns_of_a_source_with_a_role_are_no_patterns(name: str, role: str) -> None:
    column = {"keys": "k", "timestamp": "t"}.get(role, "x")
    mapping = {"key_mapping": {"k": name}} if role == "keys" else {}
    one = feature(EVENTS.rename({column: name}), pl.lit(1), **{f"source_{role}": name}, **mapping)
    with pytest.raises(TimefenceSchemaError, match="Column names of source 'events' read as patterns to Polars"):
        tf.point_in_time(labels(), one)


@pytest.mark.parametrize("name", ["^x$", "^.*$", "^[$"])
def test_values_are_taken_by_their_name_not_by_a_pattern(name: str) -> None:
    events = EVENTS.rename({"x": name}).with_columns(x=pl.lit(0))
    assert values(labels(), feature(events, columns=[name]), f"f__{name}") == EXPECTED
    assert values(labels(), feature(events, columns={name: "z"}), "f__z") == EXPECTED


@pytest.mark.parametrize("name", PATTERNS)
def test_columns_of_a_source_that_are_not_used_may_be_patterns(name: str) -> None:
    assert values(labels(), feature(EVENTS.with_columns(pl.lit(1).alias(name)))) == EXPECTED


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("stored", [False, True])
def test_columns_that_a_definition_gives_are_taken_by_their_names(name: str, tmp_path: Path, *, stored: bool) -> None:
    events = EVENTS.with_columns(pl.col("x").alias(name), x=pl.lit(0))
    ways = [
        feature(events, cs.exclude("k", "t")),
        feature(events, transform=lambda lf: lf, name="f"),
        feature(events, sql="SELECT * FROM {source}", name="f"),
        feature(events, sql="SELECT * FROM {source}", dialect="duckdb", name="f"),
    ]
    for n, one in enumerate(ways):
        store = tf.Store(tmp_path / str(n)) if stored else None
        frame = tf.build(labels(), one, store=store).frame()
        assert frame[f"f__{name}"].to_list() == EXPECTED
        assert frame["f__x"].drop_nulls().unique().to_list() == [0]


@pytest.mark.parametrize("name", ["^x$", "^.*$"])
def test_patterns_that_one_expression_gives_beside_others_are_refused(name: str) -> None:
    events = EVENTS.with_columns(pl.lit(1).alias(name))
    with pytest.raises(TimefenceSchemaError, match="Column names of feature 'f' read as patterns"):
        tf.point_in_time(labels(), feature(events, pl.all().exclude("k", "t") + 0, name="f"))


@pytest.mark.parametrize("name", PATTERNS)
def test_windows_read_no_column_that_reads_as_a_pattern(name: str) -> None:
    source = tf.Source(EVENTS.rename({"x": name}), keys="k", timestamp="t", name="events")
    window = tf.Window(source, {"n": cs.by_name(name).count()}, windows=[3], name="w")
    with pytest.raises(TimefenceSchemaError, match="Column names of source 'events' read as patterns"):
        tf.point_in_time(labels(), window)


def test_output_names_that_polars_takes_for_patterns_are_refused_when_flattened() -> None:
    one = feature(columns={"x": "^x$"})
    with pytest.raises(TimefenceSchemaError, match="pattern"):
        tf.build(labels(), one, flatten_columns=True)


# --- names of the plan's own -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["__tf_key", "__tf_", "__tf_label_row"])
def test_columns_with_the_reserved_prefix_are_refused(name: str) -> None:
    with pytest.raises(TimefenceSchemaError, match=f"Column names of labels start with the reserved '__tf_': '{name}'"):
        tf.point_in_time(labels(LABELS.rename({"y": name})), feature())
    with pytest.raises(
        TimefenceSchemaError, match=f"Column names of source 'events' start with the reserved '__tf_': '{name}'"
    ):
        tf.point_in_time(labels(), feature(EVENTS.with_columns(pl.lit(1).alias(name))))


def test_values_with_the_reserved_prefix_do_no_harm() -> None:
    assert values(labels(), feature(columns={"x": "__tf_key"}), "f____tf_key") == EXPECTED
