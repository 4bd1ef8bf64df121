"""Functions run at the same time in Polars' threads."""

from __future__ import annotations

import threading
from functools import partial

import polars as pl
import pytest

from timefence_pl.errors import TimefenceSchemaError, message
from timefence_pl.plan.side_by_side import side_by_side


def _sum(rows: int) -> int:
    """Asks for a query that Polars runs with several threads."""
    frame = pl.DataFrame({"k": pl.int_range(rows, eager=True) % 7, "v": pl.int_range(rows, eager=True)})
    return int(frame.lazy().group_by("k").agg(pl.col("v").sum()).select(pl.col("v").sum()).collect().item())


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_results_come_in_the_order_of_the_functions(count: int) -> None:
    """As many as there are, more than there are threads too."""
    sizes = [1 + 997 * (i % 5) for i in range(count)]
    assert side_by_side([partial(_sum, n) for n in sizes]) == [n * (n - 1) // 2 for n in sizes]


def test_a_single_function_is_run_where_it_is_asked_for() -> None:
    """Nothing is handed over for it."""
    assert side_by_side([threading.get_ident]) == [threading.get_ident()]


def test_functions_may_run_others_side_by_side() -> None:
    """Threads that wait for others take up what is left."""
    inner = partial(side_by_side, [partial(_sum, n) for n in (10, 20, 30)])
    assert side_by_side([inner] * 9) == [[45, 190, 435]] * 9


def test_several_threads_may_ask_at_once() -> None:
    """Each gets its own results."""
    found: dict[int, list[int]] = {}

    def ask(n: int) -> None:
        found[n] = side_by_side([partial(_sum, n + i) for i in range(6)])

    threads = [threading.Thread(target=ask, args=(1_000 * n,)) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {1_000 * n: [(m := 1_000 * n + i) * (m - 1) // 2 for i in range(6)] for n in range(1, 7)}


@pytest.mark.parametrize("kind", ["ours", "polars", "python"])
def test_the_first_error_comes_out_as_it_was_raised_after_all_have_ended(kind: str) -> None:
    """Neither wrapped nor reworded."""
    ended = []

    def fail(place: int) -> None:
        if kind == "polars":
            pl.DataFrame({"a": [1]}).select(f"b{place}")
        if kind == "ours":
            raise TimefenceSchemaError(message(f"b{place}"))
        raise KeyError(f"b{place}")

    calls = [partial(ended.append, 0), partial(fail, 1), partial(fail, 2), partial(ended.append, 3)]
    errors = {"ours": TimefenceSchemaError, "polars": pl.exceptions.ColumnNotFoundError, "python": KeyError}
    with pytest.raises(errors[kind], match="b1"):
        side_by_side(calls)
    assert sorted(ended) == [0, 3]
