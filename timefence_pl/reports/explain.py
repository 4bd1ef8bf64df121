"""Explanations as text and as notebook HTML."""

from __future__ import annotations

from typing import Any

from timefence_pl.reports.page import table

__all__ = ["explain_html", "explain_text", "row_text"]


def explain_text(result: Any) -> str:
    """For each feature how it is joined."""
    lines = [f"Point-in-time join of {len(result.features)} feature(s) to {result.labels}"]
    for f in result.features.values():
        cache = "yes" if f.cached else f"no ({f.cache_reason})"
        lines += [
            "",
            f"{f.name}  (source {f.source}, {f.mode})",
            f"  join:     {f.condition}",
            f"  window:   {f.window}",
            f"  embargo:  {f.embargo}",
            f"  strategy: {f.strategy}",
            f"  cost:     {f.cost}",
            f"  cached:   {cache}",
            f"  columns:  {', '.join(f.columns)}",
        ]
    return "\n".join(lines)


def explain_html(result: Any) -> str:
    """One row a feature; everything escaped."""
    rows = [
        [f.name, f.source, f.condition, f.window, f.strategy, "yes" if f.cached else f"no ({f.cache_reason})"]
        for f in result.features.values()
    ]
    heads = ["feature", "source", "join condition", "usable feature times", "strategy", "cached"]
    return table(f"Point-in-time join to {result.labels}", heads, rows, left=range(len(heads)))


def row_text(explanation: Any) -> str:
    """The label row, and for each feature the row chosen and the rows passed over."""
    label = ", ".join(f"{k}={v}" for k, v in explanation.label.items())
    lines = [f"label row {explanation.row}: {label}"]
    for f in explanation.features.values():
        lines += ["", f"{f.feature}: {f.reason.replace('_', ' ')}", f"  {f.condition}"]
        chosen = f.chosen
        shown = [*([chosen] if chosen else []), *f.passed_over]
        if f.windows:
            lines.append("  events: " + ", ".join(f"{n:,} in {w}" for w, n in f.windows.items()))
            lines.append("  values: " + ", ".join(f"{k}={v}" for k, v in f.values.items()))
        if f.note:
            lines.append(f"  {f.note}")
        elif not shown:
            lines.append("  the entity has no row in the source")
        width = max((len(c.verdict) for c in shown), default=0)
        for c in shown:
            mark = "->" if c is chosen or c.verdict == "counted" else "  "
            known = f", usable from {c.usable_from}" if c.usable_from is not None else ""
            values = ", ".join(f"{k}={v}" for k, v in c.values.items())
            lines.append(f"  {mark} {c.verdict:<{width}}  {c.time}{known}  [{values}]  {c.why}")
        hidden = f.entity_rows - len(shown)
        if hidden > 0:
            lines.append(f"     and {hidden} more rows of the entity")
    return "\n".join(lines)
