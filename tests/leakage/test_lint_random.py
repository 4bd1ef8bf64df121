"""Random expressions: what the linter finds nothing in does not look ahead.

Expressions are put together at random from parts that look back, look ahead, group, order and choose. The look-ahead
check labels them; the linter, which reads no rows, may be wary of one that happens to be clean on these rows (there is
nothing to fill backwards, say), but never pass one that is not.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import polars as pl
import pytest

import timefence_pl as tf
from tests.leakage.lookahead_events import every_kind, source
from timefence_pl.plan.expressions import output_columns

EVENTS = every_kind(rows=260).select("user", "at", "x", "y", "n", "flag", "kind", "day")
SOURCE = source(EVENTS)
X, Y, N, AT = pl.col("x"), pl.col("y"), pl.col("n").cast(pl.Float64), pl.col("at")
GROUPS = (["user"], ["user"], ["kind"], ["user", "kind"], ["at"], ["user", "at"], ["day"])


class Maker:
    """Makes expressions of numbers."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def number(self, depth: int) -> pl.Expr:
        if depth == 0:
            return self.chance.choice([X, Y, N, pl.lit(2.0)])
        part: Callable[[], pl.Expr] = lambda: self.number(depth - 1)  # noqa: E731
        pick = self.chance.random
        return self.chance.choice(
            [
                lambda: part() + part(),
                lambda: part() * part(),
                lambda: part().clip(-5, 20).round(1),
                lambda: pl.when(self.truth(depth - 1)).then(part()).otherwise(part()),
                lambda: pl.coalesce(part(), part()),
                lambda: part().shift(self.chance.choice([1, 2, -1])),
                lambda: part().diff(self.chance.choice([1, -1])),
                lambda: part().cum_sum(reverse=pick() < 0.2),
                lambda: part().cum_max(reverse=pick() < 0.2),
                lambda: part().forward_fill(),
                lambda: part().backward_fill(),
                lambda: part().rolling_mean(3, min_samples=1, center=pick() < 0.2),
                lambda: part().ewm_mean(com=1),
                lambda: part().sum().rolling("at", period="3d"),
                lambda: part().max().rolling("at", period="2d", offset=self.chance.choice(["-2d", "-1d", "-3d"])),
                lambda: self.grouped(part()),
                lambda: self.grouped(self.aggregate(part())),
                lambda: self.grouped(part().rank()),
                lambda: self.grouped(part().reverse()),
                lambda: self.grouped(part().sort_by(self.chance.choice(["at", "n"]))),
                lambda: part() - self.aggregate(part()),
                lambda: part().first().over("user"),
                lambda: part().head(1).first().over("user"),
                lambda: part().drop_nulls().first().over("user"),
                lambda: part().filter(self.truth(depth - 1)).sum().over("user"),
                lambda: pl.int_range(pl.len()).over("user") + part(),
                lambda: (AT - AT.min().over("user")).dt.total_hours() + part(),
                lambda: part().is_first_distinct().cast(pl.Float64),
                lambda: part().is_unique().cast(pl.Float64),
                lambda: part().rle_id().cast(pl.Float64),
                lambda: part().interpolate(),
                lambda: part().pct_change(),
                lambda: part().mean().over("at"),
            ]
        )()

    def truth(self, depth: int) -> pl.Expr:
        if depth <= 0:
            return self.chance.choice([pl.col("flag"), N > 10, X.is_null()])
        return self.chance.choice(
            [
                lambda: self.number(depth - 1) > self.number(depth - 1),
                lambda: ~self.truth(depth - 1),
                lambda: self.number(depth - 1).is_null(),
                lambda: self.truth(depth - 1).shift(1),
            ]
        )()

    def aggregate(self, expr: pl.Expr) -> pl.Expr:
        return self.chance.choice(
            [expr.sum, expr.mean, expr.max, expr.min, expr.last, expr.first, expr.count, expr.n_unique]
        )()

    def grouped(self, expr: pl.Expr) -> pl.Expr:
        order = self.chance.choice([None, None, None, "at", "n"])
        backwards = order is not None and self.chance.random() < 0.2
        return expr.over(self.chance.choice(GROUPS), order_by=order, descending=backwards)


def expressions(seed: int, count: int) -> list[pl.Expr]:
    maker, made = Maker(seed), []
    while len(made) < count:
        expr = maker.number(maker.chance.choice([1, 2, 2, 3])).alias("value")
        try:
            output_columns("f", [expr], EVENTS.schema)
        except tf.TimefenceSchemaError:
            continue  # not one value a row
        made.append(expr)
    return made


def missed(seed: int, count: int) -> tuple[list[str], int]:
    """The leaking expressions in which nothing is found, and how many leak."""
    made = expressions(seed, count)
    report = tf.check_lookahead([tf.Feature(SOURCE, e, name=f"f{i}") for i, e in enumerate(made)], cutoffs=9)
    leaking = [made[int(name[1:])] for name in report.leaky_features]
    return [str(e) for e in leaking if not tf.lint(tf.Feature(SOURCE, e, name="f"))], len(leaking)


def test_none_is_missed() -> None:
    found, leaking = missed(seed=8, count=60)
    assert found == []
    assert leaking > 8


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 140))
def test_none_is_missed_of_many(seed: int) -> None:
    assert missed(seed, count=200)[0] == []
