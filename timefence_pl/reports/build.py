"""A build's result as text and as notebook HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from timefence_pl.reports.page import table

__all__ = ["build_html", "build_text"]

_PARTS: Final = ("matched_value", "null_value", "stale", "too_old", "no_history")


def build_text(output: str | None, stats: Any, manifest: Mapping[str, Any]) -> str:
    """A few lines: rows, output, and for each feature where its rows went."""
    lines = [f"BuildResult: {stats.row_count:,} rows, {stats.column_count} columns in {stats.duration_seconds:.2f} s"]
    if output:
        lines.append(f"  output: {output}")
    for name, rows in stats.split_rows.items():
        lines.append(f"  split {name}: {rows:,} rows")
    if stats.purged_rows:
        lines.append(f"  purged: {stats.purged_rows:,} rows")
    width = max((len(n) for n in stats.feature_stats), default=0)
    for name, s in stats.feature_stats.items():
        matched = f"{s['matched']:,} / {stats.label_count:,} matched"
        lost = [f"{s[p]:,} {p}" for p in _PARTS if p != "matched_value" and s[p]]
        if s["dropped_source_rows"]:
            lost.append(f"{s['dropped_source_rows']:,} source rows without key or time")
        lines.append(f"  {name:<{width}}  {matched}" + (f"  ({', '.join(lost)})" if lost else ""))
    audit = manifest["audit"]
    lines.append(f"  checked: {audit['invariant']} in {audit['rows_checked']:,} rows")
    return "\n".join(lines)


def build_html(output: str | None, stats: Any, manifest: Mapping[str, Any]) -> str:
    """A small table for notebooks; everything escaped."""
    head = f"{stats.row_count:,} rows, {stats.column_count} columns in {stats.duration_seconds:.2f} s"
    where = f" &rarr; <code>{escape(output)}</code>" if output else ""
    rows = [[name, *(f"{s[p]:,}" for p in _PARTS)] for name, s in stats.feature_stats.items()]
    audit = manifest["audit"]
    note = f"Checked: {audit['invariant']} in {audit['rows_checked']:,} rows."
    columns = ["feature", *(p.replace("_", " ") for p in _PARTS)]
    return table(f"Training set: {head}", columns, rows, lead=where, note=note)
