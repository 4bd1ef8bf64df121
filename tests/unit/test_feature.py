"""Features: the four ways to write one, and every wrong one."""

from __future__ import annotations

import functools
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, EXPECTED, LABELS, feature, labels, source, values
from timefence_pl.durations import Duration
from timefence_pl.errors import TimefenceConfigError, TimefenceSchemaError, TimefenceValidationError


def EAGER(events: pl.LazyFrame) -> pl.DataFrame:  # noqa: N802 - a constant of the tables below
    """A transform that runs its source at once."""
    return events.collect()


DAY = 86_400_000_000_000


def latest(events: pl.LazyFrame) -> pl.LazyFrame:
    return events


class Shift:
    def __call__(self, events: pl.LazyFrame) -> pl.LazyFrame:
        return events


# --- defaults ----------------------------------------------------------------------------------------------------------


def test_defaults() -> None:
    given = feature()
    assert (given.embargo, given.on_duplicate, given.key_mapping, given.dialect) == (None, "error", {}, "auto")
    assert given.max_lookback is tf.INHERIT
    assert given.max_staleness is tf.INHERIT


def test_inherit_is_one_value_that_prints() -> None:
    assert repr(tf.INHERIT) == "INHERIT"


@pytest.mark.parametrize(
    ("exprs", "options", "name"),
    [
        ((pl.col("x"),), {}, "x"),
        (("x",), {}, "x"),
        (("x", pl.col("t").alias("u")), {}, "x_u"),
        ((["x", pl.col("t")],), {}, "x_t"),
        ((pl.col("x") + pl.col("t"),), {}, "x"),
        ((pl.col("x", "t"),), {}, "x_t"),
        ((pl.all().name.suffix("_s"),), {}, "k_s_t_s_x_s"),
        ((pl.selectors.numeric(),), {}, "k_t_x"),
        ((pl.lit(1),), {}, "literal"),
        ((), {"columns": "x"}, "x"),
        ((), {"columns": ["x", "t"]}, "x_t"),
        ((), {"columns": {"x": "a", "t": "b"}}, "a_b"),
        ((), {"transform": latest}, "latest"),
    ],
)
def test_the_default_name(exprs: tuple[Any, ...], options: dict[str, Any], name: str) -> None:
    assert tf.Feature(source(), *exprs, **options).name == name


def test_the_default_name_of_a_sql_file_is_its_stem(tmp_path: Path) -> None:
    path = tmp_path / "large amounts.sql"
    path.write_text("SELECT k, t, x FROM {source};\n", encoding="utf-8")
    given = tf.Feature(source(), sql=path)
    assert (given.name, given.mode, given.sql) == ("large amounts", "sql", "SELECT k, t, x FROM {source}")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"sql": "SELECT 1"}, "inline SQL"),
        ({"transform": lambda events: events}, "a function without a name"),
        ({"transform": functools.partial(latest)}, "a function without a name"),
        ({"transform": Shift()}, "a function without a name"),
    ],
)
def test_what_has_no_name_needs_one(options: dict[str, Any], what: str) -> None:
    with pytest.raises(TimefenceConfigError, match=rf"needs a name: none can be derived from {what}(.|\n)*name='...'"):
        tf.Feature(source(), **options)


@pytest.mark.parametrize("name", ["", "a/b", "../x", 5, "x" * 200])
def test_a_name_that_could_escape_a_folder_is_refused(name: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="is not a valid feature name"):
        feature(name=name)


def test_a_default_name_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(TimefenceConfigError, match="is not a valid feature name"):
        tf.Feature(source(), columns="a/b")


# --- one way of four ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exprs", "options", "given"),
    [
        ((), {}, "none"),
        (("x",), {"columns": "x"}, "'expressions', 'columns'"),
        ((), {"columns": "x", "sql": "SELECT 1"}, "'columns', 'sql'"),
        ((), {"sql": "SELECT 1", "transform": latest}, "'sql', 'transform'"),
    ],
)
def test_exactly_one_way_says_how(exprs: tuple[Any, ...], options: dict[str, Any], given: str) -> None:
    with pytest.raises(TimefenceConfigError, match=rf"feature 'f' needs exactly one of .*; got {given}\."):
        tf.Feature(source(), *exprs, name="f", **options)


@pytest.mark.parametrize("item", [5, None, 1.5, latest, {"x": "y"}, b"x", object()])
def test_what_is_no_expression_is_refused(item: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=r"where an expression is due(.|\n)*functions go into transform="):
        tf.Feature(source(), item, name="f")


@pytest.mark.parametrize("nothing", [[], (), [[]]])
def test_no_expressions_are_refused(nothing: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="feature 'f' has no expressions"):
        tf.Feature(source(), nothing, name="f")


@pytest.mark.parametrize(
    "columns", [[], {}, 5, [None], [""], pl.col("x"), ["x", "x"], {"x": "a", "t": "a"}, {"x": 5}, b"x"]
)
def test_columns_are_names_each_once(columns: Any) -> None:
    with pytest.raises(TimefenceValidationError, match="columns.* of feature 'f'"):
        tf.Feature(source(), columns=columns, name="f")


@pytest.mark.parametrize("sql", ["", "  ", ";", " ; ", 5, b"SELECT 1", ["SELECT 1"]])
def test_sql_is_text_or_a_path(sql: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="sql.* of feature 'f'"):
        tf.Feature(source(), sql=sql, name="f")


def test_a_sql_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TimefenceValidationError, match=r"SQL file of Feature cannot be read(.|\n)*no.sql"):
        tf.Feature(source(), sql=tmp_path / "no.sql")
    (tmp_path / "bytes.sql").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(TimefenceValidationError, match="cannot be read"):
        tf.Feature(source(), sql=tmp_path / "bytes.sql")
    with pytest.raises(TimefenceValidationError, match="cannot be read"):
        tf.Feature(source(), sql=tmp_path)


@pytest.mark.parametrize(
    "transform",
    [lambda: None, lambda conn, table: None, lambda events, *, how: events, functools.partial(latest, EVENTS.lazy())],
)
def test_a_transform_can_be_called_with_the_events(transform: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="cannot be called with one argument.*\n\n.*LazyFrame"):
        tf.Feature(source(), transform=transform, name="f")


@pytest.mark.parametrize(
    "transform",
    [lambda events, how="x": events, lambda *args: args[0], functools.partial(latest), Shift(), pl.LazyFrame.reverse],
)
def test_a_transform_may_take_more_than_the_events(transform: Any) -> None:
    assert tf.Feature(source(), transform=transform, name="f").transform is transform


@pytest.mark.parametrize("transform", ["latest", 5, pl.col("x"), EVENTS])
def test_a_transform_is_callable(transform: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="transform of feature 'f' is not callable"):
        tf.Feature(source(), transform=transform, name="f")


@pytest.mark.parametrize("given", [EVENTS, "events.parquet", None, labels()])
def test_a_source_is_declared(given: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=rf"source of Feature is a {type(given).__name__}(.|\n)*tf.Source\("):
        tf.Feature(given, columns="x")


@pytest.mark.parametrize(
    ("value", "hint"), [("keep", "keep_any"), ("keeplast", "keep_last"), ("any", "keep_any"), (None, ""), (True, "")]
)
def test_an_unknown_on_duplicate_is_refused_with_the_nearest(value: Any, hint: str) -> None:
    with pytest.raises(
        TimefenceConfigError, match=rf"on_duplicate=.* is not known\.{f' Did you mean .{hint}' if hint else ''}"
    ):
        feature(on_duplicate=value)


@pytest.mark.parametrize("value", ["sqlite", None, ""])
def test_an_unknown_dialect_is_refused(value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match="dialect=.* of feature 'f' is not known"):
        feature(sql="SELECT 1", dialect=value)


# --- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["embargo", "max_lookback", "max_staleness"])
@pytest.mark.parametrize(
    ("value", "duration"),
    [("1d", Duration(DAY)), (timedelta(days=1), Duration(DAY)), (5, Duration(5, integer=True)), (None, None)],
)
def test_bounds_are_durations(argument: str, value: Any, duration: Duration | None) -> None:
    assert getattr(feature(**{argument: value}), argument) == duration


@pytest.mark.parametrize("argument", ["embargo", "max_lookback", "max_staleness"])
@pytest.mark.parametrize("value", ["", "-1d", "1mo", -1, 1.5, True, timedelta(-1), "soon"])
def test_a_bound_that_is_no_duration_is_refused_by_name(argument: str, value: Any) -> None:
    with pytest.raises(TimefenceConfigError, match=f"^{argument} of feature 'f'=.* is not a duration"):
        feature(**{argument: value})


def test_an_embargo_inherits_nothing() -> None:
    with pytest.raises(TimefenceConfigError, match="embargo of feature 'f'=INHERIT is not a duration"):
        feature(embargo=tf.INHERIT)


# --- frozen, repr ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attribute", ["name", "source", "embargo", "new"])
def test_a_feature_is_frozen(attribute: str) -> None:
    given = feature()
    with pytest.raises(TimefenceConfigError, match=f"Feature is frozen; '{attribute}' cannot be"):
        setattr(given, attribute, None)
    with pytest.raises(TimefenceConfigError, match="frozen"):
        del given.name
    assert given.name == "f"


def test_the_key_mapping_given_may_change_afterwards() -> None:
    mapping = {"user": "k"}
    given = feature(key_mapping=mapping)
    mapping["other"] = "k"
    assert dict(given.key_mapping) == {"user": "k"}


@pytest.mark.parametrize(
    ("options", "mode"),
    [({"columns": "x"}, "columns"), ({"sql": "SELECT 1"}, "sql"), ({"transform": latest}, "transform")],
)
def test_repr_tells_name_source_and_mode(options: dict[str, Any], mode: str) -> None:
    assert repr(feature(**options)) == f"Feature(name='f', source='events', mode='{mode}')"
    assert repr(feature(EVENTS, pl.col("x"))) == "Feature(name='f', source='events', mode='expressions')"


# --- the ways agree ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exprs", "options"),
    [
        (("x",), {}),
        ((pl.col("x"),), {}),
        (([pl.col("x")],), {}),
        ((), {"columns": "x"}),
        ((), {"columns": ["x"]}),
        ((), {"columns": {"x": "x"}}),
        ((), {"sql": "SELECT k, t, x FROM {source}"}),
        ((), {"sql": "SELECT k, t, x FROM events;"}),
        ((), {"sql": "SELECT k, t AS feature_time, x FROM {source} ; "}),
        ((), {"transform": latest}),
        ((), {"transform": Shift()}),
        ((), {"transform": EAGER}),
        ((), {"transform": lambda events: events.select("k", "x", feature_time="t")}),
    ],
)
def test_all_ways_give_the_same_values(exprs: tuple[Any, ...], options: dict[str, Any]) -> None:
    if options.get("transform") is EAGER:
        assert tf.build(labels(), feature(EVENTS, **options)).frame()["f__x"].to_list() == EXPECTED
        with pytest.raises(TimefenceConfigError, match="uses collect, so it would run while it is planned"):
            tf.point_in_time(labels(), feature(EVENTS, **options))
        return
    assert values(labels(), feature(EVENTS, *exprs, **options)) == EXPECTED


def test_columns_are_renamed_by_a_mapping() -> None:
    assert values(labels(), feature(columns={"x": "latest"}), "f__latest") == EXPECTED


def test_a_column_that_does_not_exist_is_named_with_the_nearest() -> None:
    wanted = (
        r"Feature 'f' uses the column 'amont', which its source does not have. Did you mean 'amount'\?(.|\n)*'amount'"
    )
    events = EVENTS.rename({"x": "amount"})
    chosen = (pl.col("amont") + 1, pl.col(["amont"]), pl.col("k", "amont"), cs.by_name("amont") * 2)
    for given in (feature(events, columns="amont"), *(feature(events, e) for e in chosen), feature(events, "amont")):
        with pytest.raises(TimefenceSchemaError, match=wanted):
            tf.point_in_time(labels(), given)


# --- key mapping -------------------------------------------------------------------------------------------------------


def test_label_keys_of_other_names_are_mapped() -> None:
    renamed = labels(LABELS.rename({"k": "user"}), keys="user")
    assert values(renamed, feature(key_mapping={"user": "k"})) == EXPECTED


def test_swapped_keys_are_mapped() -> None:
    given = labels(pl.DataFrame({"a": [1, 2], "b": [2, 1], "at": [9, 9]}), keys=["a", "b"])
    events = pl.DataFrame({"a": [2, 1], "b": [1, 2], "t": [1, 1], "x": [1, 2]})
    assert values(given, feature(events, source_keys=["a", "b"], key_mapping={"a": "b", "b": "a"})) == [1, 2]
    assert values(given, feature(events, source_keys=["a", "b"])) == [2, 1]


def test_a_mapping_may_name_some_of_the_keys() -> None:
    given = labels(LABELS.with_columns(p=pl.lit("a")).rename({"k": "user"}), keys=["user", "p"])
    events = EVENTS.with_columns(p=pl.lit("a"))
    assert values(given, feature(events, source_keys=["p", "k"], key_mapping={"user": "k"})) == EXPECTED


def test_one_label_key_does_not_stand_for_two_source_keys() -> None:
    events = EVENTS.with_columns(p=pl.col("k"))
    with pytest.raises(TimefenceConfigError, match="'k' of feature 'f' stands for two keys of its source"):
        tf.point_in_time(labels(), feature(events, source_keys=["k", "p"], key_mapping={"k": "p"}))


def test_a_mapping_from_a_column_that_is_no_label_key_is_refused() -> None:
    with pytest.raises(TimefenceSchemaError, match=r"needs the key 'user'(.|\n)*label keys: 'k'"):
        tf.point_in_time(labels(), feature(key_mapping={"user": "k"}))


def test_a_source_keyed_more_finely_than_the_labels_is_refused() -> None:
    events = EVENTS.with_columns(p=pl.lit("a"))
    with pytest.raises(TimefenceSchemaError, match=r"needs the key 'p'(.|\n)*more finely than the labels"):
        tf.point_in_time(labels(), feature(events, source_keys=["k", "p"]))


def test_a_source_keyed_more_coarsely_joins_on_its_own_keys() -> None:
    given = labels(LABELS.with_columns(p=pl.lit("a")), keys=["p", "k"])
    assert values(given, feature()) == EXPECTED


def test_a_source_without_keys_joins_every_label() -> None:
    assert values(labels(), feature(source_keys=[])) == [30, 50, 30, 50]
    assert values(labels(keys=[]), feature(source_keys=[])) == [30, 50, 30, 50]


def test_a_keyed_source_needs_keyed_labels() -> None:
    with pytest.raises(TimefenceSchemaError, match=r"needs the key 'k'(.|\n)*label keys: none"):
        tf.point_in_time(labels(keys=[]), feature())


def test_two_sources_of_one_name_stay_apart() -> None:
    other = feature(EVENTS.with_columns(pl.col("x") * 2), name="g")
    assert values(labels(), [feature(), other], "g__x") == [20, 100, 60, None]
    assert values(labels(), [feature(), other], "f__x") == EXPECTED
