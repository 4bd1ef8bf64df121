"""A build's result as text, as notebook HTML and as a page. Takes plain values, computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import PurePath
from typing import Any, Final

from timefence_pl.durations import parse_duration, short_span
from timefence_pl.reports.audit import charts_of
from timefence_pl.reports.page import Fact, Html, badge, fact_list, figures, grid, note, page, section, table, text

__all__ = ["PARTS", "build_html", "build_page", "build_text"]

#: What becomes of a label row.
PARTS: Final = ("matched_value", "null_value", "stale", "too_old", "no_history")
#: Features that have a section of their own.
_SHOWN: Final = 20
#: Features whose recomputation is told by name.
_NAMED: Final = 6


def build_text(output: str | None, stats: Any, manifest: Mapping[str, Any]) -> str:
    """A few lines: rows, output, for each feature where its rows went, and what the store had."""
    lines = [f"BuildResult: {stats.row_count:,} rows, {stats.column_count} columns in {stats.duration_seconds:.2f} s"]
    if output:
        lines.append(f"  output: {output}")
    for name, rows in stats.split_rows.items():
        lines.append(f"  split {name}: {rows:,} rows")
    if stats.purged_rows:
        lines.append(f"  purged: {stats.purged_rows:,} rows")
    if stats.incomplete_labels:
        lines.append(f"  labels: {_incomplete(stats.incomplete_labels, stats.label_count)}")
    width = max((len(n) for n in stats.feature_stats), default=0)
    for name, s in stats.feature_stats.items():
        matched = f"{s['matched']:,} / {stats.label_count:,} matched"
        lost = [f"{s[p]:,} {p}" for p in PARTS if p != "matched_value" and s[p]]
        if s["dropped_source_rows"]:
            lost.append(f"{s['dropped_source_rows']:,} source rows without key, time or availability")
        lines.append(f"  {name:<{width}}  {matched}" + (f"  ({', '.join(lost)})" if lost else ""))
    lines += [f"  {line}" for line in _from_store(manifest)]
    audit = manifest["audit"]
    lines.append(f"  checked: {audit['invariant']} in {audit['rows_checked']:,} rows")
    return "\n".join(lines)


def _from_store(manifest: Mapping[str, Any]) -> list[str]:
    """What was taken from the store and what was computed, each with why; nothing where there was no store."""
    features = manifest["features"]
    if all(f["cache_reason"] == "no store" for f in features.values()):
        return []
    if manifest["reused"]:
        return ["from the store: the whole set, of an equal earlier build"]
    computed = [f"{n} ({str(f['cache_reason']).splitlines()[0]})" for n, f in features.items() if not f["cached"]]
    lines = [f"from the store: {len(features) - len(computed)} of {len(features)} features"]
    if computed:
        more = f", and {len(computed) - _NAMED} more" if len(computed) > _NAMED else ""
        lines.append(f"computed: {', '.join(computed[:_NAMED])}{more}")
    return lines


def build_html(output: str | None, stats: Any, manifest: Mapping[str, Any]) -> str:
    """A small table for notebooks; everything escaped."""
    head = f"{stats.row_count:,} rows, {stats.column_count} columns in {stats.duration_seconds:.2f} s"
    where = f" &rarr; <code>{escape(output)}</code>" if output else ""
    rows = [[name, *(f"{s[p]:,}" for p in PARTS)] for name, s in stats.feature_stats.items()]
    audit = manifest["audit"]
    lines = [f"Checked: {audit['invariant']} in {audit['rows_checked']:,} rows."]
    if stats.split_rows:
        lines.append(f"Splits: {', '.join(f'{name} {n:,} rows' for name, n in stats.split_rows.items())}.")
    lines += [
        f"{n:,} rows {what}."
        for n, what in ((stats.purged_rows, "purged"), (stats.unassigned_rows, "in no split"))
        if n
    ]
    if stats.incomplete_labels:
        lines.append(f"Labels: {_incomplete(stats.incomplete_labels, stats.label_count)}.")
    taken = sum(bool(f.get("cached")) for f in manifest["features"].values())
    lines += [f"{taken} of {len(manifest['features'])} features from the store."] if taken else []
    columns = ["feature", *(p.replace("_", " ") for p in PARTS)]
    return table(f"Training set: {head}", columns, rows, lead=where, note="\n".join(lines))


def build_page(
    output: str | None, stats: Any, manifest: Mapping[str, Any], charts: Mapping[str, Any], remark: str
) -> Html:
    """A page of its own: figures, and for each feature where its rows went.

    Args:
        output: Where the set was written.
        stats: The build's figures.
        manifest: Its manifest.
        charts: What charts are drawn from, by feature.
        remark: Why there are no charts.
    """
    labels, names = stats.label_count, list(stats.feature_stats)
    facts = [
        Fact("Rows", f"{stats.row_count:,}"),
        Fact("Columns", f"{stats.column_count:,}"),
        Fact("Label rows", f"{labels:,}"),
        Fact("Features", f"{len(stats.feature_stats):,}"),
        Fact("Seconds", f"{stats.duration_seconds:.2f}"),
        *([Fact("Without key or time", f"{stats.incomplete_labels:,}", "warn")] if stats.incomplete_labels else []),
        *([Fact("Rows purged", f"{stats.purged_rows:,}")] if stats.purged_rows else []),
        *([Fact("In no split", f"{stats.unassigned_rows:,}", "warn")] if stats.unassigned_rows else []),
    ]
    heads = ["feature", "matched", *(p.replace("_", " ") for p in PARTS), "youngest value", "source rows dropped"]
    rows = [
        [
            name,
            f"{s['matched'] / labels:.1%}" if labels else "-",
            *(f"{s[p]:,}" for p in PARTS),
            _span(s["youngest_value"]),
            f"{s['dropped_source_rows']:,}",
        ]
        for name, s in stats.feature_stats.items()
    ]
    audit = manifest["audit"]
    parts = [
        fact_list(facts),
        grid(heads, rows),
        note(f"Checked: {audit['invariant']} in {audit['rows_checked']:,} rows."),
        *([note(m, "warn") for m in manifest["counts"]["messages"]]),
        *([note(remark)] if remark else []),
        *_splits(stats, labels=manifest["labels"]),
        *(_feature(name, manifest["features"][name], charts.get(name)) for name in names[:_SHOWN]),
        *([note(f"{len(names) - _SHOWN} more features are left out here.")] if len(names) > _SHOWN else []),
    ]
    lead = f"Written to {output}." if output else "Kept in memory."
    start, end = manifest["labels"]["time_range"]
    lead += f" Labels: {manifest['labels']['path']}" + (f", from {start} to {end}." if start is not None else ".")
    title = f"Training set {PurePath(output).name}" if output else "Training set"
    return page(title, *parts, lead=lead, verdict=badge("built", "good"))


def _incomplete(count: int, labels: int) -> str:
    return f"{count:,} of {labels:,} have a null key or label time"


def _span(value: object) -> str:
    """A span in two units; integer times as they are."""
    if value is None:
        return "-"
    span = parse_duration(value) if isinstance(value, str) else None
    return str(value) if span is None else short_span(span.amount)


def _splits(stats: Any, *, labels: Mapping[str, Any]) -> list[Html]:
    if not stats.split_rows:
        return []
    rows = [[name, f"{n:,}"] for name, n in stats.split_rows.items()]
    return [section("Splits", grid(["split", "rows"], rows, caption=f"By {labels['label_time_column']}:"))]


def _feature(name: str, recorded: Mapping[str, Any], charts: Any) -> Html:
    bounds = [
        (w, recorded[k])
        for w, k in (("embargo", "embargo"), ("lookback", "max_lookback"), ("staleness", "max_staleness"))
    ]
    said = ", ".join(f"{word} {value}" for word, value in bounds if value not in (None, 0, "0s")) or "no bounds"
    source = f"{recorded['mode'].capitalize()} of {recorded['source']} ({recorded['source_data']}): {said}."
    drawn = charts_of(charts, verdicts=False) if charts is not None else []
    return section(name, text(source), figures(drawn))
