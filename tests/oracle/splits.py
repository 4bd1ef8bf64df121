"""Random splits of labels, and the rows that belong to each.

Takes a seed, gives definitions for ``tf.build`` and what its split files must hold. Must not know: the answer beyond
:func:`tests.oracle.match.split_rows`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.oracle.match import DAY, boundary, instant, split_rows
from tests.oracle.model import Case, FeatureCase, LabelCase, SourceCase, Table
from tests.oracle.program import duration
from tests.oracle.recipe import Output, Recipe

MICROSECOND = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Edge = int | str | date | datetime


@dataclass(frozen=True)
class SplitCase:
    """Labels to be split, and the answer.

    Attributes:
        case: Labels whose column ``row`` counts them, with one feature.
        splits: ``{name: (start, end)}`` as a user would write it.
        purge: As a user would write it, or None.
        rows: For each split the ``row`` of its labels, and how many labels are in no split.
    """

    case: Case
    splits: dict[str, tuple[Edge, Edge]]
    purge: str | int | None
    rows: tuple[dict[str, list[int]], int]


def split_case(seed: int) -> SplitCase:
    """Gives labels near the edges of two or three splits, in random order."""
    draws = random.Random(seed)  # noqa: S311 - not for secrets
    dtype = draws.choice(
        [
            "Datetime:us",
            "Datetime:ms",
            "Datetime:ns",
            "Date",
            "Datetime:us:Asia/Kolkata",
            "Datetime:ms:Europe/Berlin",
            "Int64",
        ]
    )
    table = Table({"label_time": dtype}, ())
    unit = table.unit("label_time")
    zone = dtype.split(":")[2] if dtype.count(":") == 2 else None
    tick = instant(1, unit)
    step = {"int": 5, "date": DAY}.get(unit) or draws.choice([DAY, 3_600_000_000_000, 1_000_000])
    start = 100 if unit == "int" else boundary("2024-03-28", zone)
    spans: list[tuple[int, int]] = []
    while not spans:
        cuts = sorted(draws.sample(range(1, 9), k=draws.choice([2, 3, 4])))
        edges = [start + step * cut + draws.choice([0, 0, step // 2]) for cut in cuts]
        if unit != "int":
            edges = [edge // MICROSECOND * MICROSECOND for edge in edges]
        written = [_written(draws, edge, zone) if unit != "int" else edge for edge in edges]
        read = [edge if isinstance(edge, int) else boundary(edge, zone) for edge in written]
        spans = [(i, i + 1) for i in range(len(edges) - 1) if -(-read[i] // tick) < -(-read[i + 1] // tick)]
    names = [f"split_{i}" for i, _ in spans]
    purge = draws.choice([None, 0, step, step // 2, step + tick, 1])
    gap = purge or 0
    times: list[int | None] = [None]
    for _ in range(draws.randint(8, 20)):
        near = draws.choice(read) - draws.choice([0, 0, gap]) + tick * draws.choice([-1, 0, 0, 1])
        times.append(-(-near // tick) if draws.random() < 0.5 else near // tick)
    draws.shuffle(times)
    instants = [None if at is None else instant(at, unit) for at in times]
    bounds = {name: (read[i], read[j]) for name, (i, j) in zip(names, spans, strict=True)}
    return SplitCase(
        case=_case(dtype, times),
        splits={name: (written[i], written[j]) for name, (i, j) in zip(names, spans, strict=True)},
        purge=purge if purge is None or unit == "int" else duration(purge, unitless=False).strip("'"),
        rows=split_rows(instants, bounds, gap),
    )


def _written(draws: random.Random, edge: int, zone: str | None) -> Edge:
    """Writes an edge as a string, a datetime or (a day's start only) a date, in the zone's local time."""
    local = (EPOCH + timedelta(microseconds=edge // MICROSECOND)).astimezone(UTC if zone is None else ZoneInfo(zone))
    naive = local.replace(tzinfo=None)
    midnight = naive.time() == time()
    form = draws.choice(["date", "day text", "text", "datetime"] if midnight else ["text", "datetime"])
    if form == "date":
        return naive.date()
    if form == "day text":
        return naive.date().isoformat()
    return naive.isoformat() if form == "text" else naive


def _case(dtype: str, times: list[int | None]) -> Case:
    labels = Table({"row": "Int64", "k": "Int64", "label_time": dtype}, tuple((i, 1, t) for i, t in enumerate(times)))
    events = Table({"k": "Int64", "ts": dtype, "i": "Int64"}, ((1, min(t for t in times if t is not None), 7),))
    return Case(
        labels=LabelCase(labels, ("k",), "label_time"),
        sources=(SourceCase("events", events, ("k",), "ts"),),
        features=(FeatureCase("f", 0, Recipe("columns", (Output("i", "identity", "i"),))),),
    )
