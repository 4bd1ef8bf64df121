"""Random pairs of builds: where their keys are equal, so are their results. The other way is counted and reported.

Definitions and data are drawn from few values and many spellings, so that equal keys do occur: one pair in ten or more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import timefence_pl as tf
from tests.store.test_nothing_stale import EVENTS, LABELS

X, U = pl.col("x"), pl.col("u")

#: Some of them are the same in other words.
EXPRESSIONS: dict[str, Any] = {
    "x": X,
    "x again": pl.col("x"),
    "x and nothing": X + 0,
    "x + 1": X + 1,
    "1 + x": 1 + X,
    "x + 1.0": X + 1.0,
    "x less -1": X - -1,
    "u": U.alias("x"),
    "sum": X.cum_sum().over("k"),
    "function": X.map_elements(lambda v: 10 * int(str(int(v))) + 1, pl.Int64),
    "other function": X.map_elements(lambda v: 10 * int(str(int(v))) + 2, pl.Int64),
    "same function": X.map_elements(lambda w: 10 * int(str(int(w))) + 1, pl.Int64),
}
WINDOWS: dict[str, Any] = {
    "sum": {"x": X.sum()},
    "sum again": {"x": pl.col("x").sum()},
    "max": {"x": X.max()},
    "sum of u": {"x": U.sum()},
}
FRAMES: dict[str, pl.DataFrame] = {
    "rows": EVENTS,
    "other rows": EVENTS.with_columns(X + 1),
    "other type": EVENTS.with_columns(X.cast(pl.Float64)),
    "other order": EVENTS.reverse(),
    "one column more": EVENTS.with_columns(more=pl.lit(1)),
}


@dataclass(frozen=True)
class Recipe:
    """One build, in names of what it is made of."""

    frame: str
    form: str
    kind: str
    expression: str
    window: str
    embargo: int
    lookback: int | None
    join: str
    on_missing: str
    duplicate: str
    labels: int
    second: bool


RECIPES = st.builds(
    Recipe,
    frame=st.sampled_from(list(FRAMES)),
    form=st.sampled_from(["frame", "lazy", "file", "file compressed", "two files"]),
    kind=st.sampled_from(["feature", "feature", "window"]),
    expression=st.sampled_from(list(EXPRESSIONS)),
    window=st.sampled_from(list(WINDOWS)),
    embargo=st.sampled_from([0, 0, 2]),
    lookback=st.sampled_from([None, None, 3, 1000]),
    join=st.sampled_from(["strict", "strict", "inclusive"]),
    on_missing=st.sampled_from(["null", "null", "skip"]),
    duplicate=st.sampled_from(["error", "keep_last"]),
    labels=st.sampled_from([0, 0, 0, 1]),
    second=st.booleans(),
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Recipe, Recipe]:
    """Two recipes that differ in few places, often in spelling alone."""
    one = draw(RECIPES)
    other = draw(RECIPES)
    names = draw(st.sets(st.sampled_from(list(vars(one))), max_size=2))
    return one, Recipe(**{n: getattr(other if n in names else one, n) for n in vars(one)})


def _source(recipe: Recipe, folder: Path) -> tf.Source:
    frame = FRAMES[recipe.frame]
    given: Any = frame
    if recipe.form == "lazy":
        given = frame.lazy()
    elif recipe.form == "two files":
        path = folder / f"{recipe.frame} in two"
        path.mkdir(exist_ok=True)
        frame.head(3).write_parquet(path / "a.parquet")
        frame.tail(-3).write_parquet(path / "b.parquet")
        given = path
    elif recipe.form != "frame":
        given = folder / f"{recipe.frame} {recipe.form}.parquet"
        frame.write_parquet(given, compression="zstd" if "compressed" in recipe.form else "uncompressed")
    return tf.Source(given, keys="k", timestamp="t", name="events")


def _built(recipe: Recipe, folder: Path) -> tuple[str, Any]:
    """The key, and the result or the error's type, of a build that finds nothing in a store."""
    source = _source(recipe, folder)
    feature: Any = tf.Window(source, WINDOWS[recipe.window], windows=[3], name="f", embargo=recipe.embargo)
    if recipe.kind == "feature":
        made = EXPRESSIONS[recipe.expression].alias("x")
        feature = tf.Feature(source, made, name="f", embargo=recipe.embargo, on_duplicate=recipe.duplicate)
    more = [tf.Feature(source, columns="z", name="g")] if recipe.second else []
    labels = tf.Labels(LABELS.with_columns(pl.col("at") + recipe.labels), keys="k", label_time="at", target="y")
    options: dict[str, Any] = {
        "max_lookback": recipe.lookback,
        "join": recipe.join,
        "on_missing": recipe.on_missing,
    }
    result = tf.build(labels, [feature, *more], store=tf.Store(folder / "store"), **options)
    return result.manifest["build_cache_key"], result.frame()


@pytest.mark.filterwarnings("ignore::polars.exceptions.PolarsInefficientMapWarning")
def test_equal_keys_mean_equal_results(tmp_path_factory: pytest.TempPathFactory) -> None:
    seen: Counter[str] = Counter()
    made: dict[Recipe, tuple[str, Any]] = {}

    @settings(max_examples=150, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(pairs())
    def check(pair: tuple[Recipe, Recipe]) -> None:
        for recipe in pair:
            if recipe not in made:
                made[recipe] = _built(recipe, tmp_path_factory.mktemp("pair"))

    check()
    for (one, (key, result)), (other, (other_key, more)) in combinations(made.items(), 2):
        alike = result.equals(more, null_equal=True) and result.schema == more.schema
        assert isinstance(key, str)
        assert alike or key != other_key, (one, other)
        seen[f"{'equal' if key == other_key else 'other'} keys, {'equal' if alike else 'other'} results"] += 1
    assert seen["equal keys, equal results"] >= 10
    assert seen["other keys, other results"] >= 1_000
    # Keys may differ where results happen not to; which is work done twice, never a wrong result.
    print(f"{len(made)} builds, pairs: {dict(seen)}")
