"""Where values come from, and when values are equal: the audit's own search and comparison against loops."""

from __future__ import annotations

import math
import random
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from timefence_pl.leakage import origins as module
from timefence_pl.leakage import value_groups
from timefence_pl.leakage.equality import Tolerance, comparable, equal
from timefence_pl.leakage.origins import FUTURE_ROW, KNOWN_INSTANT, LIMIT, PAST_ROW, Sought, origins
from timefence_pl.leakage.value_keys import ID, KEY, row_keys, sought_keys

#: Of a tolerance: what a value found is away from the value due.
PARTS = (0.0, 0.5, 0.999999, 1.0, 1.000001)
NAN, INF = float("nan"), float("inf")
FLOATS = [0.0, -0.0, 1.0, 1.05, 1.1, 2.0, NAN, INF, None, -1.0]


def near(found: Any, due: Any, tolerance: Tolerance) -> bool:
    if found is None or due is None:
        return found is None and due is None
    if not isinstance(due, float):
        return bool(found == due)
    if math.isnan(found) or math.isnan(due):
        return math.isnan(found) and math.isnan(due)
    if math.isinf(found) or math.isinf(due):
        return bool(found == due)
    return bool(abs(found - due) <= tolerance.atol + tolerance.rtol * abs(due))


def by_loops(wrong: pl.DataFrame, rows: pl.DataFrame, columns: list[Sought], tolerance: Tolerance) -> list[Any]:
    """For each wrong row the instants of the nearest row known too late, and in time."""
    found = []
    for w in wrong.iter_rows(named=True):
        same = [
            r[KNOWN_INSTANT]
            for r in rows.iter_rows(named=True)
            if r["e"] == w["e"] and all(near(w[c.found], r[c.own], tolerance) for c in columns)
        ]
        late, early = [k for k in same if k > w[LIMIT]], [k for k in same if k <= w[LIMIT]]
        found.append((min(late, default=None), max(early, default=None)))
    return found


@pytest.mark.parametrize("seed", range(160))
def test_the_nearest_rows_are_those_of_the_loops(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    c = random.Random(seed)
    n, m = c.randint(0, 30), c.randint(1, 15)

    def some(values: list[Any], size: int, dtype: Any) -> pl.Series:
        return pl.Series([c.choice(values) for _ in range(size)], dtype=dtype)

    first = c.choice([0, 0, -(1 << 63), (1 << 63) - 21])
    instants, whole = list(range(first, first + 21)), [0, 1, 2]
    rows = pl.DataFrame(
        {
            "e": some(whole, n, pl.Int64),
            KNOWN_INSTANT: some(instants, n, c.choice([pl.Int64, pl.Int128])),
            "x": some(FLOATS, n, pl.Float64),
            "y": some(FLOATS, n, pl.Float32),
            "s": some(["a", "b"], n, pl.String),
            "i": some(whole, n, pl.Int32),
        }
    )
    wrong = pl.DataFrame(
        {
            "e": some(whole, m, pl.Int64),
            LIMIT: some(instants, m, pl.Int128),
            "fx": some(FLOATS, m, pl.Float64),
            "fy": some(FLOATS, m, pl.Float64),
            "fs": some(["a", "b"], m, pl.Categorical),
            "fi": some(whole, m, pl.Int64),
        }
    )
    every = {n: Sought(f"f{n}", n, (wrong.schema[f"f{n}"], rows.schema[n]), "") for n in "xysi"}
    columns = [every[name] for name in c.sample("xysi", c.randint(1, 3))]
    tolerance = c.choice([Tolerance(0, 0), Tolerance(1e-10, 1e-7), Tolerance(0.06, 0), Tolerance(0, 0.5)])
    monkeypatch.setattr(value_groups, "CHUNK", c.choice([1, 5, 10**6]))
    monkeypatch.setattr(module, "CHUNK", c.choice([1, 5, 10**6]))
    monkeypatch.setattr(module, "MANY", c.choice([0, 1, 3, 10**6]))
    found = origins(wrong, rows, ["e"], columns, tolerance)
    known = rows[KNOWN_INSTANT].to_list()
    at = [tuple(None if i is None else known[i] for i in pair) for pair in found.select(FUTURE_ROW, PAST_ROW).rows()]
    assert at == by_loops(wrong, rows, columns, tolerance)


@pytest.mark.parametrize("atol", [0.0, 5e-324, 1e-10, 0.3, 1e3, 1e305])
@pytest.mark.parametrize("rtol", [0.0, 1e-20, 1e-14, 1e-7, 1e-3, 0.19, 0.3, 5.0])
def test_values_within_the_tolerance_share_a_key(atol: float, rtol: float) -> None:
    c = random.Random(f"{atol} {rtol}")
    tolerance = Tolerance(atol, rtol)
    due = [*FLOATS, -INF, 5e-324, 1.7e308, *(c.choice((1, -1)) * 10 ** c.uniform(-320, 308) for _ in range(500))]
    edges = [(d, 0.0 if d is None else tolerance.atol + tolerance.rtol * abs(d)) for d in due]
    pairs = [
        (d, None if d is None else d + sign * far * part) for d, far in edges for sign in (1, -1) for part in PARTS
    ]
    frame = pl.DataFrame(pairs, schema={"due": pl.Float64, "found": pl.Float64}, orient="row")
    types = (pl.Float64(), pl.Float64())
    same = frame.select(equal(pl.col("found"), pl.col("due"), types, tolerance)).to_series()
    column = [Sought("found", "due", types, "")]
    lines, far = sought_keys(frame, [], column, tolerance)
    own = row_keys(frame, [], column, tolerance)
    shared = lines.filter(lines[KEY] == own.gather(lines[ID]))[ID]
    missed = set(pl.int_range(frame.height, eager=True).filter(same)) - set(shared) - set(far)
    assert not missed, frame[sorted(missed)]
    assert same.sum() > frame.height / 4
    if 0 < rtol <= 1e-7:
        assert len(far) < frame.height / 10


def test_of_rows_of_one_instant_the_value_then_the_order_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pl.DataFrame(
        {
            "e": [1] * 6,
            KNOWN_INSTANT: pl.Series([5, 5, 5, 5, 9, 9], dtype=pl.Int128),
            "o": [2, 1, 3, 1, 2, 1],
            "x": [1.0 + 1e-8, 1.0 + 1e-8, 1.0, 1.0, 7.0, 7.0],
        }
    )
    wrong = pl.DataFrame({"e": [1, 1, 1], LIMIT: pl.Series([4, 5, 8], dtype=pl.Int128), "f": [1.0, 1.0, 7.0]})
    column = [Sought("f", "x", (pl.Float64(), pl.Float64()), "")]
    for many in (0, 100):
        monkeypatch.setattr(module, "MANY", many)
        found = origins(wrong, rows, ["e"], column, Tolerance(1e-10, 1e-7), ["o"])
        assert found[FUTURE_ROW].to_list() == [3, None, 5]
        assert found[PAST_ROW].to_list() == [None, 0, None]


@pytest.mark.parametrize(
    ("found", "due", "expected"),
    [
        (pl.Series([NAN, 5.0, None, INF, 1.0]), pl.Series([NAN, NAN, None, INF, 1.0 + 1e-9]), [1, 0, 1, 1, 1]),
        (pl.Series([10**10]), pl.Series([10**10 + 899]), [0]),
        (pl.Series([2**63], dtype=pl.UInt64), pl.Series([2**63], dtype=pl.Int128), [1]),
        (pl.Series([3.0, 3.5, NAN, None]), pl.Series([3, 3, 3, 3]), [1, 0, 0, 0]),
        (pl.Series(["01", "1"]), pl.Series(["1", "1"]), [0, 1]),
        (pl.Series(["a", "b"], dtype=pl.Categorical), pl.Series(["a", "c"]), [1, 0]),
        (pl.Series([date(2024, 1, 1)]), pl.Series([datetime(2024, 1, 1)]), [1]),
        (pl.Series([datetime(2024, 1, 1)]).cast(pl.Datetime("ms")), pl.Series([datetime(2024, 1, 1, 0, 0, 1)]), [0]),
        (pl.Series(["1.50", "2"]).cast(pl.Decimal(10, 2)), pl.Series(["1.5", "2.001"]).cast(pl.Decimal(10, 3)), [1, 0]),
        (pl.Series([[1.0, NAN], None, []]), pl.Series([[1.0 + 1e-12, NAN], None, [1.0]]), [1, 1, 0]),
        (pl.Series([{"a": 1, "b": "x"}, None]), pl.Series([{"a": 1, "b": "y"}, None]), [0, 1]),
        (pl.Series([None, None]), pl.Series([1, None]), [0, 1]),
        (pl.Series(["1"]), pl.Series([1]), [0]),
    ],
)
def test_values_are_equal_by_value(found: pl.Series, due: pl.Series, expected: list[int]) -> None:
    frame = pl.DataFrame({"found": found, "due": due})
    types = (found.dtype, due.dtype)
    same = frame.select(equal(pl.col("found"), pl.col("due"), types, Tolerance(1e-10, 1e-7))).to_series()
    assert same.cast(pl.Int64).to_list() == expected
    assert comparable(*types) == (types != (pl.String, pl.Int64))
