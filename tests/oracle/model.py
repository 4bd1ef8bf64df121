"""A whole case as plain data, and the oracle's answer to it.

Takes nothing but tuples, dicts, strings and integers (so that a case prints, shrinks and pickles), gives the labels and
features as :mod:`tests.oracle.match` wants them. Must not know: the package, Polars.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.oracle import match
from tests.oracle.recipe import Recipe, derive

#: A bound that is left to the build (``max_lookback``), or to the package (its default).
INHERIT = "inherit"
DEFAULT = "default"
DEFAULT_LOOKBACK = 365 * match.DAY


@dataclass(frozen=True)
class Table:
    """Rows in order; dtypes as ``Int64``, ``String``, ``Enum:a,b``, ``Date``, ``Datetime:us`` or ``Datetime:us:UTC``.

    Times are stored as their physical integers.
    """

    schema: dict[str, str]
    rows: tuple[tuple[Any, ...], ...]

    def dicts(self) -> list[match.Row]:
        """Gives the rows as dicts."""
        return [dict(zip(self.schema, row, strict=True)) for row in self.rows]

    def unit(self, column: str) -> str:
        """Gives a time column's unit as the oracle names it."""
        dtype = self.schema[column]
        if dtype == "Date":
            return "date"
        return dtype.split(":")[1] if dtype.startswith("Datetime") else "int"


@dataclass(frozen=True)
class SourceCase:
    """A source's definition."""

    name: str
    table: Table
    keys: tuple[str, ...]
    timestamp: str
    available_at: str | None = None
    tie_breaker: tuple[str, ...] = ()
    date_known_at: str = "end"
    lazy: bool = False


@dataclass(frozen=True)
class FeatureCase:
    """A feature's definition; ``source`` is a position, durations are nanoseconds (unitless with integer times)."""

    name: str
    source: int
    recipe: Recipe
    embargo: int = 0
    max_lookback: int | str | None = INHERIT
    max_staleness: int | str | None = INHERIT
    key_mapping: dict[str, str] = field(default_factory=dict)
    on_duplicate: str = "error"


@dataclass(frozen=True)
class LabelCase:
    """The labels' definition."""

    table: Table
    keys: tuple[str, ...]
    label_time: str
    target: str | None = None
    lazy: bool = False


@dataclass(frozen=True)
class Case:
    """Labels, sources, features and options, self-contained."""

    labels: LabelCase
    sources: tuple[SourceCase, ...]
    features: tuple[FeatureCase, ...]
    join: str = "strict"
    on_missing: str = "null"
    flatten_columns: bool = False
    feature_times: bool = False
    max_lookback: int | str | None = DEFAULT
    max_staleness: int | None = None

    @property
    def unitless(self) -> bool:
        """Whether times are integers."""
        return self.labels.table.unit(self.labels.label_time) == "int"

    def lookback(self, feature: FeatureCase) -> int | None:
        """Gives the lookback in force for a feature."""
        value = self.max_lookback if feature.max_lookback == INHERIT else feature.max_lookback
        if value == DEFAULT:
            return None if self.unitless else DEFAULT_LOOKBACK
        assert not isinstance(value, str)
        return value

    def staleness(self, feature: FeatureCase) -> int | None:
        """Gives the staleness in force for a feature."""
        value = self.max_staleness if feature.max_staleness == INHERIT else feature.max_staleness
        assert not isinstance(value, str)
        return value


def answer(case: Case) -> match.Answer:
    """Asks the oracle.

    Raises:
        DuplicateMatchError: Where the package must raise its ``TimefenceDuplicateError``.
        ColumnClashError: Where the package must refuse the names.
    """
    label_table = case.labels.table
    labels = match.Labels(
        rows=label_table.dicts(),
        columns=list(label_table.schema),
        keys=case.labels.keys,
        label_time=case.labels.label_time,
        unit=label_table.unit(case.labels.label_time),
    )
    return match.point_in_time(
        labels,
        [_wanted(case, feature) for feature in case.features],
        join=case.join,
        on_missing=case.on_missing,
        flatten_columns=case.flatten_columns,
        feature_times=case.feature_times,
    )


def may_be_refused(case: Case) -> bool:
    """Whether some label could see a row that became known past the range of the finer of its two times.

    The package orders availability in that unit, and refuses such labels instead of guessing.
    """
    limits = [row[case.labels.label_time] for row in case.labels.table.dicts()]
    unit = case.labels.table.unit(case.labels.label_time)
    latest = max((match.instant(tick, unit) for tick in limits if tick is not None), default=0)
    for feature in case.features:
        wanted = _wanted(case, feature)
        units = {wanted.events.unit, wanted.events.available_unit or wanted.events.unit}
        finer = 1 if "date" in units else min(match.NANOSECONDS[unit] for unit in units)
        end = finer * (2**63 - 1)
        source = case.sources[feature.source]
        dtypes = {source.table.schema[name] for name in (source.timestamp, source.available_at) if name}
        mixed = len(units) > 1 or (len(dtypes) > 1 and "UInt64" in dtypes)
        if mixed and latest >= end and any(row.known_from >= end for row in match.candidates(wanted)):
            return True
    return False


def _wanted(case: Case, feature: FeatureCase) -> match.Wanted:
    source = case.sources[feature.source]
    available_unit = None if source.available_at is None else source.table.unit(source.available_at)
    return match.Wanted(
        name=feature.name,
        events=match.Events(
            rows=source.table.dicts(),
            keys=source.keys,
            timestamp=source.timestamp,
            unit=source.table.unit(source.timestamp),
            available_at=source.available_at,
            available_unit=available_unit,
            tie_breaker=source.tie_breaker,
            date_known_at=source.date_known_at,
        ),
        derive=lambda rows: derive(feature.recipe, rows, source.timestamp),
        columns=[output.name for output in feature.recipe.outputs],
        embargo=feature.embargo,
        lookback=case.lookback(feature),
        staleness=case.staleness(feature),
        key_mapping=feature.key_mapping,
        on_duplicate=feature.on_duplicate,
        ordered=feature.recipe.mode not in ("transform", "sql"),
    )
