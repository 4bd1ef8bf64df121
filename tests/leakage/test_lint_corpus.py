"""The linter against the look-ahead check: every method of expressions, idioms, transforms and queries.

What looks ahead is what the check says; the linter must say the same, of all of it, without having seen a row.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import polars as pl
import pytest

import timefence_pl as tf
from tests.leakage import corpus, methods
from tests.leakage.lookahead_events import every_kind, source

EVENTS = source()
#: What idioms and transforms use of them: plans are quicker over fewer columns.
FEW = source(every_kind().select("user", "at", "x", "y", "n", "flag", "kind", "day", "lists"))
#: DuckDB knows no type for some of the columns.
PLAIN = source(every_kind().select("user", "at", "x", "y", "n", "kind"))
NAMESPACES = ("arr", "bin", "cat", "dt", "ext", "list", "map", "name", "str", "struct")


def features(given: Mapping[str, pl.Expr], of: tf.Source = EVENTS) -> list[tf.Feature]:
    return [tf.Feature(of, expr, name=f"f{i}") for i, expr in enumerate(given.values())]


def by_name(report: tf.LookaheadReport, names: Mapping[str, object]) -> dict[str, str]:
    return dict(zip(names, (f.status for f in report.features.values()), strict=True))


def linted(feature: tf.Feature) -> str:
    """``"clean"``, ``"unread"`` or ``"leaky"``."""
    found = tf.lint(feature)
    if any(not f.unread for f in found):
        return "leaky"
    return "unread" if found else "clean"


def public(of: object) -> set[str]:
    return {n for n in dir(of) if not n.startswith("_")}


def test_every_public_method_of_expressions_is_classified() -> None:
    known = [*methods.ROW, *methods.PAST, *methods.FUTURE, *methods.UNREAD, *methods.CHANCE, *methods.NOT_METHODS]
    assert len(known) == len(set(known))
    there = public(pl.Expr) | {f"{n}.{m}" for n in NAMESPACES for m in public(getattr(pl.col("x"), n))}
    assert there - set(known) == set(), "new methods: say in tests/leakage/methods.py whether they look ahead"
    assert set(known) - there == set(), "methods that Polars no longer has"


def test_namespaces_are_all_looked_into() -> None:
    assert set(pl.Expr._accessors) - {"meta"} <= set(NAMESPACES)


@pytest.fixture(scope="module")
def labels() -> dict[str, str]:
    """The check's own verdict on every method."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        past = {**methods.PAST, **methods.FUTURE}
        found = by_name(tf.check_lookahead(features(past)), past)
        for name, expr in {**methods.UNREAD, **methods.CHANCE}.items():
            found[name] = tf.check_lookahead(tf.Feature(EVENTS, expr, name="f"))["f"].status
    return found


@pytest.fixture(scope="module")
def halves() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every method of one row, of all rows and of the first half."""
    exprs = [pl.struct(expr).alias(name) for name, expr in methods.ROW.items()]
    frame = every_kind().lazy()
    return frame.select(exprs).head(120).collect(), frame.head(120).select(exprs).collect()


@pytest.mark.parametrize("name", methods.ROW)
def test_methods_of_one_row_are_clean(name: str, halves: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    whole, half = halves
    assert whole[name].equals(half[name], null_equal=True)
    assert linted(tf.Feature(EVENTS, methods.ROW[name], name="f")) == "clean"


@pytest.mark.parametrize("name", methods.PAST)
def test_methods_of_the_past_are_clean(name: str, labels: dict[str, str]) -> None:
    assert labels[name] == "clean"
    assert linted(tf.Feature(EVENTS, methods.PAST[name], name="f")) == "clean"


@pytest.mark.parametrize("name", methods.FUTURE)
def test_methods_of_the_future_are_found(name: str, labels: dict[str, str]) -> None:
    assert labels[name] == "leaky"
    assert linted(tf.Feature(EVENTS, methods.FUTURE[name], name="f")) == "leaky"


def test_what_cannot_be_read_and_chance_are_told(labels: dict[str, str]) -> None:
    for name, expr in methods.UNREAD.items():
        assert (labels[name], linted(tf.Feature(EVENTS, expr, name="f"))) == ("leaky", "unread"), name
    for name, expr in methods.CHANCE.items():
        assert (labels[name], linted(tf.Feature(EVENTS, expr, name="f"))) == ("nondeterministic", "leaky"), name


@pytest.fixture(scope="module")
def idioms() -> dict[str, str]:
    """The check's own verdict on every idiom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        whole = {**corpus.CLEAN, **corpus.LEAKING}
        return by_name(tf.check_lookahead(features(whole, FEW)), whole)


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    assert len(corpus.CLEAN) >= 60
    assert len(corpus.LEAKING) >= 60
    assert not set(corpus.CLEAN) & set(corpus.LEAKING)


@pytest.mark.parametrize("name", corpus.CLEAN)
def test_no_false_alarm(name: str, idioms: dict[str, str]) -> None:
    assert idioms[name] == "clean"
    assert tf.lint(tf.Feature(FEW, corpus.CLEAN[name], name="f")) == []


@pytest.mark.parametrize("name", corpus.LEAKING)
def test_none_is_missed(name: str, idioms: dict[str, str]) -> None:
    assert idioms[name] == "leaky"
    assert linted(tf.Feature(FEW, corpus.LEAKING[name], name="f")) == "leaky"


@pytest.mark.parametrize("name", corpus.CLEAN_TRANSFORMS)
def test_no_false_alarm_in_transforms(name: str) -> None:
    feature = tf.Feature(FEW, transform=corpus.CLEAN_TRANSFORMS[name], name="f")
    assert tf.check_lookahead(feature)["f"].status == "clean"
    assert tf.lint(feature) == []


@pytest.mark.parametrize("name", corpus.LEAKING_TRANSFORMS)
def test_none_is_missed_in_transforms(name: str) -> None:
    feature = tf.Feature(FEW, transform=corpus.LEAKING_TRANSFORMS[name], name="f")
    assert tf.check_lookahead(feature)["f"].status == "leaky"
    assert linted(feature) == "leaky"


def queries(given: Mapping[str, str], more: Mapping[str, str]) -> list[object]:
    own = [pytest.param(text, "polars", id=f"polars: {name}") for name, text in given.items()]
    return [*own, *(pytest.param(text, "duckdb", id=f"duckdb: {name}") for name, text in {**given, **more}.items())]


@pytest.mark.parametrize(("text", "dialect"), queries(corpus.CLEAN_SQL, corpus.CLEAN_DUCKDB))
def test_no_false_alarm_in_sql(text: str, dialect: str) -> None:
    feature = tf.Feature(PLAIN, sql=text, dialect=dialect, name="f")  # type: ignore[arg-type]
    assert tf.check_lookahead(feature, cutoffs=3)["f"].status == "clean"
    assert tf.lint(feature) == []


@pytest.mark.parametrize(("text", "dialect"), queries(corpus.LEAKING_SQL, corpus.LEAKING_DUCKDB))
def test_none_is_missed_in_sql(text: str, dialect: str) -> None:
    feature = tf.Feature(PLAIN, sql=text, dialect=dialect, name="f")  # type: ignore[arg-type]
    assert tf.check_lookahead(feature, cutoffs=3)["f"].status == "leaky"
    assert linted(feature) == "leaky"
