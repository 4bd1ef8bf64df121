"""The verdicts on one feature's rows, from what was found out about each.

Takes flags, gives words. The rule is that of ``semantics``: the first verdict that holds.
"""

from __future__ import annotations

from typing import Final

import polars as pl

__all__ = ["FOUND_IN_FUTURE", "FOUND_IN_PAST", "LEAKING", "NOTHING_DUE", "NOTHING_FOUND", "VERDICTS", "verdicts"]

#: All verdicts, in the order of the rule.
VERDICTS: Final = ("ok", "absent", "future", "stale", "unexpected", "differs")
#: Those that mean leakage.
LEAKING: Final = ("future", "unexpected")

#: For each row that is not ``ok``: whether every wrong column is null; whether a wrong column has null due; whether a
#: row of the entity known too late has the values found; whether one known in time has.
NOTHING_FOUND: Final = "__tf_nothing_found"
NOTHING_DUE: Final = "__tf_nothing_due"
FOUND_IN_FUTURE: Final = "__tf_in_future"
FOUND_IN_PAST: Final = "__tf_in_past"


def verdicts(failing: pl.DataFrame) -> pl.Series:
    """The verdict on each row that is not ``ok``.

    ``absent`` where nothing was found; ``future`` where only rows known too late have the value, ``stale`` where only
    rows known in time have it; where both have, as with few distinct values, whichever of these two the feature shows
    more, ``future`` on a tie; else ``unexpected`` where nothing was due, and ``differs`` where something was.

    Args:
        failing: ``NOTHING_FOUND``, ``NOTHING_DUE``, ``FOUND_IN_FUTURE`` and ``FOUND_IN_PAST``, without nulls.
    """
    future, past = pl.col(FOUND_IN_FUTURE), pl.col(FOUND_IN_PAST)
    present = ~pl.col(NOTHING_FOUND)
    counts = failing.select_seq(
        (present & future & ~past).sum().alias("future"), (present & past & ~future).sum().alias("stale")
    ).row(0, named=True)
    code = {word: pl.lit(i, dtype=pl.UInt8) for i, word in enumerate(VERDICTS)}
    word = (
        pl.when(~present)
        .then(code["absent"])
        .when(future & past)
        .then(code["stale" if counts["stale"] > counts["future"] else "future"])
        .when(future)
        .then(code["future"])
        .when(past)
        .then(code["stale"])
        .when(pl.col(NOTHING_DUE))
        .then(code["unexpected"])
        .otherwise(code["differs"])
    )
    return failing.select(word.cat.to(pl.Enum(VERDICTS)).alias("verdict")).to_series()
