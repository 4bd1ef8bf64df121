"""What a lazy plan computes, apart from how it happens to be stored.

Takes a LazyFrame or an expression, gives a fingerprint of its canonical form together with Polars' version. Knows
nothing of features and sources. Whatever is not known is uncacheable, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from timefence_pl.fingerprint.canonical import PlanReader
from timefence_pl.fingerprint.files import FileHasher
from timefence_pl.fingerprint.keys import Fingerprint, Uncacheable, hash_parts

__all__ = ["fingerprint_expr", "fingerprint_plan"]


def fingerprint_plan(plan: pl.LazyFrame, files: FileHasher | None = None) -> Fingerprint:
    """What a lazy frame computes.

    Args:
        plan: Any lazy frame; nothing of it runs.
        files: Hashes the files it scans, and says with which algorithm.

    Raises:
        Uncacheable: If the plan holds a Python scan, sampling or shuffling without a seed, ``unique`` with
            ``keep="any"`` over some columns, functions that are uncacheable, or anything that is not known here.
        TimefenceValidationError: If a file that it scans cannot be read.
    """
    return _fingerprint(plan.serialize, files or FileHasher(), is_plan=True)


def fingerprint_expr(expr: pl.Expr, files: FileHasher | None = None) -> Fingerprint:
    """What an expression computes.

    Args:
        expr: Any expression.
        files: As in :func:`fingerprint_plan`.

    Raises:
        Uncacheable: As :func:`fingerprint_plan`.

    Examples:
        >>> a = fingerprint_expr(pl.col("x").map_batches(lambda s: s + 1))
        >>> a == fingerprint_expr(pl.col("x").map_batches(lambda s: s + 1))
        True
    """
    return _fingerprint(expr.meta.serialize, files or FileHasher(), is_plan=False)


def _fingerprint(serialize: Callable[[], Any], files: FileHasher, *, is_plan: bool) -> Fingerprint:
    """Two serializations must mean the same: what has no fixed form cannot be told from what has changed.

    Only functions and queries can differ from one to the next; without them one is enough.
    """
    first = _serialized(serialize)
    reader = PlanReader(files)
    root = reader.read(first, is_plan=is_plan)
    if not reader.is_fixed:
        second = _serialized(serialize)
        if first != second and PlanReader(files).read(second, is_plan=is_plan) != root:
            raise Uncacheable("the plan is serialized differently each time")
    versions = (pl.__version__, str(pl.get_index_type()))
    key = hash_parts("plan" if is_plan else "expression", versions, root, algorithm=files.algorithm)
    return Fingerprint(key, {**reader.parts, "polars": pl.__version__})


def _serialized(serialize: Callable[[], Any]) -> bytes:
    try:
        return bytes(serialize())
    except Exception as error:
        text = str(error).strip().splitlines()
        raise Uncacheable(f"the plan cannot be serialized ({text[-1] if text else type(error).__name__})") from error
