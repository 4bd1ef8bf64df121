"""The match rule, spelled out in loops.

Takes label rows and event rows as lists of dicts whose times are plain integers, gives the rows of the training set,
each feature's reasons, and the rows of every split. Must not know: the package, Polars, or any way of being quick;
every label looks at every event. Exactness comes from Python's integers: all times are nanoseconds since 1970 (or
unitless, where the tables carry integer times), and no bound is ever rounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
#: Gives each event (in match order) its feature values, or ``None`` where the feature drops the event.
Derive = Callable[[Sequence[Row]], Sequence[Row | None]]

REASONS = ("matched_value", "null_value", "stale", "too_old", "no_history")
MATCHED = REASONS[:2]

NANOSECONDS = {"ms": 1_000_000, "us": 1_000, "ns": 1, "int": 1}
DAY = 86_400 * 1_000_000_000


class DuplicateMatchError(Exception):
    """A label's match is one of several equal rows of a feature with ``on_duplicate="error"``."""


class ColumnClashError(Exception):
    """Two output columns would carry one name."""


@dataclass(frozen=True)
class Events:
    """A source: event rows in source order, and what its columns mean.

    ``unit`` and ``available_unit`` are ``ms``, ``us``, ``ns``, ``date`` (days since 1970) or ``int`` (no unit).
    """

    rows: Sequence[Row]
    keys: Sequence[str]
    timestamp: str
    unit: str
    available_at: str | None = None
    available_unit: str | None = None
    tie_breaker: Sequence[str] = ()
    date_known_at: str = "end"


@dataclass(frozen=True)
class Wanted:
    """A feature: its events, how values come of them, and its bounds (nanoseconds; ``None`` is unbounded).

    Where ``ordered`` is false (transforms, SQL) the values themselves, column by column, stand for the source order.
    """

    name: str
    events: Events
    derive: Derive
    columns: Sequence[str]
    embargo: int = 0
    lookback: int | None = None
    staleness: int | None = None
    key_mapping: Mapping[str, str] = field(default_factory=dict)
    on_duplicate: str = "error"
    ordered: bool = True


@dataclass(frozen=True)
class Labels:
    """The rows to be filled; ``unit`` as in :class:`Events`."""

    rows: Sequence[Row]
    columns: Sequence[str]
    keys: Sequence[str]
    label_time: str
    unit: str


@dataclass(frozen=True)
class Answer:
    """What a build must give: column names, rows in label order, and per feature how often each reason held."""

    columns: list[str]
    rows: list[Row]
    reasons: dict[str, dict[str, int]]


@dataclass(frozen=True)
class _Candidate:
    key: dict[str, Any]
    known_from: int
    stamp: int
    available: int
    tie: tuple[tuple[int, Any], ...]
    order: tuple[Any, ...]
    raw_stamp: int
    values: Row

    @property
    def identity(self) -> tuple[Any, ...]:
        return (tuple(sorted(self.key.items())), self.stamp, self.available, self.tie)


def instant(tick: int, unit: str, *, end_of_day: bool = False) -> int:
    """Gives the exact nanosecond of a stored time; a date is its day's first, or last, nanosecond."""
    if unit == "date":
        return (tick + 1) * DAY - 1 if end_of_day else tick * DAY
    return tick * NANOSECONDS[unit]


def _rank(value: Any) -> tuple[int, Any]:
    """Orders values with nulls: null is the lowest, NaN the greatest."""
    if value is None:
        return (0, 0)
    return (2, 0) if value != value else (1, value)


def candidates(feature: Wanted) -> list[_Candidate]:
    """Lists a feature's rows in match order, without the events that no one can know or place."""
    events = feature.events
    end_of_day = events.date_known_at == "end"
    found: list[tuple[tuple[Any, ...], Row]] = []
    for position, row in enumerate(events.rows):
        if any(row[key] is None for key in events.keys) or row[events.timestamp] is None:
            continue
        stamp = instant(row[events.timestamp], events.unit, end_of_day=end_of_day)
        available = stamp
        if events.available_at is not None:
            if row[events.available_at] is None:
                continue
            assert events.available_unit is not None
            available = instant(row[events.available_at], events.available_unit, end_of_day=end_of_day)
        tie = tuple(_rank(row[column]) for column in events.tie_breaker)
        found.append(((stamp, available, tie, position), row))
    found.sort(key=lambda entry: entry[0])
    derived = feature.derive([row for _, row in found])
    kept = []
    for ((stamp, available, tie, position), row), values in zip(found, derived, strict=True):
        if values is None:
            continue
        assert list(values) == list(feature.columns)
        order = (position,) if feature.ordered else (*(_rank(value) for value in values.values()), position)
        kept.append(
            _Candidate(
                key={key: row[key] for key in events.keys},
                known_from=max(stamp, available),
                stamp=stamp,
                available=available,
                tie=tie,
                order=order,
                raw_stamp=row[events.timestamp],
                values=values,
            )
        )
    return kept


def best(
    rows: Iterable[_Candidate], wanted: Mapping[str, Any], limit: int, *, strict: bool, first: bool
) -> _Candidate | None:
    """Finds the row that wins below an upper bound, whatever its age.

    Args:
        rows: The feature's rows.
        wanted: The values of the source's keys at the label.
        limit: Label time less embargo.
        strict: Whether a row known exactly at the limit is out.
        first: Whether the first of equal rows wins, instead of the last.
    """
    found: _Candidate | None = None
    for row in rows:
        if any(row.key[key] != value for key, value in wanted.items()):
            continue
        if row.known_from > limit or (strict and row.known_from == limit):
            continue
        if found is None or _beats(row, found, first=first):
            found = row
    return found


def _beats(one: _Candidate, other: _Candidate, *, first: bool) -> bool:
    if one.stamp != other.stamp:
        return one.stamp > other.stamp
    if one.available != other.available:
        return one.available > other.available
    if one.tie != other.tie:
        return one.tie > other.tie
    return one.order < other.order if first else one.order > other.order


def match(
    label: Row, labels: Labels, feature: Wanted, rows: Sequence[_Candidate], *, strict: bool
) -> tuple[str, _Candidate | None]:
    """Gives the reason for one label row and feature, and the row that was matched (or ``None``)."""
    label_key_of = {key: key for key in feature.events.keys}
    label_key_of.update({source: ours for ours, source in feature.key_mapping.items()})
    wanted = {key: label[label_key_of[key]] for key in feature.events.keys}
    if label[labels.label_time] is None or any(value is None for value in wanted.values()):
        return "no_history", None
    at = instant(label[labels.label_time], labels.unit)
    found = best(rows, wanted, at - feature.embargo, strict=strict, first=feature.on_duplicate == "keep_first")
    if found is None:
        return "no_history", None
    if feature.lookback is not None and found.stamp < at - feature.lookback:
        return "too_old", None
    if feature.staleness is not None and at - found.stamp > feature.staleness:
        return "stale", None
    if feature.on_duplicate == "error" and sum(row.identity == found.identity for row in rows) > 1:
        raise DuplicateMatchError(feature.name)
    return ("null_value" if all(value is None for value in found.values.values()) else "matched_value"), found


def output_names(labels: Labels, features: Sequence[Wanted], *, flatten: bool, times: bool) -> list[str]:
    """Lists the output's columns, or raises where two would be one.

    Raises:
        ColumnClashError: Names the columns that clash.
    """
    names = list(labels.columns)
    for feature in features:
        names += [column if flatten else f"{feature.name}__{column}" for column in feature.columns]
        if times:
            names.append(f"{feature.name}__feature_time")
    clashes = sorted(name for name, count in Counter(names).items() if count > 1)
    if clashes:
        raise ColumnClashError(clashes)
    return names


def point_in_time(
    labels: Labels,
    features: Sequence[Wanted],
    *,
    join: str = "strict",
    on_missing: str = "null",
    flatten_columns: bool = False,
    feature_times: bool = False,
) -> Answer:
    """Builds the training set.

    Raises:
        ColumnClashError: Before anything is matched.
        DuplicateMatchError: See :func:`match`.
    """
    names = output_names(labels, features, flatten=flatten_columns, times=feature_times)
    rows_of = {feature.name: candidates(feature) for feature in features}
    counts = {feature.name: dict.fromkeys(REASONS, 0) for feature in features}
    rows: list[Row] = []
    for label in labels.rows:
        out = {name: label[name] for name in labels.columns}
        complete = True
        for feature in features:
            reason, found = match(label, labels, feature, rows_of[feature.name], strict=join == "strict")
            counts[feature.name][reason] += 1
            complete = complete and reason in MATCHED
            for column in feature.columns:
                name = column if flatten_columns else f"{feature.name}__{column}"
                out[name] = None if found is None else found.values[column]
            if feature_times:
                out[f"{feature.name}__feature_time"] = None if found is None else found.raw_stamp
        assert list(out) == names
        if complete or on_missing == "null":
            rows.append(out)
    return Answer(names, rows, counts)


def boundary(value: str | date | datetime, zone: str | None) -> int:
    """Reads a split's edge in the label column's zone and gives its nanosecond."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC if zone is None else ZoneInfo(zone))
    elapsed = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds) * 1_000


def split_rows(
    instants: Sequence[int | None], splits: Mapping[str, tuple[int, int]], purge: int = 0
) -> tuple[dict[str, list[int]], int]:
    """Assigns label rows to half-open splits.

    Args:
        instants: The label times in nanoseconds, ``None`` for a null.
        splits: Name to ``(start, end)`` in nanoseconds.
        purge: Rows of an earlier split at or after a later split's start less this are dropped (0: none).

    Returns:
        Per split its rows' positions in label order, and how many rows fall in no split's span.
    """
    taken: dict[str, list[int]] = {name: [] for name in splits}
    outside = 0
    for position, at in enumerate(instants):
        inside = [name for name, (start, end) in splits.items() if at is not None and start <= at < end]
        outside += not inside
        for name in inside:
            later = [start for start, _ in splits.values() if start > splits[name][0]]
            if not any(at is not None and at >= start - purge for start in later):
                taken[name].append(position)
    return taken, outside
