"""Random training sets with wrong values, and what an audit must say of each, spelled out in loops.

Takes a case of the match oracle and a seed, gives a corrupted data set and the verdict on every row and feature. Must
not know: the package's audit. Values stay the oracle's plain Python values until the frame is made.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from tests.oracle import match
from tests.oracle.model import Case, _wanted

NEVER = 1 << 200
ATOL, RTOL = 1e-10, 1e-7


@dataclass(frozen=True)
class Expected:
    """What the audit must say of one row and feature.

    Attributes:
        verdict: The verdict.
        leak: How long after the last usable instant the value became known; None where it never did, or no leak.
        due_row: The number of the source row due; None where none is due.
    """

    verdict: str
    leak: int | None
    due_row: int | None


def same(found: Any, due: Any) -> bool:
    """Whether a value found equals a value due."""
    if found is None or due is None:
        return found is None and due is None
    if isinstance(due, float):
        if math.isnan(due) or math.isnan(found):
            return math.isnan(due) and math.isnan(found)
        if math.isinf(due) or math.isinf(found):
            return bool(due == found)
        return bool(abs(found - due) <= ATOL + RTOL * abs(due))
    return bool(found == due)


def corrupted(case: Case, due: Sequence[match.Row], seed: int) -> list[match.Row]:
    """The rows due, some of them with values of other rows, with nothing, or with values from nowhere."""
    chosen = random.Random(seed)
    rows = [dict(row) for row in due]
    share = chosen.choice((0.2, 0.6, 1.0))
    for feature in case.features:
        wanted = _wanted(case, feature)
        pool = known_rows(wanted, derived=not wanted.ordered)
        names = {c: f"{feature.name}__{c}" for c in wanted.columns}
        for row in rows:
            if chosen.random() > share:
                continue
            kind = chosen.choice(("row", "row", "row", "own", "own", "null", "one", "nowhere"))
            mine = [c for c in pool if fits(case, wanted, row, c)] if kind == "own" else pool
            if kind in ("row", "own") and mine:
                row.update({names[c]: v for c, v in chosen.choice(mine).values.items()})
            elif kind == "null":
                row.update(dict.fromkeys(names.values()))
            elif kind == "one" and pool:
                column = chosen.choice(list(names))
                row[names[column]] = chosen.choice(pool).values[column]
            elif kind == "nowhere":
                column = chosen.choice(list(names))
                row[names[column]] = _other(row[names[column]])
    return rows


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value - 1 if value > 0 else value + 1
    if isinstance(value, float):
        return 0.25
    return None if value is None else value


def known_rows(wanted: match.Wanted, *, derived: bool) -> list[Any]:
    """The feature's rows, those that never became known included where it is made of expressions."""
    events = wanted.events
    if derived or events.available_at is None:
        return list(match.candidates(wanted))
    name = events.available_at
    rows = [{**r, name: NEVER} if r[name] is None else r for r in events.rows]
    return list(match.candidates(replace(wanted, events=replace(events, rows=rows))))


def fits(case: Case, wanted: match.Wanted, label: match.Row, row: Any) -> bool:
    """Whether a row is of the label's entity."""
    ours = {key: key for key in wanted.events.keys}
    ours.update({source: label_key for label_key, source in wanted.key_mapping.items()})
    del case
    return all(label[ours[k]] is not None and row.key[k] == label[ours[k]] for k in wanted.events.keys)


def expected(case: Case, due: Sequence[match.Row], found: Sequence[match.Row]) -> dict[str, list[Expected]]:
    """The verdict on every row, by feature."""
    strict = case.join == "strict"
    labels = case.labels
    unit = labels.table.unit(labels.label_time)
    oracle = match.Labels(labels.table.dicts(), list(labels.table.schema), labels.keys, labels.label_time, unit)
    verdicts = {}
    for feature in case.features:
        wanted = _wanted(case, feature)
        pool = known_rows(wanted, derived=not wanted.ordered)
        plain = match.candidates(wanted)
        rows: list[tuple[str, bool, bool, int | None, int | None]] = []
        for label, right, given in zip(oracle.rows, due, found, strict=True):
            names = [f"{feature.name}__{c}" for c in wanted.columns]
            wrong = [n for n in names if not same(given[n], right[n])]
            _, source = match.match(label, oracle, replace(wanted, on_duplicate=_lenient(wanted)), plain, strict=strict)
            due_row = None if source is None or not wanted.ordered else source.order[-1]
            present = [n for n in wrong if given[n] is not None]
            if not wrong or not present:
                rows.append(("ok" if not wrong else "absent", False, False, None, due_row))
                continue
            if label[labels.label_time] is None:
                rows.append(
                    ("?", False, False, None, due_row)
                    if any(right[n] is None for n in present)
                    else ("!", False, False, None, due_row)
                )
                continue
            limit = match.instant(label[labels.label_time], unit) - feature.embargo
            equal = [
                c
                for c in pool
                if fits(case, wanted, label, c)
                and all(same(given[n], c.values[n.removeprefix(f"{feature.name}__")]) for n in present)
            ]
            late = [c.known_from for c in equal if c.known_from > limit or (strict and c.known_from == limit)]
            leak = min(late) - limit if late and min(late) < NEVER else None
            word = "?" if any(right[n] is None for n in present) else "!"
            rows.append((word, bool(late), len(late) < len(equal), leak, due_row))
        ones = sum(f and not p for w, f, p, _, _ in rows if w in "?!")
        others = sum(p and not f for w, f, p, _, _ in rows if w in "?!")
        verdicts[feature.name] = [_resolved(*row, stale=others > ones) for row in rows]
    return verdicts


def _lenient(wanted: match.Wanted) -> str:
    return "keep_last" if wanted.on_duplicate == "error" else wanted.on_duplicate


def _resolved(word: str, future: bool, past: bool, leak: int | None, due: int | None, *, stale: bool) -> Expected:
    if word in ("ok", "absent"):
        return Expected(word, None, due)
    if future and past:
        return Expected("stale" if stale else "future", None if stale else leak, due)
    if future:
        return Expected("future", leak, due)
    if past:
        return Expected("stale", None, due)
    return Expected("unexpected" if word == "?" else "differs", None, due)


def frame_of(built: pl.DataFrame, rows: Sequence[match.Row]) -> pl.DataFrame:
    """Plain rows as a frame of the built one's types."""
    columns = []
    for name, dtype in built.schema.items():
        values = [row[name] for row in rows]
        if dtype.is_temporal():
            physical = pl.Int32 if dtype == pl.Date else pl.Int64
            columns.append(pl.Series(name, values, dtype=physical).cast(dtype))
        else:
            columns.append(pl.Series(name, values, dtype=dtype))
    return pl.DataFrame(columns)
