"""Window features by brute force: which events a window holds, by plain integers, and what Polars makes of them.

Takes a random :class:`Case` (labels, sources, embargoes), adds window features over columns of every kind and of
adversarial floats, gives for each label and window the positions of its events in match order, and checks the
package's values against the same expression evaluated on those events alone. Must not know: how the package does it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import polars as pl

from tests.oracle.cases import case_of
from tests.oracle.match import _rank, instant
from tests.oracle.model import Case, SourceCase
from tests.oracle.program import definitions, duration

#: Columns added to every source: name to dtype.
EXTRA = {
    "x": "pl.Float64",
    "y": "pl.Float32",
    "n8": "pl.Int8",
    "n32": "pl.Int32",
    "u64": "pl.UInt64",
    "h": "pl.Int128",
    "dur": 'pl.Duration("us")',
    "dec": "pl.Decimal(12, 2)",
    "kind": "pl.String",
}
_STORED = {"dur": "pl.Int64", "dec": "pl.String"}

#: Aggregates by text, with what their precision is measured by: a column (and a filter) for sums, means and variances
#: of floats, ``"ratio"`` for well-conditioned arithmetic, and nothing where they must be equal.
AGGREGATES: dict[str, tuple[str, str, str] | str | None] = {
    "pl.len()": None,
    'pl.col("x").len()': None,
    'pl.col("i").count()': None,
    'pl.col("x").null_count()': None,
    'pl.col("s").filter(pl.col("b")).count()': None,
    'pl.col("x").sum()': ("sum", "x", ""),
    'pl.col("x").mean()': ("mean", "x", ""),
    'pl.col("x").var()': ("var1", "x", ""),
    'pl.col("x").std(ddof=0)': ("std0", "x", ""),
    'pl.col("x").var(ddof=2)': ("var2", "x", ""),
    'pl.col("x").filter(pl.col("kind") == "a").sum()': ("sum", "x", "a"),
    'pl.col("x").filter(pl.col("kind") == "a").mean()': ("mean", "x", "a"),
    'pl.col("x").filter(pl.col("kind") == "b").var()': ("var1", "x", "b"),
    'pl.col("y").sum()': ("sum", "y", ""),
    'pl.col("y").mean()': ("mean", "y", ""),
    'pl.col("y").std()': ("std1", "y", ""),
    'pl.col("f").sum()': ("sum", "f", ""),
    'pl.col("f").mean()': ("mean", "f", ""),
    'pl.col("i").sum()': None,
    'pl.col("i").mean()': ("mean", "i", ""),
    'pl.col("i").var()': ("var1", "i", ""),
    'pl.col("big").sum()': None,
    'pl.col("big").mean()': ("mean", "big", ""),
    'pl.col("n8").sum()': None,
    'pl.col("n8").mean()': ("mean", "n8", ""),
    'pl.col("n32").sum()': None,
    'pl.col("n32").std(ddof=0)': ("std0", "n32", ""),
    'pl.col("u64").sum()': None,
    'pl.col("u64").mean()': ("mean", "u64", ""),
    'pl.col("h").sum()': None,
    'pl.col("h").mean()': ("mean", "h", ""),
    'pl.col("dur").sum()': None,
    'pl.col("dur").mean()': None,
    'pl.col("dec").sum()': None,
    'pl.col("dec").mean()': ("mean", "dec", ""),
    'pl.col("b").sum()': None,
    'pl.col("b").mean()': ("mean", "b", ""),
    'pl.col("b").any()': None,
    'pl.col("b").all()': None,
    'pl.col("b").any(ignore_nulls=False)': None,
    'pl.col("b").all(ignore_nulls=False)': None,
    '(pl.col("i") > 14).filter(pl.col("kind") != "a").any()': None,
    'pl.col("s").first()': None,
    'pl.col("s").last()': None,
    'pl.col("x").last()': None,
    'pl.col("s").filter(pl.col("b")).first()': None,
    'pl.col("i").filter(pl.col("kind") == "a").last()': None,
    'pl.col("i").last(ignore_nulls=True)': None,
    'pl.col("i").first(ignore_nulls=True)': None,
    'pl.struct("i", "s").last()': None,
    '(pl.col("i").sum() + pl.len() * 3) // 2': None,
    'pl.col("i").sum() / pl.col("n8").abs().sum()': "ratio",
    'pl.when(pl.len() > 2).then(pl.col("i").sum()).otherwise(-1)': None,
    'pl.col("i").sum().cast(pl.String) + "!"': None,
    '(pl.col("i") * 2 + 1).sum()': None,
    'pl.col("i").filter(pl.col("b")).sum() / pl.col("i").filter(~pl.col("b")).count()': "ratio",
    "tf.since_last()": None,
    "tf.since_last().is_null()": None,
    'pl.col("x").min()': None,
    'pl.col("x").max()': None,
    'pl.col("big").max() - pl.col("i").min()': None,
    'pl.col("kind").n_unique()': None,
    'pl.col("x").median()': "ratio",
    'pl.col("i").quantile(0.3)': None,
    'pl.col("i").tail(3).implode()': None,
    'pl.col("s").tail(2).implode()': None,
    'pl.col("s").head(2).implode()': None,
    'pl.col("i").implode()': None,
    'pl.col("i").filter(pl.col("b")).tail(1).implode()': None,
    'pl.col("kind").sort_by("i", maintain_order=True).last()': None,
    'pl.col("kind").unique().sort().str.join("|")': None,
    'pl.col("i").diff().max()': None,
    'pl.col("i").cum_sum().last()': None,
    'pl.col("i").product()': None,
    'pl.col("i").sum().over("kind").max()': None,
    'pl.col("kind").value_counts(sort=True).struct.field("count").max()': None,
    "pl.lit(7)": None,
    'pl.when(pl.col("i").max() > 12).then(tf.since_last())': None,
    'pl.col("i").var() * pl.col("i").max()': "ratio",
    'pl.col("i").filter(pl.col("b")).std(ddof=0) + pl.col("i").min()': "ratio",
    'pl.col("n8").dot("n8")': None,
    'pl.col("i").get(0, null_on_oob=True)': None,
    'pl.col("ts").max()': None,
    'pl.col("ts").last()': None,
    'pl.col("i").sum() + pl.col("i").max()': None,
}
WHERE = (None, None, 'pl.col("kind") != "b"', 'pl.col("i") > 13')


@dataclass(frozen=True)
class WindowCase:
    """A window feature's definition; durations as in :class:`~tests.oracle.model.FeatureCase`."""

    name: str
    source: int
    aggregates: dict[str, str]
    lengths: tuple[int | None, ...]
    embargo: int
    key_mapping: dict[str, str]
    where: str | None = None


@dataclass(frozen=True)
class Windowed:
    """Labels, sources and window features.

    Attributes:
        case: The labels and sources; its features are not used.
        extra: For each source the values of :data:`EXTRA`.
        windows: The features.
    """

    case: Case
    extra: tuple[dict[str, list[Any]], ...]
    windows: tuple[WindowCase, ...]


def windowed(seed: int) -> Windowed:
    """Gives the case of a seed."""
    case = case_of(seed)
    c = random.Random(seed)  # noqa: S311 - not for secrets
    features = case.features[:2]
    case = replace(
        case, features=(), flatten_columns=False, on_missing=c.choice(("null", "skip")), feature_times=c.random() < 0.3
    )
    extra = tuple(_extra(c, len(s.table.rows)) for s in case.sources)
    windows = []
    for feature in features:
        chosen = c.sample(sorted(AGGREGATES), c.randint(3, 9))
        windows.append(
            WindowCase(
                name=feature.name,
                source=feature.source,
                aggregates={f"a{i}": text for i, text in enumerate(chosen)},
                lengths=_lengths(c, case, feature.source, feature.embargo),
                embargo=feature.embargo,
                key_mapping=feature.key_mapping,
                where=c.choice(WHERE),
            )
        )
    return Windowed(case, extra, tuple(windows))


def _lengths(c: random.Random, case: Case, source: int, embargo: int) -> tuple[int | None, ...]:
    """Draws lengths that put bounds exactly on events."""
    table = case.sources[source].table
    labels = case.labels.table
    at = [r[case.labels.label_time] for r in labels.dicts()]
    instants = [instant(t, labels.unit(case.labels.label_time)) for t in at if t is not None]
    stamps = _stamps(case.sources[source])
    found: set[int | None] = {None} if c.random() < 0.6 else set()
    for _ in range(c.randint(1, 3)):
        known = [s for s in stamps if s is not None]
        if not instants or not known:
            break
        gap = c.choice(instants) - embargo - c.choice(known) + c.choice((0, 0, 0, 1, -1))
        found.add(max(1, min(abs(gap), 2**88)))
    assert table.rows
    return tuple(sorted(found, key=lambda v: (v is None, v or 0))) or (None,)


def _extra(c: random.Random, rows: int) -> dict[str, list[Any]]:
    regime = c.choice(("plain", "plain", "wide", "outlier", "alternating", "special", "constant", "offset", "tiny"))
    floats = [_float(c, regime) for _ in range(rows)]
    values: dict[str, list[Any]] = {
        "x": floats,
        "y": [_single(v) for v in floats],
        "n8": [c.choice((127, -128, 3, 0)) for _ in range(rows)],
        "n32": [c.choice((2**31 - 1, -(2**31), 7)) for _ in range(rows)],
        "u64": [c.choice((2**64 - 1, 2**63, 5)) for _ in range(rows)],
        "h": [c.choice((2**127 - 1, -(2**127), 2**64, -3)) for _ in range(rows)],
        "dur": [c.choice((2**62, -5, 10**12, 0)) for _ in range(rows)],
        "dec": [c.choice(("1.25", "-9999999999.99", "0.00", "3.10")) for _ in range(rows)],
        "kind": [c.choice("abc") for _ in range(rows)],
    }
    nulls = c.choice((0.0, 0.1, 0.4))
    return {n: [None if c.random() < nulls else v for v in vs] for n, vs in values.items()}


def _float(c: random.Random, regime: str) -> float:
    if regime == "wide":
        return c.choice((-1, 1)) * 10.0 ** c.uniform(-300, 300)
    if regime == "outlier":
        return c.choice((1e18, -1e18, 1e300, c.gauss(0, 1), c.gauss(0, 1), 1e-12))
    if regime == "alternating":
        return c.choice((1, -1)) * (1e16 + c.randint(0, 9))
    if regime == "special":
        return c.choice((math.inf, -math.inf, math.nan, c.gauss(0, 1), c.gauss(5, 1), -0.0))
    if regime == "constant":
        return 0.1
    if regime == "offset":
        return 1e9 + c.gauss(0, 1e-3)
    if regime == "tiny":
        return c.choice((5e-324, 1e-310, -3e-308, 1e-300))
    return c.gauss(0, 100)


def _single(value: float) -> float:
    """A value that a Float32 holds as it is."""
    return pl.Series([value]).cast(pl.Float32).cast(pl.Float64)[0]


# -- which events a window holds ------------------------------------------------------------------------------------


def _stamps(source: SourceCase) -> list[int | None]:
    unit, end = source.table.unit(source.timestamp), source.date_known_at == "end"
    ticks = [r[source.timestamp] for r in source.table.dicts()]
    return [None if t is None else instant(t, unit, end_of_day=end) for t in ticks]


@dataclass(frozen=True)
class _Event:
    position: int
    key: dict[str, Any]
    stamp: int
    known: int


def _events(source: SourceCase, counted: Sequence[bool]) -> list[_Event]:
    """The usable events that count, in match order."""
    found = []
    stamps = _stamps(source)
    for position, row in enumerate(source.table.dicts()):
        stamp = stamps[position]
        if stamp is None or any(row[k] is None for k in source.keys) or not counted[position]:
            continue
        available = stamp
        if source.available_at is not None:
            if row[source.available_at] is None:
                continue
            unit = source.table.unit(source.available_at)
            available = instant(row[source.available_at], unit, end_of_day=source.date_known_at == "end")
        ties = tuple(_rank(row[c]) for c in source.tie_breaker)
        event = _Event(position, {k: row[k] for k in source.keys}, stamp, max(stamp, available))
        found.append(((stamp, available, ties, position), event))
    return [event for _, event in sorted(found, key=lambda pair: pair[0])]


def members(
    whole: Windowed, window: WindowCase, counted: Sequence[bool], label: dict[str, Any], length: int | None
) -> list[_Event]:
    """The events of one label's window."""
    case = whole.case
    source = case.sources[window.source]
    ours = {key: key for key in source.keys} | {theirs: mine for mine, theirs in window.key_mapping.items()}
    wanted = {key: label[ours[key]] for key in source.keys}
    at = label[case.labels.label_time]
    if at is None or any(v is None for v in wanted.values()):
        return []
    upper = instant(at, case.labels.table.unit(case.labels.label_time)) - window.embargo
    strict = case.join == "strict"
    kept = []
    for event in _events(source, counted):
        late = event.known >= upper if strict else event.known > upper
        old = False
        if length is not None:
            old = event.stamp < upper - length if strict else event.stamp <= upper - length
        if event.key == wanted and not late and not old:
            kept.append(event)
    return kept


def may_be_refused(whole: Windowed) -> bool:
    """Whether a label may see an event known past the range of the finer of its source's two time units."""
    label_time = whole.case.labels.label_time
    unit = whole.case.labels.table.unit(label_time)
    ticks = [r[label_time] for r in whole.case.labels.table.dicts()]
    latest = max((instant(t, unit) for t in ticks if t is not None), default=0)
    edge = 2**63 - 1
    return any(s.available_at is not None for s in whole.case.sources) and latest >= edge


def far_apart(whole: Windowed) -> bool:
    """Whether a label and an event are further apart than 64 bits of some unit hold."""
    case = whole.case
    unit = case.labels.table.unit(case.labels.label_time)
    at = [
        instant(r[case.labels.label_time], unit)
        for r in case.labels.table.dicts()
        if r[case.labels.label_time] is not None
    ]
    stamps = [s for source in case.sources for s in _stamps(source) if s is not None]
    return bool(at and stamps) and max(at) - min(stamps) > 2**63 - 1


# -- the package's definitions --------------------------------------------------------------------------------------


def in_files(whole: Windowed) -> Windowed:
    """The case without what Parquet does not hold."""
    extra = tuple({n: v for n, v in e.items() if n != "h"} for e in whole.extra)
    windows = [
        replace(w, aggregates={n: t for n, t in w.aggregates.items() if '"h"' not in t} or {"a0": "pl.len()"})
        for w in whole.windows
    ]
    return replace(whole, extra=extra, windows=tuple(windows))


def program(whole: Windowed, folder: str | None = None) -> list[str]:
    """Writes the statements that define ``labels``, ``features``, ``options`` and the events' frames.

    Args:
        whole: The case; with a folder, one of :func:`in_files`.
        folder: Where the frames are written as Parquet first, to be read from there.
    """
    lines = definitions(whole.case, folder)
    for position, extra in enumerate(whole.extra):
        start = lines.index(f"events_{position} = pl.DataFrame([")
        end = next(i for i in range(start, len(lines)) if lines[i].startswith("])"))
        series = [_series(name, values) for name, values in extra.items()]
        lines.insert(end + 1, f"events_{position} = events_{position}.with_columns([{', '.join(series)}])")
    made = [f"    {_window(whole, w)}," for w in whole.windows]
    place = lines.index("features = [")
    return [*lines[: place + 1], *made, *lines[place + 1 :]]


def _series(name: str, values: Sequence[Any]) -> str:
    stored = _STORED.get(name, EXTRA[name])
    return f"pl.Series({name!r}, {values!r}, dtype={stored}).cast({EXTRA[name]})"


def _window(whole: Windowed, window: WindowCase) -> str:
    unitless = whole.case.unitless
    aggregates = ", ".join(f"{name!r}: {text}" for name, text in window.aggregates.items())
    lengths = ", ".join(duration(length, unitless=unitless) for length in window.lengths)
    more = f", embargo={duration(window.embargo, unitless=unitless)}" if window.embargo else ""
    more += f", where={window.where}" if window.where else ""
    more += f", key_mapping={window.key_mapping!r}" if window.key_mapping else ""
    return f"tf.Window(source_{window.source}, {{{aggregates}}}, windows=[{lengths}], name={window.name!r}{more})"


def label_of_length(whole: Windowed, length: int | None) -> str:
    """The suffix of a window's columns."""
    return "all" if length is None else duration(length, unitless=whole.case.unitless).strip("'")


# -- how near a value must be ---------------------------------------------------------------------------------------


def near(given: Any, polars: Any, measure: tuple[str, str, str] | str | None, events: pl.DataFrame) -> bool:
    """Whether a value is what the contract asks for.

    Args:
        given: The package's.
        polars: Polars' own, of the same expression on the window's events.
        measure: As in :data:`AGGREGATES`.
        events: The window's events.
    """
    if _same(given, polars):
        return True
    if measure is None or not isinstance(given, float) or not isinstance(polars, float):
        return False
    if math.isfinite(polars) and abs(given - polars) <= 1e-12 * abs(polars):
        return True
    if measure == "ratio":
        return math.isfinite(polars) and abs(given - polars) <= 1e-9 * abs(polars)
    kind, column, only = measure
    values = events.filter(pl.col("kind") == only)[column] if only else events[column]
    numbers = values.drop_nulls().to_list()
    if any(isinstance(v, float) and not math.isfinite(v) for v in numbers):
        return False
    exact = [Fraction(v) if not isinstance(v, float) else Fraction(*v.as_integer_ratio()) for v in numbers]
    precision = Fraction(1, 10**5) if values.dtype == pl.Float32 else Fraction(1, 10**9)
    n = len(exact)
    size = sum((abs(v) for v in exact), Fraction(0))
    if kind in ("sum", "mean"):
        share = n if kind == "mean" else 1
        true, allowed = sum(exact, Fraction(0)) / share, precision * size / share
    else:
        degrees = n - int(kind[-1])
        middle = sum(exact, Fraction(0)) / n
        true = sum(((v - middle) ** 2 for v in exact), Fraction(0)) / degrees
        allowed = precision * true
        if kind.startswith("std"):
            low, high = (math.sqrt(_float_of(v)) for v in (max(true - allowed, Fraction(0)), true + allowed))
            return low * (1 - 1e-15) <= given <= high * (1 + 1e-15) if math.isfinite(high) else given == math.inf
    if not math.isfinite(given):
        return abs(true) + allowed >= Fraction(2) ** (127 if values.dtype == pl.Float32 else 1023)
    slack = Fraction(1, 10**45) if values.dtype == pl.Float32 else Fraction(1, 10**320)
    return abs(Fraction(*given.as_integer_ratio()) - true) <= allowed + slack


def _float_of(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    return type(one) is type(other) and bool(one == other)
