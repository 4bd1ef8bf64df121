"""Random cases, small and full of coincidences.

Takes a source of random choices (``random.Random(seed)``, or hypothesis' own draws), gives a :class:`Case` whose times
sit on a few ticks, so that ties, exact bounds and boundary hits are the rule. Must not know: the package, Polars, or
what the right answer is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tests.oracle.match import DAY, NANOSECONDS, instant
from tests.oracle.model import (
    DEFAULT,
    DEFAULT_LOOKBACK,
    INHERIT,
    Case,
    FeatureCase,
    LabelCase,
    SourceCase,
    Table,
)
from tests.oracle.recipe import Output, Recipe

T = TypeVar("T")

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")
UNITS = ("ms", "us", "ns")

INTEGERS: dict[str, tuple[int, int]] = {
    f"{sign}Int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits - (0 if sign else 1)) - 1)
    for sign in ("", "U")
    for bits in (8, 16, 32, 64, 128)
}
NARROW = (0, 1, 2)
ENDS = (-(2**63), 2**63 - 1, -2)
WIDE = (-1, 127, -128, 255, 256, 2**31, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**100)
WORDS = ("a", "b", "c", "", "á", "a|b", "1", "01")
#: Of one length and beginning; of two beginnings and one end; of two lengths.
NAMES = ("user-00000001", "user-00000002", "user-00000003", "item-00000003", "user-0000002")


class Draws(Protocol):
    """Where choices come from; the first of a sequence and the lowest number are the simplest."""

    def randint(self, low: int, high: int) -> int:
        """Gives an integer of ``[low, high]``."""
        ...


@dataclass
class _Chooser:
    draws: Draws

    def between(self, low: int, high: int) -> int:
        return self.draws.randint(low, high) if high > low else low

    def of(self, options: Sequence[T]) -> T:
        return options[self.between(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        return self.between(0, 99) >= 100 - percent


@dataclass(frozen=True)
class _Clock:
    """How times are laid out: ``base + step * few``, in nanoseconds (or unitless), held within 64 bits."""

    family: str
    base: int
    step: int
    label_dtype: str

    @property
    def unitless(self) -> bool:
        return self.family == "int"


def case_of(seed: int, *, max_labels: int = 12, max_events: int = 16, dense: bool = False) -> Case:
    """Gives the case of a seed; see :func:`generate`."""
    return generate(random.Random(seed), max_labels=max_labels, max_events=max_events, dense=dense)  # noqa: S311 - not for secrets


def generate(draws: Draws, *, max_labels: int = 12, max_events: int = 16, dense: bool = False) -> Case:
    """Draws a case: 5 labels or more, 1 to 3 features over 1 to 3 sources of 5 events or more.

    Args:
        draws: Where choices come from.
        max_labels: The most label rows.
        max_events: The most events of a source.
        dense: Text keys, and events at two or three times only, so that several entities' duplicates stand together.
    """
    c = _Chooser(draws)
    clock = _clock(c)
    keys = {f"k{i}": _label_key(c, text=dense) for i in range(c.of((1, 1, 1, 1, 2, 2, 2, 3, 0)))}
    built = [_source(c, clock, keys, index, max_events, dense=dense) for index in range(c.of((1, 1, 2, 2, 3)))]
    sources = [source for source, _ in built]
    max_lookback: int | str | None = c.of((DEFAULT, DEFAULT, None, _span(c, clock)))
    max_staleness = c.of((None, None, None, _span(c, clock)))
    features = []
    for index in range(c.of((1, 1, 2, 2, 3))):
        position = index if index < len(sources) else c.between(0, len(sources) - 1)
        features.append(_feature(c, clock, index, position, sources[position], built[position][1]))
    options = Case(
        labels=LabelCase(Table({"label_time": clock.label_dtype}, ()), (), "label_time"),
        sources=tuple(sources),
        features=(),
        join=c.of(("strict", "inclusive")),
        on_missing=c.of(("null", "null", "null", "skip")),
        flatten_columns=c.chance(15),
        feature_times=c.chance(35),
        max_lookback=max_lookback,
        max_staleness=max_staleness,
    )
    features = [_consistent(options, feature, clock) for feature in features]
    labels = _labels(c, clock, keys, options, features, max_labels)
    return Case(**{**vars(options), "labels": labels, "features": tuple(features)})


# -- time -----------------------------------------------------------------------------------------------------------


def _clock(c: _Chooser) -> _Clock:
    family = c.of(("naive",) * 5 + ("aware",) * 2 + ("dates",) * 2 + ("int",) * 2)
    unit = c.of(("us", "ms", "ns"))
    far = c.chance(6)
    if family == "int":
        dtype = c.of(("Int64", "Int64", "Int64", "Int32", "Int16", "UInt32", "UInt64"))
        low, high = INTEGERS[dtype]
        base = c.of((high - 4, low)) if far else c.of((100, 0, 1000))
        return _Clock(family, base, c.of((1, 1, 5)), dtype)
    if far:
        edge = c.of((2**63 - 1, -(2**63))) * NANOSECONDS[unit]
        base, step = edge, NANOSECONDS[unit] * c.of((1, 1000))
        if edge > 0:
            base -= 4 * step
        zone = ":UTC" if family == "aware" else ""
        label_unit = unit if c.chance(50) else c.of(UNITS)
        return _Clock("aware" if family == "aware" else "naive", base, step, f"Datetime:{label_unit}{zone}")
    base = c.of((1_704_067_200, 0, -86_400 * 1000, 1_711_843_200, 951_782_400)) * SECOND
    if family == "dates":
        dtype = c.of(("Date", f"Datetime:{unit}"))
        return _Clock(family, base // DAY * DAY, c.of((DAY, DAY, DAY // 2)), dtype)
    step = c.of((NANOSECONDS["ms"], NANOSECONDS[unit], SECOND, HOUR, DAY, 1))
    zone = f":{c.of(ZONES)}" if family == "aware" else ""
    return _Clock(family, base, step, f"Datetime:{unit}{zone}")


def _time_dtype(c: _Chooser, clock: _Clock) -> str:
    if clock.family == "int":
        return c.of((clock.label_dtype, clock.label_dtype, "Int64"))
    if clock.family == "dates":
        return c.of(("Date", "Date", f"Datetime:{c.of(UNITS)}"))
    if clock.family == "aware":
        return f"Datetime:{c.of(UNITS)}:{c.of(ZONES)}"
    return f"Datetime:{c.of(UNITS)}"


def _unit(dtype: str) -> str:
    return dtype.split(":")[1] if dtype.startswith("Datetime") else "date" if dtype == "Date" else "int"


def _quantum(dtype: str) -> int:
    return DAY if dtype == "Date" else NANOSECONDS[_unit(dtype)]


def _tick(c: _Chooser, at: int, dtype: str) -> int:
    """Stores an exact time in a column, a tick to either side at times, and never outside its dtype."""
    tick, rest = divmod(at, _quantum(dtype))
    if rest and c.chance(50):
        tick += 1
    if c.chance(20):
        tick += c.of((-1, 1))
    low, high = INTEGERS[dtype] if dtype in INTEGERS else INTEGERS["Int32" if dtype == "Date" else "Int64"]
    return min(max(tick, low), high)


def _span(c: _Chooser, clock: _Clock) -> int:
    """Draws a positive duration near the steps at which times stand."""
    if clock.unitless:
        return max(1, clock.step * c.of((1, 2, 3, 4)) + c.of((0, 0, 1, -1)))
    off = c.of((0, 0, 0, 1, -1, NANOSECONDS["ms"], -NANOSECONDS["us"]))
    return max(1, clock.step * c.of((1, 2, 3, 4)) + off)


def _embargo(c: _Chooser, clock: _Clock) -> int:
    if c.chance(45):
        return 0
    if clock.unitless:
        return c.of((1, clock.step, 2 * clock.step))
    return c.of((clock.step, 2 * clock.step, 1, 999, 1_500, 999_999, 500_000, clock.step + 1, clock.step - 1 or 1))


# -- keys -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Key:
    kind: str
    dtype: str
    values: tuple[int | str | bool, ...]


def _label_key(c: _Chooser, *, text: bool) -> _Key:
    kind = "text" if text else c.of(("int", "int", "int", "text", "text", "bool", "day"))
    if kind == "bool":
        return _Key(kind, "Boolean", (False, True))
    if kind == "day":
        return _Key(kind, c.of(("Date", "Date", "Datetime:us")), (0, 19_723, -400))
    if kind == "text":
        if c.chance(30):
            first = c.between(0, len(NAMES) - 3)
            return _Key("name", c.of(("String", "String", "Categorical")), NAMES[first : first + 3])
        first = c.between(0, len(WORDS) - 3)
        return _Key(kind, _text_dtype(c), WORDS[first : first + 3])
    values = c.of((NARROW, NARROW, NARROW, ENDS, (c.of(WIDE), c.of(WIDE), 0, 1)))
    fitting = [name for name in INTEGERS if all(_fits(value, name) for value in values)]
    return _Key(kind, c.of(fitting or list(INTEGERS)), values)


def _text_dtype(c: _Chooser) -> str:
    kind = c.of(("String", "String", "Categorical", "Enum"))
    if kind != "Enum":
        return kind
    shift = c.between(0, len(WORDS) - 1)
    words = [*WORDS[shift:], *WORDS[:shift]]
    return "Enum:" + ",".join(words[: c.of((len(WORDS), 5))])


def _source_dtype(c: _Chooser, key: _Key) -> str:
    if key.kind == "int":
        return c.of((key.dtype, *INTEGERS))
    if key.kind == "name":
        return c.of(("String", "String", "Categorical"))
    return _text_dtype(c) if key.kind == "text" else key.dtype


def _fits(value: object, dtype: str) -> bool:
    if dtype.startswith("Enum:"):
        return value in dtype.removeprefix("Enum:").split(",")
    if dtype not in INTEGERS:
        return True
    low, high = INTEGERS[dtype]
    return isinstance(value, int) and low <= value <= high


def _key_value(c: _Chooser, key: _Key, dtype: str, *, nulls: int = 5) -> int | str | bool | None:
    if c.chance(nulls):
        return None
    fitting = [value for value in key.values if _fits(value, dtype)]
    return c.of(fitting) if fitting else None


# -- sources --------------------------------------------------------------------------------------------------------

VALUES = {"i": "Int64", "big": "Int64", "f": "Float64", "s": "String", "b": "Boolean"}


def _source(
    c: _Chooser, clock: _Clock, label_keys: dict[str, _Key], index: int, max_events: int, *, dense: bool
) -> tuple[SourceCase, dict[str, str]]:
    """Draws a source; beside it, label key to source key."""
    chosen = [name for name in label_keys if not c.chance(15)]
    own = chosen
    renaming = c.of(("same", "same", "same", "some", "swapped"))
    if renaming == "some":
        own = [f"s_{name}" if c.chance(60) else name for name in chosen]
    elif renaming == "swapped":
        own = [*chosen[1:], *chosen[:1]]
    key_dtypes = {ours: _source_dtype(c, label_keys[theirs]) for theirs, ours in zip(chosen, own, strict=True)}
    time_dtype = _time_dtype(c, clock)
    bitemporal = c.chance(30)
    known_dtype = _time_dtype(c, clock)
    ties = dict(c.of(((), (), (), (("tb", "Int64"),), (("tb", "String"),), (("tb", "Int64"), ("tb2", "String")))))
    schema = {**key_dtypes, "ts": time_dtype}
    if bitemporal:
        schema["known"] = known_dtype
    schema.update(ties)
    schema.update(VALUES)
    crowded = c.chance(50)
    rows = []
    for position in range(c.between(5, max(5, max_events))):
        row: list[object] = [
            _key_value(c, label_keys[theirs], key_dtypes[ours]) for theirs, ours in zip(chosen, own, strict=True)
        ]
        at = clock.base + clock.step * c.between(0, 1 if dense else 4 if crowded else 9)
        row.append(None if c.chance(4) else _tick(c, at, time_dtype))
        if bitemporal:
            delay = clock.step * c.of((0, 0, 1, 2, 3, -1, -3))
            row.append(None if c.chance(8) else _tick(c, at + delay, known_dtype))
        for dtype in ties.values():
            tie = c.of((0, 1, 2, None))
            row.append(tie if tie is None or dtype == "Int64" else WORDS[tie])
        row += _values(c, position)
        rows.append(tuple(row))
    source = SourceCase(
        name=f"source_{index}",
        table=Table(schema, tuple(rows)),
        keys=tuple(own),
        timestamp="ts",
        available_at="known" if bitemporal else None,
        tie_breaker=tuple(ties),
        date_known_at=c.of(("end", "end", "start")),
        lazy=c.chance(50),
    )
    mapping = {theirs: ours for theirs, ours in zip(chosen, own, strict=True) if theirs != ours or c.chance(10)}
    return source, mapping


def _values(c: _Chooser, position: int) -> list[object]:
    if c.chance(10):
        return [None] * len(VALUES)
    values: list[object] = [
        position + 10,
        c.of((2**63 - 1, -(2**63), 2**53 + 1, position)),
        c.of((position + 0.5, float("nan"), float("-inf"), -0.0)),
        f"v{position}",
        position % 2 == 0,
    ]
    return [None if c.chance(12) else value for value in values]


# -- features -------------------------------------------------------------------------------------------------------


def _feature(
    c: _Chooser, clock: _Clock, index: int, position: int, source: SourceCase, mapping: dict[str, str]
) -> FeatureCase:
    recipe = _recipe(c, clock, source)
    on_duplicate = c.of(("keep_last", "error", "error", "keep_first", "keep_last", "keep_any"))
    return FeatureCase(
        name=f"f{index}",
        source=position,
        recipe=recipe,
        embargo=_embargo(c, clock),
        max_lookback=c.of((INHERIT, INHERIT, None, _span(c, clock))),
        max_staleness=c.of((INHERIT, INHERIT, None, _span(c, clock))),
        key_mapping=mapping,
        on_duplicate=on_duplicate,
    )


def _recipe(c: _Chooser, clock: _Clock, source: SourceCase) -> Recipe:
    mode = c.of(("columns", "columns", "renamed", "expressions", "expressions", "expressions", "transform", "sql"))
    names = ["i", *(name for name in ("big", "f", "s", "b") if c.chance(25))]
    if c.chance(10):
        names = [c.of(("f", "s", "b"))]
    if mode in ("columns", "renamed"):
        prefix = "r_" if mode == "renamed" else ""
        return Recipe(mode, tuple(Output(prefix + name, "identity", name) for name in names))
    if mode == "sql":
        where = ("i", c.between(8, 16)) if c.chance(50) else None
        return Recipe(mode, tuple(Output(name, "identity", name) for name in names), where)
    if mode == "transform":
        where = ("i", c.between(8, 16)) if c.chance(60) else None
        outputs = [Output(name, "identity", name) for name in names]
        if c.chance(50):
            outputs.append(Output("i_plus", "plus", "i", 5))
        return Recipe(mode, tuple(outputs), where)
    outputs = [_expression(c, clock, source, position) for position in range(c.of((1, 1, 2, 3)))]
    return Recipe(mode, tuple(outputs))


def _expression(c: _Chooser, clock: _Clock, source: SourceCase, position: int) -> Output:
    kinds = ["identity", "plus", "is_null", "suffix", "literal"]
    if source.available_at is None:
        kinds += ["shift", "shift", "forward_fill", "cum_sum", "cum_count", "rolling_sum"]
        if abs(clock.base) < 2**62 and source.table.schema[source.timestamp] != "Int16":  # Polars rolls over no Int16
            kinds.append("rolling_max_by")
    kind = c.of(kinds)
    column = "s" if kind == "suffix" else c.of(("i", "f", "s")) if kind in ("identity", "is_null", "shift") else "i"
    argument = {"plus": 3, "literal": 7, "shift": c.of((1, 2)), "rolling_sum": 2, "rolling_max_by": 2}.get(kind, 0)
    if kind == "rolling_max_by":
        argument = max(1, clock.step // _quantum(source.table.schema[source.timestamp])) * 2
    within = (
        source.keys
        if kind in ("shift", "forward_fill", "cum_sum", "cum_count", "rolling_sum", "rolling_max_by")
        else ()
    )
    if within and c.chance(20):
        within = ()
    return Output(f"{kind}_{position}", kind, column, argument, within)


def _consistent(case: Case, feature: FeatureCase, clock: _Clock) -> FeatureCase:
    """Keeps the embargo below lookback and staleness, which is an error otherwise."""
    bounds = [bound for bound in (case.lookback(feature), case.staleness(feature)) if bound is not None]
    if not bounds or feature.embargo < min(bounds):
        return feature
    lowest = min(bounds)
    embargo = 0 if clock.unitless else min(feature.embargo, lowest - 1)
    return FeatureCase(**{**vars(feature), "embargo": embargo})


# -- labels ---------------------------------------------------------------------------------------------------------


def _labels(
    c: _Chooser,
    clock: _Clock,
    keys: dict[str, _Key],
    case: Case,
    features: Sequence[FeatureCase],
    max_labels: int,
) -> LabelCase:
    schema = {"row": "Int64"}
    schema.update({name: key.dtype for name, key in keys.items()})
    schema["label_time"] = clock.label_dtype
    target = "churned" if c.chance(50) else None
    if target:
        schema[target] = "Boolean"
    if c.chance(10):
        schema["i"] = "Int64"
    events = {feature.name: case.sources[feature.source].table.dicts() for feature in features}
    rows = []
    for position in range(c.between(5, max(5, max_labels))):
        feature = c.of(features)
        source = case.sources[feature.source]
        event = c.of(events[feature.name])
        at = _label_instant(c, clock, case, feature, event)
        theirs = {name: name for name in keys if name in source.keys} | feature.key_mapping
        row: dict[str, object] = {"row": position, "label_time": None, "churned": position % 3 == 0, "i": -position}
        for name, key in keys.items():
            value = event.get(theirs.get(name, ""))
            row[name] = (
                value
                if value is not None and _fits(value, key.dtype) and c.chance(70)
                else _key_value(c, key, key.dtype)
            )
        if not c.chance(4):
            row["label_time"] = _tick(c, at, clock.label_dtype)
        rows.append(tuple(row[name] for name in schema))
    return LabelCase(Table(schema, tuple(rows)), tuple(keys), "label_time", target, lazy=c.chance(30))


def _label_instant(c: _Chooser, clock: _Clock, case: Case, feature: FeatureCase, event: dict[str, object]) -> int:
    """Puts a label where a bound of its feature is hit exactly, or somewhere on the steps."""
    source = case.sources[feature.source]
    column = source.timestamp
    if source.available_at is not None and c.chance(50):
        column = source.available_at
    tick = event[column]
    if not isinstance(tick, int) or c.chance(15):
        return clock.base + clock.step * c.between(0, 12)
    end = source.date_known_at == "end"
    at = instant(tick, source.table.unit(column), end_of_day=end)
    offsets = [feature.embargo, feature.embargo, feature.embargo + clock.step, feature.embargo + 3 * clock.step]
    offsets += [
        bound
        for bound in (case.lookback(feature), case.staleness(feature))
        if bound is not None and bound != DEFAULT_LOOKBACK
    ]
    if not clock.unitless and c.chance(3):
        offsets = [DEFAULT_LOOKBACK]
    return at + c.of(offsets) + (c.of((0, 0, 1, -1)) if not clock.unitless else 0)
