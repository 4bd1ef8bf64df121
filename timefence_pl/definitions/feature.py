"""Features: named columns computed from one source.

Takes what the user declares, gives a frozen, checked value. Knows how a feature is written, not how it is computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, cast

import polars as pl

from timefence_pl.choices import one_of, shortened
from timefence_pl.definitions.frozen import Frozen, FrozenDict
from timefence_pl.definitions.names import checked_name, column_list, key_mapping_of
from timefence_pl.definitions.source import Source
from timefence_pl.durations import Duration, DurationLike, parse_duration
from timefence_pl.errors import (
    TimefenceConfigError,
    TimefenceValidationError,
    listing,
    message,
)
from timefence_pl.integrations.sql import DIALECTS

__all__ = ["INHERIT", "Feature", "Inherit", "OnDuplicate", "Transform"]

Transform = Callable[[pl.LazyFrame], pl.LazyFrame]
OnDuplicate = Literal["error", "keep_last", "keep_first", "keep_any"]
ON_DUPLICATE: Final = ("error", "keep_last", "keep_first", "keep_any")


class Inherit:
    """The type of :data:`INHERIT`: take the build's value."""

    def __repr__(self) -> str:
        return "INHERIT"

    def __reduce__(self) -> str:
        return "INHERIT"


#: A feature's ``max_lookback`` or ``max_staleness`` that follows the build's.
INHERIT: Final = Inherit()


class Feature(Frozen):
    """Named columns computed from one source; every row keeps its keys and its feature time.

    Exactly one of expressions, ``columns``, ``sql`` and ``transform`` says how.

    * Expressions see the source ordered by time (ties as in the match rule), without the rows whose key or time is
      null, so ``shift``, ``cum_sum``, ``rolling_mean_by`` and ``.over(key)`` mean what they say. Each gives one
      value per row; literals are repeated. On a source with ``available_at`` they read one row at a time.
    * ``columns`` are taken as they stand, or renamed by ``{source_column: output}``.
    * ``transform`` takes the source in the same order as a LazyFrame and gives a LazyFrame with the keys, the
      timestamp (or ``feature_time``) and values.
    * ``sql`` selects the same from the table ``{source}``.

    Rows of transforms and SQL that are equal in keys, time, availability and tie breaker are ordered by their
    values, column by column, since neither needs to keep an order.

    Args:
        source: The events.
        *exprs: Polars expressions, or column names.
        columns: A name, a list of names, or ``{source_column: output}``.
        sql: SQL text, or the path of a ``.sql`` file.
        dialect: ``"polars"``, ``"duckdb"`` or ``"auto"`` (Polars SQL where it accepts the text, else DuckDB).
        transform: A function of a LazyFrame that returns a LazyFrame.
        name: By default the output columns joined by ``_``, the ``.sql`` file's stem, or the function's name.
        embargo: How long after its feature time a value is usable; none by default.
        max_lookback: The oldest usable feature time, before the label time; the build's by default.
        max_staleness: The age past which a value is null; the build's by default.
        key_mapping: ``{label_key: source_key}`` where the names differ.
        on_duplicate: What to do where a label's match is one of several rows equal in keys, time, availability and
            tie breaker, whether or not their values are equal too: ``"error"``, ``"keep_last"`` or ``"keep_first"`` in source order, or ``"keep_any"``
            (``"keep_last"`` with a warning).

    Raises:
        TimefenceConfigError: For invalid arguments, or where no name can be derived.
        TimefenceValidationError: If ``columns`` are not distinct names, or the ``.sql`` file cannot be read.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> txns = tf.Source(pl.DataFrame({"user": [1], "at": [0], "amount": [9.5]}), keys="user", timestamp="at")
        >>> tf.Feature(txns, pl.col("amount").log1p().alias("log_amount"))
        Feature(name='log_amount', source='dataframe', mode='expressions')
    """

    #: The feature's name: the prefix of its output columns.
    name: str
    #: The events it is computed from.
    source: Source
    #: ``"expressions"``, ``"columns"``, ``"sql"`` or ``"transform"``.
    mode: str
    #: The expressions of the modes ``"expressions"`` and ``"columns"``.
    exprs: tuple[pl.Expr, ...]
    sql: str | None
    dialect: str
    transform: Transform | None
    #: How long after its feature time a value is usable; None is no embargo.
    embargo: Duration | None
    max_lookback: Duration | Inherit | None
    max_staleness: Duration | Inherit | None
    key_mapping: dict[str, str]
    on_duplicate: str

    def __init__(
        self,
        source: Source,
        *exprs: pl.Expr | str | Iterable[pl.Expr | str],
        columns: str | Sequence[str] | Mapping[str, str] | None = None,
        sql: str | Path | None = None,
        dialect: Literal["auto", "polars", "duckdb"] = "auto",
        transform: Transform | None = None,
        name: str | None = None,
        embargo: DurationLike | None = None,
        max_lookback: DurationLike | Inherit | None = INHERIT,
        max_staleness: DurationLike | Inherit | None = INHERIT,
        key_mapping: Mapping[str, str] | None = None,
        on_duplicate: OnDuplicate = "error",
    ) -> None:
        role = f"feature {shortened(name)}" if name is not None else "Feature"
        if not isinstance(source, Source):
            raise TimefenceConfigError(
                message(
                    f"The source of {role} is a {type(source).__name__}.",
                    fix="Declare it: tf.Source(data, keys=..., timestamp=...).",
                )
            )
        modes = {"expressions": exprs or None, "columns": columns, "sql": sql, "transform": transform}
        given = [m for m, v in modes.items() if v is not None]
        if len(given) != 1:
            raise TimefenceConfigError(
                message(
                    f"{role} needs exactly one of expressions, columns, sql or transform; "
                    f"got {listing(given) if given else 'none'}.",
                    fix="Say in one way how the feature is computed.",
                )
            )
        one_of(on_duplicate, ON_DUPLICATE, "on_duplicate", of=role)
        one_of(dialect, DIALECTS, "dialect", of=role)
        mode = given[0]
        text, default = None, None
        expressions: tuple[pl.Expr, ...] = ()
        if mode == "expressions":
            expressions = _expressions(role, exprs)
            default = _default_name(source, expressions) if name is None else None
        elif mode == "columns":
            expressions, outputs = _columns(role, columns)
            default = "_".join(outputs)
        elif mode == "sql":
            text, default = _sql(role, cast("str | Path", sql))
        else:
            if not callable(transform) or isinstance(transform, type):
                raise TimefenceConfigError(
                    message(f"transform of {role} is not callable.", fix="Give a function of a LazyFrame.")
                )
            _takes_one(role, transform)
            default = getattr(transform, "__name__", None)
            default = None if default == "<lambda>" else default
        if name is None and default is None:
            raise TimefenceConfigError(
                message(f"{role} needs a name: none can be derived from {_unnamed(mode)}.", fix="Give name='...'.")
            )
        known = checked_name("feature", name if name is not None else default)
        role = f"feature {known!r}"
        self._set(
            name=known,
            source=source,
            mode=mode,
            exprs=expressions,
            sql=text,
            dialect=dialect,
            transform=transform,
            embargo=parse_duration(embargo, name=f"embargo of {role}"),
            max_lookback=_bound(max_lookback, f"max_lookback of {role}"),
            max_staleness=_bound(max_staleness, f"max_staleness of {role}"),
            key_mapping=FrozenDict(key_mapping_of(role, key_mapping, source.keys)),
            on_duplicate=on_duplicate,
        )

    def __repr__(self) -> str:
        return f"Feature(name={self.name!r}, source={self.source.name!r}, mode={self.mode!r})"


def _takes_one(role: str, transform: Callable[..., object]) -> None:
    """Refuse a function that cannot be called with one frame, as one that wants a connection and a table's name."""
    try:
        inspect.signature(transform).bind(None)
    except TypeError as error:
        raise TimefenceConfigError(
            message(
                f"transform of {role}, {getattr(transform, '__name__', 'a function')}, cannot be called with one "
                f"argument: {error}.",
                fix="Take the source as a LazyFrame and return one: def daily(events: pl.LazyFrame) -> pl.LazyFrame.",
            )
        ) from error
    except ValueError:
        return  # a callable that does not tell


def _bound(value: DurationLike | Inherit | None, name: str) -> Duration | Inherit | None:
    return value if isinstance(value, Inherit) else parse_duration(value, name=name)


def _unnamed(mode: str) -> str:
    return {"sql": "inline SQL", "transform": "a function without a name"}.get(mode, "these expressions")


def _expressions(role: str, given: Iterable[Any]) -> tuple[pl.Expr, ...]:
    flat: list[pl.Expr] = []
    for item in given:
        if isinstance(item, pl.Expr):
            flat.append(item)
        elif isinstance(item, str):
            flat.append(pl.col(item))
        elif isinstance(item, Iterable) and not isinstance(item, Mapping):
            flat.extend(_expressions(role, item))
        else:
            raise TimefenceConfigError(
                message(
                    f"{role} has a {type(item).__name__} where an expression is due: {shortened(item)}.",
                    fix="Give Polars expressions or column names; functions go into transform=.",
                )
            )
    if not flat:
        raise TimefenceConfigError(message(f"{role} has no expressions.", fix="Give at least one."))
    return tuple(flat)


def _columns(role: str, columns: object) -> tuple[tuple[pl.Expr, ...], tuple[str, ...]]:
    if isinstance(columns, Mapping):
        if not columns:
            raise TimefenceValidationError(message(f"columns of {role} cannot be empty.", fix="Name a column."))
        sources = column_list(role, "columns", list(columns))
        outputs = column_list(role, "columns", list(columns.values()))
    else:
        sources = outputs = column_list(role, "columns", columns)
    return tuple(
        pl.col(f"^{_escaped(s)}$").alias(o) if s.startswith("^") or s == "*" else pl.col(s).alias(o)
        for s, o in zip(sources, outputs, strict=True)
    ), outputs


def _escaped(name: str) -> str:
    return "".join(f"\\{c}" if not (c.isalnum() or c == "_") else c for c in name)


def _default_name(source: Source, exprs: tuple[pl.Expr, ...]) -> str | None:
    names = [e.meta.output_name(raise_if_undetermined=False) for e in exprs]
    if any(n is None or e.meta.has_multiple_outputs() for n, e in zip(names, exprs, strict=True)):
        try:
            names = list(source.scan().select(exprs).collect_schema())
        except pl.exceptions.PolarsError:
            return None
    return "_".join(str(n) for n in names)


def _sql(role: str, sql: str | Path) -> tuple[str, str | None]:
    stem = None
    if isinstance(sql, Path):
        stem = sql.stem
        try:
            sql = sql.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TimefenceValidationError(
                message(f"The SQL file of {role} cannot be read: {error}.", fix="Check the path.")
            ) from error
    if not isinstance(sql, str):
        raise TimefenceConfigError(
            message(f"sql={shortened(sql)} of {role} is neither text nor a path.", fix="Give a SELECT over {source}.")
        )
    if not sql.strip().rstrip(";").strip():
        raise TimefenceConfigError(message(f"sql of {role} is empty.", fix="Give a SELECT over {source}."))
    return sql.strip().rstrip(";").rstrip(), stem
