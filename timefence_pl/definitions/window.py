"""Windows: aggregates of the events before each label, as of the label.

Takes what the user declares, gives a frozen, checked value. Knows how a window is written, not how it is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import polars as pl

from timefence_pl.definitions.aggregates import check_aggregate
from timefence_pl.definitions.frozen import Frozen, FrozenDict
from timefence_pl.definitions.names import checked_name, key_mapping_of
from timefence_pl.definitions.source import Source
from timefence_pl.durations import Duration, DurationLike, parse_duration
from timefence_pl.errors import TimefenceConfigError, TimefenceError, message

__all__ = ["Window", "Windows"]

#: One window's length, or several; None is all history.
Windows = DurationLike | None | Sequence[DurationLike | None]

_ALL: Final = "all"


class Window(Frozen):
    """Aggregates of an entity's events in the time before each label, as of the label.

    A window of length ``W`` holds the events of the label's entity in ``[T - e - W, T - e)`` (``join="strict"``) or
    ``(T - e - W, T - e]`` (``"inclusive"``), where ``T`` is the label time and ``e`` the embargo; ``None`` is all
    history. Lookback and staleness do not apply. Every event row counts, duplicates too. On a source with
    ``available_at`` an event counts from the time it was known, while the window's lower bound stays on its timestamp.

    Aggregates are Polars expressions that give one value, over the window's events in time order (ties as in the
    match rule): ``pl.col("amount").sum()``, ``pl.len()``, ``pl.col("amount").filter(pl.col("kind") == "x").mean()``,
    ``pl.col("a").sum() / pl.col("b").sum()``, ``pl.col("shop").n_unique()``, ``pl.col("x").tail(3).implode()``,
    :func:`since_last`. A window without events, a label of an unknown entity, and a label without key or time get
    what the expression gives for no rows. ``len``, ``count``, ``null_count``, ``sum``, ``mean``, ``var``, ``std``,
    ``any``, ``all``, ``first`` and ``last`` of row-wise expressions (with ``.filter(...)``), and arithmetic of them,
    cost the same however long the windows are; anything else costs as many rows as the windows hold.

    The result is that of the expression on the window's events: integers exactly (and overflowing as Polars' do),
    floats to 1e-9 of the magnitude in the window, whatever stands outside it.

    Args:
        source: The events.
        aggregates: ``{name: expression}``.
        windows: Lengths: strings of fixed units (``"30d"``), ``timedelta``, integers where times are integers, or
            None for all history.
        name: The prefix of the output columns, which are named ``{aggregate}_{window}`` (``spend_30d``,
            ``spend_all``).
        embargo: How long after its event time an event is usable; none by default.
        where: Which events count: a row-wise boolean expression.
        key_mapping: ``{label_key: source_key}`` where the names differ.

    Raises:
        TimefenceConfigError: For invalid arguments, and aggregates that are not one defined value.
        TimefenceSchemaError: If an aggregate does not fit the source's columns, where these can be read now.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> txns = tf.Source(
        ...     pl.DataFrame({"user": [1, 1, 1], "at": [1, 4, 5], "amount": [5.0, 10.0, 20.0]}),
        ...     keys="user",
        ...     timestamp="at",
        ... )
        >>> labels = tf.Labels(pl.DataFrame({"user": [1, 2], "T": [5, 5]}), keys="user", label_time="T")
        >>> spend = tf.Window(
        ...     txns, {"spend": pl.col("amount").sum(), "n": pl.len()}, windows=[2, None], name="activity"
        ... )
        >>> tf.point_in_time(labels, spend).drop("user", "T").collect().rows(named=True)[0]
        {'activity__spend_2': 10.0, 'activity__n_2': 1, 'activity__spend_all': 15.0, 'activity__n_all': 2}
    """

    #: The feature's name: the prefix of its output columns.
    name: str
    #: The events.
    source: Source
    #: ``"window"``.
    mode: str
    #: The aggregates by name.
    aggregates: dict[str, pl.Expr]
    #: The windows' lengths by the suffix of their columns; None is all history.
    windows: dict[str, Duration | None]
    #: How long after its event time an event is usable; None is no embargo.
    embargo: Duration | None
    #: Which events count.
    where: pl.Expr | None
    key_mapping: dict[str, str]
    #: Whether the aggregates were checked against the source's columns.
    checked: bool
    #: Every event counts, duplicates too.
    on_duplicate = "count_all"
    transform = None

    def __init__(
        self,
        source: Source,
        aggregates: Mapping[str, pl.Expr],
        *,
        windows: Windows,
        name: str,
        embargo: DurationLike | None = None,
        where: pl.Expr | None = None,
        key_mapping: Mapping[str, str] | None = None,
    ) -> None:
        known = checked_name("window", name)
        role = f"window {known!r}"
        if not isinstance(source, Source):
            raise TimefenceConfigError(
                message(
                    f"The source of {role} is a {type(source).__name__}.",
                    fix="Declare it: tf.Source(data, keys=..., timestamp=...).",
                )
            )
        if where is not None and not isinstance(where, pl.Expr):
            raise TimefenceConfigError(
                message(
                    f"where of {role} is a {type(where).__name__}, not an expression.",
                    fix='Give a boolean expression, as in pl.col("kind") == "refund".',
                )
            )
        named = _aggregates(role, aggregates)
        lengths = _windows(role, windows)
        self._set(
            name=known,
            source=source,
            mode="window",
            aggregates=FrozenDict(named),
            windows=FrozenDict(lengths),
            embargo=parse_duration(embargo, name=f"embargo of {role}"),
            where=where,
            key_mapping=FrozenDict(key_mapping_of(role, key_mapping, source.keys)),
        )
        try:
            schema = source.schema
        except TimefenceError:
            self._set(checked=False)  # the plan, which needs the source, will tell
            return
        for aggregate, expr in named.items():
            check_aggregate(role, aggregate, expr, schema, source.timestamp)
        self._set(checked=True)

    def only(self, aggregates: Collection[str], windows: Collection[str]) -> Window:
        """The same with some of its aggregates and windows, in their order."""
        part = Window.__new__(Window)
        some = FrozenDict({n: e for n, e in self.aggregates.items() if n in aggregates})
        lengths = FrozenDict({w: d for w, d in self.windows.items() if w in windows})
        part.__dict__.update({**self.__dict__, "aggregates": some, "windows": lengths})
        return part

    @property
    def outputs(self) -> list[str]:
        """Names of the output columns, window by window, without the feature's name."""
        return [f"{aggregate}_{window}" for window in self.windows for aggregate in self.aggregates]

    def __repr__(self) -> str:
        return (
            f"Window(name={self.name!r}, source={self.source.name!r}, aggregates={list(self.aggregates)}, "
            f"windows={list(self.windows)})"
        )


def _aggregates(role: str, given: Any) -> dict[str, pl.Expr]:
    if not isinstance(given, Mapping) or not given:
        raise TimefenceConfigError(
            message(
                f"aggregates of {role} are {'empty' if isinstance(given, Mapping) else 'no mapping'}.",
                fix='Give {name: expression}, as in {"spend": pl.col("amount").sum(), "n": pl.len()}.',
            )
        )
    for name, expr in given.items():
        checked_name("aggregate", name)
        if not isinstance(expr, pl.Expr):
            raise TimefenceConfigError(
                message(
                    f"Aggregate {name!r} of {role} is a {type(expr).__name__}, not an expression.",
                    fix='Give a Polars expression that aggregates, as in pl.col("amount").sum() or pl.len().',
                )
            )
    return dict(given)


def _windows(role: str, given: Any) -> dict[str, Duration | None]:
    several = [given] if given is None or isinstance(given, str | int | timedelta) else given
    if not isinstance(several, Sequence) or not several:
        raise TimefenceConfigError(
            message(
                f"windows={given!r} of {role} are no lengths.",
                fix='Give a list, as in ["1d", "7d", None]; None is all history.',
            )
        )
    lengths: dict[str, Duration | None] = {}
    for value in several:
        length = parse_duration(value, name=f"windows of {role}")
        label = _ALL if length is None else value.strip() if isinstance(value, str) else str(length)
        if length is not None and not length.amount:
            raise TimefenceConfigError(
                message(
                    f"windows of {role} hold {value!r}, which is always empty.",
                    fix="Give lengths above zero; None is all history.",
                )
            )
        if label in lengths:
            raise TimefenceConfigError(
                message(f"windows of {role} hold {label!r} twice.", fix="Give each length once.")
            )
        lengths[label] = length
    return lengths
