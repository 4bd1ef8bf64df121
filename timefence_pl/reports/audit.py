"""Audit reports as text, as notebook HTML and as a page. Takes the report's plain values, computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import polars as pl

from timefence_pl.durations import short_span
from timefence_pl.errors import listing
from timefence_pl.printing import plain_rows
from timefence_pl.reports.charts import LEFT_OUT, Bars, Histogram, drawn, histogram, over_time
from timefence_pl.reports.page import (
    Cell,
    Fact,
    Html,
    Tone,
    badge,
    fact_list,
    figures,
    grid,
    note,
    page,
    section,
    table,
    text,
)

__all__ = ["audit_html", "audit_page", "audit_text", "charts_of"]

#: How each verdict is meant, and drawn.
_TONES: Final[dict[str, Tone]] = {
    "ok": "good",
    "absent": "warn",
    "future": "bad",
    "stale": "warn",
    "unexpected": "bad",
    "differs": "warn",
}
_MEANING: Final = {
    "future": "the value of a row, or window, that was not known yet",
    "unexpected": "a value where none is due, found in no row of the entity",
    "stale": "the value of an older row, or window",
    "differs": "another value than the one due, found in no row of the entity",
    "absent": "nothing where a value is due",
}
_VERDICT_COLOURS: Final = {
    "ok": "#4a86ad",
    "stale": "#d8a72a",
    "differs": "#8a63b5",
    "absent": "#9aa0a8",
    "unexpected": "#e8743b",
    "future": "#c62a2f",
}
_REASON_COLOURS: Final = {
    "no_history": "#9aa0a8",
    "too_old": "#d8a72a",
    "stale": "#e8743b",
    "null_value": "#4a86ad",
}
_SHOWN_ROWS: Final = 10
#: Columns of failing rows that name a row's origin.
_ORIGINS: Final = frozenset(
    f"{side}_{what}"
    for side in ("found", "due")
    for what in ("feature_time", "known_at", "source_row", "as", "last_event")
)
_SHOWN_FEATURES: Final = 20
_SHOWN_COLUMNS: Final = 5
_LONGEST: Final = 60


def audit_text(report: Any) -> str:
    """A headline, then a few lines for each feature, worst first."""
    lines = ["TEMPORAL AUDIT REPORT", f"Scanned {report.total_rows:,} rows of {report.data}"]
    lines.append(_headline(report))
    lines += _unaudited(report)
    lines.append("")
    for f in _worst_first(report):
        if f.clean:
            nulls = f", {f.null_rows:,} null" if f.null_rows else ""
            lines.append(f"  OK    {f.name} - clean ({f.total_rows:,} rows{nulls})")
            lines += [f"        {n}" for n in f.notes]
            continue
        lines.append(f"  {'LEAK' if f.leaky else 'FAIL'}  {f.name}")
        if f.leaky_row_count:
            lines.append(f"        {f.leaky_row_count:,} rows ({f.leaky_row_pct:.1%}) use feature data from the future")
        lines += [f"        {f.counts[v]:,} {v}: {meaning}" for v, meaning in _MEANING.items() if f.counts[v]]
        lines += [f"        {told}" for told in _wrong_columns(f)]
        if f.shown_max_leakage:
            lines.append(f"        Max leakage: {f.shown_max_leakage}, median: {f.shown_median_leakage}")
        lines += [f"        {p}" for p in (*f.problems, *f.notes)]
        if f.lookahead is not None and not f.lookahead.clean:
            lines.append(f"        Look-ahead check: {f.lookahead.status}, {f.lookahead.reason}")
        lines.append(f"        Severity: {f.severity}")
    return "\n".join(lines)


def audit_html(report: Any) -> str:
    """A table for notebooks; everything escaped."""
    rows = [
        [f.name, _status(f), f"{f.leaky_row_count:,}", f"{f.leaky_row_pct:.1%}", f.shown_max_leakage, f.severity]
        + [f"{f.counts[v]:,}" for v in ("stale", "differs", "absent")]
        for f in _worst_first(report)
    ]
    heads = ["feature", "status", "leaking rows", "share", "largest leak", "severity", "stale", "differs", "absent"]
    remarks = [*_unaudited(report), *(f"{f.name}: {p}" for f in report.features.values() for p in f.problems)]
    title = f"Audit of {report.total_rows:,} rows: {_headline(report)}"
    return table(title, heads, rows, left=(0, 1, 5), note=" ".join([f"Rule: {report.rule}.", *remarks]))


def audit_page(report: Any) -> Html:
    """A page of its own: verdicts, and for each feature charts and the rows that prove them."""
    features = _worst_first(report)
    leaking, failing = len(report.leaky_features), len(report.failing_features)
    rows = report.counts
    facts = [
        Fact("Rows", f"{report.total_rows:,}", "plain" if report.total_rows else "bad"),
        Fact("Features", f"{len(features):,}"),
        Fact("Leaking features", f"{leaking:,}", "bad" if leaking else "good"),
        Fact("Failing otherwise", f"{failing - leaking:,}", "warn" if failing > leaking else "quiet"),
        Fact("Leaking values", f"{rows['future'] + rows['unexpected']:,}", "bad" if leaking else "quiet"),
    ]
    method = (
        "Each feature was rebuilt from its source for the rows of the data set, and compared value by value."
        if report.mode == "rebuild"
        else "The data set's own feature times were compared with its label times; nothing was rebuilt."
    )
    heads = ["feature", "status", "ok", *_MEANING, "largest leak", "median leak", "severity"]
    overview: list[list[Cell]] = [
        [
            f.name,
            badge(_status(f), _tone(f)),
            f"{f.counts['ok']:,}",
            *(f"{f.counts[v]:,}" for v in _MEANING),
            f.shown_max_leakage or "-",
            f.shown_median_leakage or "-",
            f.severity,
        ]
        for f in features
    ]
    if report.lookahead is not None:
        heads.append("look-ahead check")
        for line, f in zip(overview, features, strict=True):
            line.append(f.lookahead.status.replace("_", " "))
    meanings = [[badge(v, _TONES[v]), m] for v, m in _MEANING.items() if rows[v]]
    legend = [
        grid(["verdict", "meaning"], meanings, left=(0, 1), wrap=(1,)),
        note(
            "A leak's size is how long after the last usable instant, label time less embargo, the value became known."
        ),
    ]
    charted = any(f.charts.ages.height or f.charts.verdicts.height for f in features)
    shown = features[:_SHOWN_FEATURES]
    parts = [
        fact_list(facts),
        grid(heads, overview, left=(0, 1)),
        *map(note, _unaudited(report)),
        *(legend if meanings else []),
        *([note(LEFT_OUT)] if charted and not drawn() else []),
        *([_lookahead(report.lookahead)] if report.lookahead is not None and report.lookahead.leaky_features else []),
        *(_feature(f) for f in shown),
        *(
            [note(f"The charts of {len(features) - len(shown)} more features are left out.")]
            if features[len(shown) :]
            else []
        ),
    ]
    partly = bool(report.clean and report.unaudited_columns)
    verdict = badge(
        "leakage" if report.has_leakage else "partly audited" if partly else "clean" if report.clean else "not clean",
        "bad" if report.has_leakage else "good" if report.clean and not partly else "warn",
    )
    return page(f"Audit of {_name(report.data)}", *parts, lead=f"{method} Rule: {report.rule}.", verdict=verdict)


def charts_of(charts: Any, verdicts: bool = True) -> list[tuple[str, str]]:
    """The charts of one feature with their captions; none where they cannot be drawn.

    Args:
        charts: The figures.
        verdicts: Whether rows have verdicts; else all values are those due.
    """
    bars = [(b, v, n) for b, v, n in charts.ages.select("bin", "verdict", "rows").iter_rows()]
    single = {v for _, v, _ in bars} == {"ok"}
    caption = "Age of the values at label time" + ("." if single else "; ages below zero lie after the label.")
    drawings = [
        (histogram(Histogram(charts.edges, bars, charts.marks, "age at label time", "rows"), _VERDICT_COLOURS), caption)
    ]
    axis = "label time" + (" (UTC)" if charts.times else "")
    if len(charts.spans) > 1:
        missing = [
            (b, r, n / charts.totals[b])
            for b, r, n in charts.reasons.iter_rows()
            if r in _REASON_COLOURS and charts.totals.get(b)
        ]
        bars_missing = Bars(charts.spans, missing, axis, "share of rows", charts.times, share=True)
        drawings.append(
            (over_time(bars_missing, _REASON_COLOURS), "Rows for which no value is due, by reason, over label time.")
        )
        if verdicts:
            wrong = Bars(charts.spans, list(charts.verdicts.iter_rows()), axis, "rows", charts.times)
            drawings.append((over_time(wrong, _VERDICT_COLOURS), "Rows that are not ok, by verdict, over label time."))
    return [(svg, caption) for svg, caption in drawings if svg]


def _feature(f: Any) -> Html:
    parts: list[Html] = [text(f"{f.total_rows:,} rows, {f.bounds}."), *(text(f"{t}.") for t in _wrong_columns(f))]
    parts += [note(p, "bad") for p in f.problems]
    parts += [note(n) for n in f.notes]
    if f.lookahead is not None and not f.lookahead.clean:
        parts.append(note(f"Look-ahead check: {f.lookahead.status}, {f.lookahead.reason}.", _tone(f)))
    parts.append(figures(charts_of(f.charts)))
    if f.rows.height:
        parts.append(_examples(f.rows, f.counts))
    return section(f.name, *parts, tag=badge(_status(f), _tone(f)))


def _examples(rows: pl.DataFrame, counts: Any) -> Html:
    """The first rows of each verdict."""
    words = rows["verdict"].cast(pl.String)
    several = [v for v in _MEANING if counts[v]]
    few = max(2, _SHOWN_ROWS // max(len(several), 1))
    picked = pl.concat([rows.filter(words == v).head(few) for v in several])
    cells = [
        [badge(str(v), _TONES[str(v)]) if c == "verdict" else _cell(v) for c, v in row.items()]
        for row in plain_rows(picked)
    ]
    left = [i for i, d in enumerate(picked.dtypes) if not d.is_numeric()]
    total = rows.height
    caption = f"{'All' if total == picked.height else 'The first'} {picked.height:,} of {total:,} rows that are not ok:"
    return grid([_heading(c) for c in picked.columns], cells, left=left, caption=caption)


def _heading(column: str) -> str:
    """Our own words without underscores; the columns' names as they are."""
    name, found, word = column.rpartition("__")
    if found and word in ("found", "due"):
        return f"{name} {word}"
    return column.replace("_", " ") if column in _ORIGINS else column


def _lookahead(report: Any) -> Html:
    rows = [[f.name, f.reason] for f in report.features.values() if f.status == "leaky"]
    return section(
        "Features that look ahead",
        text("Computed from the rows known before a cutoff, these features give other values than from all rows."),
        grid(["feature", "what was found"], rows, left=(0, 1), wrap=(1,)),
        tag=badge("look-ahead", "bad"),
    )


def _headline(report: Any) -> str:
    total = len(report.features)
    if report.has_leakage:
        return f"WARNING: LEAKAGE DETECTED in {len(report.leaky_features)} of {total} features"
    if report.clean and report.unaudited_columns:
        return f"CLEAN as far as audited: {total} feature{'' if total == 1 else 's'}, not all columns"
    if report.clean:
        return "ALL CLEAN - no temporal leakage detected"
    if not report.total_rows:
        return "NOTHING CHECKED - the data set has no rows"
    return f"NOT CLEAN - {len(report.failing_features)} of {total} features fail, without leakage found"


def _wrong_columns(f: Any) -> list[str]:
    """In which columns of several, the worst first."""
    if len(f.columns) < 2 or not f.wrong_rows:
        return []
    shown = [f"{c} in {n:,}" for c, n in list(f.wrong_rows.items())[:_SHOWN_COLUMNS]]
    more = len(f.wrong_rows) - len(shown)
    words = ", ".join(shown) + (f" and {more} more" if more else "")
    return [f"Not as due, of {len(f.columns)} columns, in rows: {words}"]


def _unaudited(report: Any) -> list[str]:
    columns = report.unaudited_columns
    if not columns:
        return []
    count = f"{len(columns):,} column{'s' if len(columns) > 1 else ''}"
    return [f"Not audited: {count} named as features' are, of none that was given: {listing(columns, 4)}."]


def _worst_first(report: Any) -> Sequence[Any]:
    return sorted(report.features.values(), key=lambda f: (not f.leaky, f.clean, -f.leaky_row_count))


def _status(f: Any) -> str:
    return "clean" if f.clean else "leak" if f.leaky else "fails"


def _tone(f: Any) -> Tone:
    return "good" if f.clean else "bad" if f.leaky else "warn"


def _name(data: str) -> str:
    return data if len(data) <= _LONGEST else "…" + data[-_LONGEST:]


def _cell(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, timedelta):
        return short_span(value // timedelta(microseconds=1) * 1000)
    shown = f"{value:.10g}" if isinstance(value, float) else str(value)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"
