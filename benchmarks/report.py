"""Tables of what was measured, with the bars beside it."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.scenarios import OURS, PEERS, Bar, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.processes import Run

#: Name of the runs of a scenario's baseline case.
BASELINE = "baseline"
HEADERS = ("scenario", "peer", "wall s", "min-max", "CPU s", "peak GB", "wall x", "CPU x", "mem x")
_GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured of one scenario.

    Attributes:
        name: The scenario's name.
        scenario: Its definition.
        runs: Timed runs by peer; the single failed or overlong run of a peer that was not timed.
        differences: Peers whose output is not ours, with the first difference.
    """

    name: str
    scenario: Scenario
    runs: dict[str, list[Run]] = field(default_factory=dict)
    differences: dict[str, str] = field(default_factory=dict)

    def median(self, peer: str, figure: Callable[[Run], float]) -> float | None:
        """The median of a figure over the peer's runs, ``None`` where it has none."""
        runs = self.runs.get(peer, [])
        if not runs or any(run.status != "ok" for run in runs):
            return None
        return statistics.median(map(figure, runs))

    def over(self, peer: str) -> bool:
        """Whether the peer met the time limit."""
        return any(run.status == "over" for run in self.runs.get(peer, []))

    def title(self, peer: str) -> str:
        """The peer's name in the table."""
        return self.scenario.baseline_title if peer == BASELINE else peer

    def to_dict(self) -> dict[str, Any]:
        """The figures and verdicts, for JSON."""
        return {
            "title": self.scenario.title,
            "runs": {self.title(peer): [asdict(run) for run in runs] for peer, runs in self.runs.items()},
            "differences": self.differences,
            "bars": [
                {**asdict(bar), "measured": value, "met": met}
                for bar in self.scenario.bars
                for value, met in [judge(self, bar)]
            ],
        }


def _wall(run: Run) -> float:
    return run.wall


def _cpu(run: Run) -> float:
    return run.cpu


def _peak(run: Run) -> float:
    return run.peak


def judge(result: Result, bar: Bar, time: Callable[[Run], float] = _wall) -> tuple[float | None, bool | None]:
    """The measured ratio of a bar and whether it is met; ``None`` where a side was not measured.

    A peer that met the time limit counts with the limit, so its ratio is a lower bound.

    Args:
        result: What was measured.
        bar: What is required.
        time: The seconds to compare: wall, or CPU to see a ratio that a busy machine leaves alone.
    """
    if bar.kind == "seconds":
        value = result.median(OURS, time)
        return value, None if value is None else value <= bar.limit
    if bar.kind == "memory":
        mine, theirs = result.median(OURS, _peak), result.median(bar.peer, _peak)
    elif bar.kind == "slower":
        mine, theirs = result.median(OURS, time), result.median(BASELINE, time)
    else:
        mine, theirs = result.median(OURS, time), result.median(bar.peer, time)
        if theirs is None and result.over(bar.peer):
            theirs = result.runs[bar.peer][0].wall
    if mine is None or theirs is None:
        return None, None
    if bar.kind == "faster":
        return theirs / mine, theirs / mine >= bar.limit
    return mine / theirs, mine / theirs <= bar.limit


def bar_line(result: Result, bar: Bar) -> str:
    """One bar in words: what is required, what was measured, the verdict."""
    required = {
        "faster": f">= {bar.limit:g}x faster than {bar.peer}",
        "memory": f"peak <= {bar.limit:g}x of {bar.peer}",
        "slower": f"<= {bar.limit:g}x of {result.scenario.baseline_title}",
        "seconds": f"<= {bar.limit:g} s",
    }[bar.kind]
    value, met = judge(result, bar)
    if value is None:
        return f"{result.name}: {required}: not measured"
    bound = "at least " if bar.kind == "faster" and result.over(bar.peer) else ""
    unit = " s" if bar.kind == "seconds" else "x"
    cpu, _ = (None, None) if bar.kind == "memory" else judge(result, bar, _cpu)
    beside = "" if cpu is None else f" (CPU {cpu:.2f}{unit})"
    verdict = "ok" if met else "NOT MET"
    return f"{result.name}: {required}: {bound}{value:.2f}{unit}{beside} {verdict}"


def _cells(result: Result, peer: str) -> list[str]:
    runs = result.runs[peer]
    name = result.title(peer)
    if peer in result.differences:
        return [name, "DIFFERS", *[""] * 6]
    bad = next((run for run in runs if run.status != "ok"), None)
    if bad is not None:
        if bad.status == "failed":
            return [name, "failed", *[""] * 6]
        ours = result.median(OURS, _wall)
        ratio = f"> {bad.wall / ours:.1f}" if ours else ""
        return [name, f"over {bad.wall:g}", "", "", "", ratio, "", ""]
    walls = [run.wall for run in runs]
    cells = [name, f"{statistics.median(walls):.3f}", f"{min(walls):.2f}-{max(walls):.2f}"]
    ratios = []
    for figure, scale, digits in ((_wall, 1.0, None), (_cpu, 1.0, 2), (_peak, _GB, 2)):
        mine, theirs = result.median(OURS, figure), result.median(peer, figure)
        if digits is not None and theirs is not None:
            cells.append(f"{theirs / scale:.{digits}f}")
        ratios.append(f"{theirs / mine:.2f}" if mine and theirs is not None else "")
    return cells + ratios


def _notes(result: Result) -> Iterable[str]:
    for peer, found in result.differences.items():
        yield f"{result.name}: {peer} DIFFERS: {found}"
    for peer, runs in result.runs.items():
        message = next((run.message for run in runs if run.status == "failed"), None)
        disturbed = sum(run.disturbed for run in runs)
        if disturbed:
            others = f"{disturbed} of {len(runs)} runs shared the machine; compare CPU seconds"
            yield f"{result.name}: {result.title(peer)}: {others}"
        if message is not None:
            yield f"{result.name}: {result.title(peer)} failed: {message}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _markdown(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    head, *body = rows
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in body:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def summary(scenarios: Iterable[Mapping[str, Any]]) -> str:
    """One row a scenario, as Markdown: our figures, and how many times as long each peer took, by wall time.

    Args:
        scenarios: As :meth:`Result.to_dict` gives them.
    """
    peers = [p for p in PEERS if p != OURS]
    rows: list[Sequence[str]] = [("scenario", "ours, s", "CPU s", "peak GB", *peers)]
    for scenario in scenarios:
        runs = scenario["runs"]
        wall, cpu, peak = (statistics.median(r[k] for r in runs[OURS]) for k in ("wall", "cpu", "peak"))
        cells = [scenario["title"], f"{wall:.2f}", f"{cpu:.2f}", f"{peak / _GB:.2f}"]
        for peer in peers:
            theirs = runs.get(peer, [])
            if not theirs:
                cells.append("")
            elif all(r["status"] == "ok" for r in theirs):
                cells.append(f"{statistics.median(r['wall'] for r in theirs) / wall:.1f}x")
            else:
                cells.append(f"> {theirs[0]['wall'] / wall:.0f}x" if theirs[0]["status"] == "over" else "failed")
        rows.append(cells)
    return "\n".join(_markdown(rows))


def table(results: Sequence[Result], *, markdown: bool) -> str:
    """The figures of all scenarios, then the bars.

    The last three columns are the peer's figure over ours: at 5, the peer takes five times as much.
    """
    rows: list[Sequence[str]] = [HEADERS]
    for result in results:
        for position, peer in enumerate(result.runs):
            rows.append(["" if position else result.scenario.title, *_cells(result, peer)])
    lines = list(_markdown(rows) if markdown else _aligned(rows))
    notes = [note for result in results for note in _notes(result)]
    bars = [bar_line(result, bar) for result in results for bar in result.scenario.bars]
    mark = "- " if markdown else ""
    return "\n".join([*lines, "", *(mark + line for line in [*notes, *bars])]).rstrip()
