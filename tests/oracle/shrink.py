"""Makes a failing case small.

Takes a case and a predicate, gives a smaller case that still satisfies it: fewer features, rows and options. Must not
know: what fails.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from tests.oracle.compare import DifferenceError, check
from tests.oracle.model import DEFAULT, INHERIT, Case, LabelCase, SourceCase, Table
from tests.oracle.program import script
from tests.oracle.recipe import Output, Recipe

Holder = TypeVar("Holder", LabelCase, SourceCase)


def shrink(case: Case, fails: Callable[[Case], bool], *, budget: int = 600) -> Case:
    """Greedily removes what the failure does not need.

    Args:
        case: A case for which ``fails`` holds.
        fails: Whether a case still shows the failure.
        budget: How many cases to try at most.
    """
    tried = 0
    progress = True
    while progress and tried < budget:
        progress = False
        for less in smaller(case):
            tried += 1
            if fails(less):
                case, progress = less, True
                break
            if tried >= budget:
                break
    return case


def report(case: Case, difference: DifferenceError, *, paths: tuple[str, ...]) -> str:
    """Shrinks a failing case and writes it as a script, with what is wrong."""

    def fails(candidate: Case) -> bool:
        try:
            check(candidate, paths)
        except DifferenceError as other:
            return other.kind == difference.kind
        return False

    small = shrink(case, fails)
    try:
        check(small, paths)
    except DifferenceError as last:
        difference = last
    return f"{str(difference).split(chr(10) * 2)[0]}\n\n{script(small, difference.kind.split()[0])}"


def smaller(case: Case) -> Iterator[Case]:
    """Gives cases that differ from a case in one thing that is left out or made plain."""
    if len(case.features) > 1:
        for position in range(len(case.features)):
            yield _without_feature(case, position)
    yield from (replace(case, labels=labels) for labels in _fewer_rows(case.labels))
    for position, source in enumerate(case.sources):
        for less in _fewer_rows(source):
            yield _with_source(case, position, less)
    simple: dict[str, Any] = {
        "join": "strict",
        "on_missing": "null",
        "flatten_columns": False,
        "feature_times": False,
        "max_lookback": DEFAULT,
        "max_staleness": None,
    }
    yield from _reset(case, simple)
    for position, feature in enumerate(case.features):
        plain: dict[str, Any] = {
            "embargo": 0,
            "max_lookback": INHERIT,
            "max_staleness": INHERIT,
            "recipe": Recipe("columns", (Output("i", "identity", "i"),)),
            "on_duplicate": "keep_last",
        }
        for less_feature in _reset(feature, plain):
            features = (*case.features[:position], less_feature, *case.features[position + 1 :])
            yield replace(case, features=features)
    for position, source in enumerate(case.sources):
        bare: dict[str, Any] = {"available_at": None, "tie_breaker": (), "date_known_at": "end", "lazy": False}
        for less in _reset(source, bare):
            yield _with_source(case, position, less)
    yield from (replace(case, labels=labels) for labels in _reset(case.labels, {"target": None, "lazy": False}))
    kept = {case.labels.label_time, *case.labels.keys, case.labels.target}
    yield from (replace(case, labels=labels) for labels in _fewer_columns(case.labels, kept))
    for position, source in enumerate(case.sources):
        kept = {*source.keys, source.timestamp, source.available_at, *source.tie_breaker}
        for feature in case.features:
            if feature.source == position:
                kept |= {output.column for output in feature.recipe.outputs}
                kept |= set(feature.recipe.where[:1] if feature.recipe.where else ())
        for less in _fewer_columns(source, kept):
            yield _with_source(case, position, less)


def _reset(value: Any, defaults: dict[str, Any]) -> Iterator[Any]:
    for name, default in defaults.items():
        if getattr(value, name) != default:
            yield replace(value, **{name: default})


def _with_source(case: Case, position: int, source: SourceCase) -> Case:
    return replace(case, sources=(*case.sources[:position], source, *case.sources[position + 1 :]))


def _without_feature(case: Case, position: int) -> Case:
    features = [feature for index, feature in enumerate(case.features) if index != position]
    used = sorted({feature.source for feature in features})
    return replace(
        case,
        sources=tuple(case.sources[index] for index in used),
        features=tuple(replace(feature, source=used.index(feature.source)) for feature in features),
    )


def _fewer_rows(holder: Holder) -> Iterator[Holder]:
    rows = holder.table.rows
    size = len(rows) // 2
    while size:
        for start in range(0, len(rows), size):
            yield replace(holder, table=Table(holder.table.schema, rows[:start] + rows[start + size :]))
        size //= 2


def _fewer_columns(holder: Holder, kept: Collection[object]) -> Iterator[Holder]:
    table = holder.table
    for dropped in table.schema:
        if dropped not in kept:
            places = [index for index, name in enumerate(table.schema) if name != dropped]
            schema = {name: dtype for name, dtype in table.schema.items() if name != dropped}
            yield replace(holder, table=Table(schema, tuple(tuple(row[i] for i in places) for row in table.rows)))
