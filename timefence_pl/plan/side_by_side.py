"""Python functions run at the same time, in the threads that Polars has anyway.

Threads of our own would compete with Polars' for the cores: whatever they ask of a query they hand over and wait for.
In Polars' own threads queries run where they are asked for, and find the memory that earlier ones left. Only for what
is in memory: Polars cannot read every source from within its own threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import polars as pl

__all__ = ["in_polars_thread", "side_by_side"]

T = TypeVar("T")


def side_by_side(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What functions return, in their order; all are run, as many at once as Polars has threads.

    A function may not wait for what another thread does, nor hold a lock while it asks for a query: while that runs, its
    thread may take up another function. A few at a time, so that these do not pile up in one thread.

    Args:
        calls: The functions; a single one is run where it is asked for.

    Raises:
        Exception: What the first function that failed raised, after all have ended.
    """
    return [call() for call in calls] if len(calls) < 2 else _run(calls)


def in_polars_thread(call: Callable[[], T]) -> T:
    """What a function returns that runs in one of Polars' threads, as those of :func:`side_by_side`.

    Args:
        call: The function.

    Raises:
        Exception: What it raised.
    """
    return _run([call])[0]


def _run(calls: Sequence[Callable[[], T]]) -> list[T]:
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}

    def run(nothing: pl.DataFrame, place: int) -> pl.DataFrame:
        try:
            results[place] = calls[place]()
        except BaseException as error:  # noqa: BLE001 - raised again below, as it is: Polars would make it its own
            errors[place] = error
        return nothing

    nothing = pl.LazyFrame()
    pl.collect_all([nothing.map_batches(partial(run, place=i)) for i in range(len(calls))], engine="in-memory")
    try:
        if errors:
            raise errors[min(errors)]
        return [results[place] for place in range(len(calls))]
    finally:
        errors.clear()  # else each would hold itself, and what its functions held, by its traceback
