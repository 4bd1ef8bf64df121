"""Look-ahead reports as text, as notebook HTML and as a page. Takes the report's plain values, computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from timefence_pl.printing import plain_rows
from timefence_pl.reports.charts import LEFT_OUT, Histogram, drawn, histogram
from timefence_pl.reports.page import (
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

__all__ = ["lookahead_html", "lookahead_page", "lookahead_text"]

#: Worst first, with how they are said.
_STATUS: Final[dict[str, tuple[str, Tone]]] = {
    "leaky": ("leaky", "bad"),
    "nondeterministic": ("nondeterministic", "warn"),
    "unchecked": ("unchecked", "warn"),
    "needs_embargo": ("within embargo", "good"),
    "clean": ("clean", "good"),
}
_COUNTS: Final = ("rows_compared", "rows_differing", "rows_within_embargo")
_ALL_ROWS: Final = "__all_rows"
_BEFORE: Final = "__before_cutoff"
_LONGEST: Final = 80
#: Example rows of each cutoff on a page.
_EXAMPLES: Final = 2
_RULE: Final = (
    "Each feature was computed from all rows of its source, and again from the rows known before each cutoff. "
    "Its rows known before the cutoff must be the same in both."
)


def lookahead_text(report: Any) -> str:
    """One line for each feature, worst first, and what was covered."""
    features = _worst_first(report)
    names = max((len(f.name) for f in features), default=0)
    words = max((len(_word(f)) for f in features), default=0)
    lines = [f"LookaheadReport: {_summary(report)}"]
    for f in features:
        line = f"  {f.name:<{names}}  {_word(f):<{words}}  {f.reason}"
        lines.append(line.rstrip())
    lines.append("  covered:")
    lines += [f"    {where}: {what}" for where, what in _covered(features)]
    return "\n".join(lines)


def lookahead_html(report: Any) -> str:
    """A table for notebooks; everything escaped."""
    rows = [[f.name, _word(f), f"{f.rows_differing:,}", f"{f.rows_compared:,}", f.reason] for f in _worst_first(report)]
    covered = "; ".join(f"{where}: {what}" for where, what in _covered(report.features.values()))
    heads = ["feature", "verdict", "rows that differ", "rows compared", "why"]
    title = f"Look-ahead: {_summary(report)}"
    return table(title, heads, rows, note=f"Covered: {covered}.", left=(0, 1, 4))


def lookahead_page(report: Any) -> Html:
    """A page of its own: the verdicts, and for each feature that is not clean the rows that prove it."""
    features = _worst_first(report)
    counts = {status: sum(f.status == status for f in features) for status in _STATUS}
    verdict = badge("look-ahead", "bad") if counts["leaky"] else badge("no look-ahead found", "good")
    if not counts["leaky"] and counts["nondeterministic"] + counts["unchecked"]:
        verdict = badge("not all checked", "warn")
    facts = [
        Fact(word[:1].upper() + word[1:], f"{counts[status]:,}", tone if counts[status] else "quiet")
        for status, (word, tone) in _STATUS.items()
    ]
    rows = [
        [
            f.name,
            badge(_word(f), _STATUS[f.status][1]),
            f.reason or "the same at every cutoff",
            f"{f.rows_differing:,}",
            f"{f.rows_compared:,}",
            f.shown_reach or "-",
            f.embargo or "-",
        ]
        for f in features
    ]
    heads = ["feature", "verdict", "why", "rows that differ", "rows compared", "reach", "embargo"]
    charted = any(not f.distances.is_empty() for f in features)
    parts = [
        fact_list(facts),
        grid(heads, rows, left=(0, 1, 2), wrap=(2,)),
        note(
            "Reach: how far before a cutoff the earliest row that differs became known. "
            "Cutoffs stand one unit of time after a row."
        ),
        *([note("tf.lint(features) names the expressions that look ahead.")] if counts["leaky"] else []),
        *([note(LEFT_OUT)] if charted and not drawn() else []),
        section("What was covered", grid(["source", "covered"], _covered(features), left=(0, 1), wrap=(1,))),
        *(_feature(f) for f in features if not f.cutoffs.is_empty() and f.rows_differing),
    ]
    said = _summary(report)
    return page("Look-ahead report", *parts, lead=f"{_RULE} {said[:1].upper()}{said[1:]}.", verdict=verdict)


def _feature(f: Any) -> Html:
    word, tone = _STATUS[f.status]
    said = f"{f.reason[:1].upper()}{f.reason[1:]}." if f.reason else ""
    cutoffs = [
        [_cell(r["cutoff"]), *(f"{r[n]:,}" for n in _COUNTS[: 3 if f.embargo else 2])] for r in plain_rows(f.cutoffs)
    ]
    heads = ["cutoff", "rows compared", "rows that differ", f"within the embargo of {f.embargo}"]
    chart = _chart(f)
    return section(
        f.name,
        text(said),
        figures([(chart, "How long before its cutoff each row that differs became known.")] if chart else []),
        grid(heads[: len(cutoffs[0])], cutoffs),
        *_examples(f.examples),
        tag=badge(word, tone),
    )


def _examples(examples: pl.DataFrame) -> tuple[Html, ...]:
    if examples.is_empty():
        return ()
    few = examples.filter(pl.int_range(pl.len()).over("cutoff") < _EXAMPLES)
    rows = [[_side(name, value, row["difference"]) for name, value in row.items()] for row in plain_rows(few)]
    heads = [name.replace(_ALL_ROWS, ", all rows").replace(_BEFORE, ", rows before") for name in examples.columns]
    left = [i for i, dtype in enumerate(examples.dtypes) if not dtype.is_numeric()]
    said = "The first rows that differ at each cutoff, computed from all rows and from the rows before it:"
    return text(said), grid(heads, rows, left=left)


def _side(name: str, value: Any, difference: str) -> str:
    """A value of an example; on the side that has no such row it says so."""
    absent = (difference == "missing" and name.endswith(_BEFORE)) or (
        difference == "extra" and name.endswith(_ALL_ROWS)
    )
    return "no row" if absent else _cell(value)


def _chart(f: Any) -> str | None:
    bins = f.distances.rows(named=True)
    if not bins:
        return None
    edges = [bins[0]["from"], *(b["to"] for b in bins)]
    marks = []
    if f.embargo and f.embargo_at is not None:
        marks.append((f.embargo_at, f"embargo {f.embargo}"))
    bars = [(i, "rows", b["rows"]) for i, b in enumerate(bins) if b["rows"]]
    given = Histogram(edges, bars, marks, "time before the cutoff", "rows that differ")
    return histogram(given, {"rows": "#c62a2f" if f.status == "leaky" else "#946800"})


def _worst_first(report: Any) -> list[Any]:
    order = list(_STATUS)
    return sorted(report.features.values(), key=lambda f: order.index(f.status))


def _word(f: Any) -> str:
    return _STATUS[f.status][0]


def _summary(report: Any) -> str:
    total = len(report.features)
    leaky = len(report.leaky_features)
    features = f"{total:,} feature{'' if total == 1 else 's'}"
    said = (
        f"{leaky:,} of {features} look{'s' if leaky == 1 else ''} ahead" if leaky else f"none of {features} looks ahead"
    )
    unsure = len(report.nondeterministic_features) + len(report.unchecked_features)
    return f"{said}, {unsure:,} cannot be told" if unsure else said


def _covered(features: Any) -> Sequence[tuple[str, str]]:
    """What was covered, once for each source and way."""
    return list(dict.fromkeys((f.source, f.covered) for f in features))


def _cell(value: Any) -> str:
    said = "null" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
    return said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."
