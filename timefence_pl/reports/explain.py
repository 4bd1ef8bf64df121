"""Explanations as text and as notebook HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from timefence_pl.reports.page import Block, blocks, table

__all__ = ["explain_html", "explain_text", "row_html", "row_text"]

_WIDTH: Final = 110
_INDENT: Final = 12
_AND: Final = " AND "


def explain_text(result: Any) -> str:
    """For each feature how it is joined."""
    lines = [f"Point-in-time join of {len(result.features)} feature(s) to {result.labels}"]
    for f in result.features.values():
        lines += [
            "",
            f"{f.name}  (source {f.source}, {f.mode})",
            *_wrapped("join:", _conditions(f.condition)),
            *_wrapped("window:", f.window.split("; "), ";"),
            f"  embargo:  {f.embargo}",
            f"  strategy: {f.strategy}",
            f"  cost:     {f.cost}",
            f"  cached:   {_cached(f)}",
            *_wrapped("columns:", f.columns, ","),
        ]
    return "\n".join(lines)


def explain_html(result: Any) -> str:
    """A block for each feature; everything escaped."""
    entries = [
        Block(
            f.name,
            [f"source {f.source}", f.mode],
            [*_conditions(f.condition), f"usable: {f.window}" if "; " not in f.window else "windows:"]
            + ([] if "; " not in f.window else [f"\u2003{w}" for w in f.window.split("; ")]),
            [
                ("embargo", f.embargo),
                ("strategy", f.strategy),
                ("cost", f.cost),
                ("cached", _cached(f)),
                ("columns", ", ".join(f.columns)),
            ],
        )
        for f in result.features.values()
    ]
    return blocks(f"Point-in-time join of {len(entries)} feature(s) to {result.labels}", entries)


def row_text(explanation: Any) -> str:
    """The label row, and for each feature the row chosen and the rows passed over."""
    lines = [_title(explanation)]
    for f in explanation.features.values():
        lines += ["", f"{f.feature}: {f.reason.replace('_', ' ')}", *_wrapped("", _conditions(f.condition), indent=2)]
        shown = _candidates(f)
        if f.windows:
            lines.append(f"  events: {_windows(f)}")
            lines += _wrapped("values:", [f"{k}={v}" for k, v in f.values.items()], ",", indent=10)
        if f.note:
            lines.append(f"  {f.note}")
        elif not shown:
            lines.append(f"  {_NO_ROW}")
        width = max((len(c.verdict) for c in shown), default=0)
        for c in shown:
            mark = "->" if _won(f, c) else "  "
            known = f", usable from {c.usable_from}" if c.usable_from is not None else ""
            lines.append(f"  {mark} {c.verdict:<{width}}  {c.time}{known}  [{_values(c)}]  {c.why}")
        hidden = f.entity_rows - len(shown)
        if hidden > 0:
            lines.append(f"     and {hidden} more rows of the entity")
    return "\n".join(lines)


def row_html(explanation: Any) -> str:
    """The same as tables for notebooks; everything escaped."""
    heads = ["verdict", "feature time", "usable from", "values", "why"]
    parts = []
    for f in explanation.features.values():
        shown = _candidates(f)
        rows = [
            [
                ("\u2192 " if _won(f, c) else "") + c.verdict,
                str(c.time),
                "" if c.usable_from is None else str(c.usable_from),
                _values(c),
                c.why,
            ]
            for c in shown
        ]
        known = any(r[2] for r in rows)
        kept = [i for i in range(len(heads)) if known or i != 2]
        hidden = f.entity_rows - len(shown)
        said = [
            *([f"and {hidden} more rows of the entity"] if hidden > 0 else []),
            *([f.note] if f.note else [] if shown else [_NO_ROW]),
            *([f"events: {_windows(f)}"] if f.windows else []),
            *([f"values: {', '.join(f'{k}={v}' for k, v in f.values.items())}"] if f.windows else []),
            f.condition,
        ]
        parts.append(
            table(
                f"{f.feature}: {f.reason.replace('_', ' ')}",
                [heads[i] for i in kept] if rows else [],
                [[r[i] for i in kept] for r in rows],
                note="\n".join(said),
                left=range(len(kept)),
            )
        )
    return table(_title(explanation), [], []) + "".join(f'<div style="margin-top:10px">{p}</div>' for p in parts)


_NO_ROW: Final = "the entity has no row of this feature"


def _title(explanation: Any) -> str:
    return f"label row {explanation.row}: " + ", ".join(f"{k}={v}" for k, v in explanation.label.items())


def _candidates(f: Any) -> list[Any]:
    return [*([f.chosen] if f.chosen else []), *f.passed_over]


def _won(f: Any, candidate: Any) -> bool:
    return candidate is f.chosen or candidate.verdict == "counted"


def _values(candidate: Any) -> str:
    return ", ".join(f"{k}={v}" for k, v in candidate.values.items())


def _windows(f: Any) -> str:
    return ", ".join(f"{n:,} in {w}" for w, n in f.windows.items())


def _cached(f: Any) -> str:
    return "yes" if f.cached else f"no ({f.cache_reason})"


def _conditions(condition: str) -> list[str]:
    """The parts of a join condition, each but the first with its AND."""
    first, *others = condition.split(_AND)
    return [first, *(f"AND {o}" for o in others)]


def _wrapped(word: str, parts: Sequence[str], separator: str = "", *, indent: int = _INDENT) -> list[str]:
    """A word and what it says, in lines that break between parts."""
    lines, line = [], f"  {word}".ljust(indent)
    for i, part in enumerate(parts):
        said = part + (separator if i < len(parts) - 1 else "")
        if len(line) > indent and len(line) + len(said) > _WIDTH:
            lines.append(line.rstrip())
            line = " " * indent
        line += said + " "
    return [*lines, line.rstrip()]
