"""Values compared in memory: as the expression that compares them says, whatever their types."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import polars as pl
import pytest

from timefence_pl.leakage.equality import Tolerance, differ, equal

#: By type, values of which some are the same, and some nearly.
VALUES: dict[Any, list[Any]] = {
    pl.Float64(): [0.0, -0.0, 1.0, 1.0 + 1e-10, 1.001, float("nan"), float("inf"), float("-inf"), 1e300, None],
    pl.Float32(): [0.0, 1.0, 1.5, float("nan"), float("inf"), None],
    pl.Int64(): [0, 1, 2, 2**62, None],
    pl.UInt8(): [0, 1, 255, None],
    pl.Int128(): [0, 1, 2**100, None],
    pl.Boolean(): [True, False, None],
    pl.String(): ["a", "b", "", None],
    pl.Enum(["a", "b"]): ["a", "b", None],
    pl.Categorical(): ["a", "c", None],
    pl.Decimal(20, 2): [Decimal("1.00"), Decimal("1.01"), None],
    pl.Date(): [date(2024, 1, 1), date(2024, 1, 2), None],
    pl.Datetime("us"): [datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 0, 1), None],
    pl.Datetime("ns", "UTC"): [datetime(2024, 1, 1), None],
    pl.Duration("ms"): [timedelta(days=1), timedelta(0), None],
    pl.List(pl.Float64()): [[1.0], [1.0 + 1e-10], [], [None], None],
    pl.Struct({"x": pl.Float64(), "y": pl.Int64()}): [{"x": 1.0, "y": 1}, {"x": 1.0 + 1e-10, "y": 1}, None],
    pl.Null(): [None],
}
PAIRS = [*((t, t) for t in VALUES), *product([pl.Float64(), pl.Int64(), pl.Date(), pl.String(), pl.Null()], VALUES)]


@pytest.mark.parametrize("types", PAIRS, ids=str)
@pytest.mark.parametrize("rtol", [0.0, 1e-9])
def test_columns_differ_where_the_expression_says_that_they_are_not_equal(types: tuple[Any, Any], rtol: float) -> None:
    tolerance, c = Tolerance(0.0, rtol), random.Random(1)
    for size in (0, 1, 200):
        found, due = (
            pl.Series(n, [c.choice(VALUES[t]) for _ in range(size)], dtype=t) for n, t in zip("fd", types, strict=True)
        )
        right = pl.DataFrame([found, due]).select(~equal(pl.col("f"), pl.col("d"), types, tolerance)).to_series()
        wrong = differ(found, due, tolerance)
        assert wrong.dtype == pl.Boolean
        assert wrong.null_count() == 0
        assert wrong.to_list() == right.to_list()
