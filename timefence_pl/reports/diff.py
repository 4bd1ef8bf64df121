"""Differences of two data sets as text, as notebook HTML and as a page. Takes plain values, computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from timefence_pl.errors import listing
from timefence_pl.printing import plain_rows
from timefence_pl.reports.page import Cell, Fact, Html, Tone, badge, fact_list, grid, note, page, section, table, text

__all__ = ["diff_html", "diff_page", "diff_text"]

_SIGNS: Final[dict[str, tuple[str, Tone]]] = {
    "+": ("new", "good"),
    "-": ("removed", "warn"),
    "~": ("changed", "warn"),
    "=": ("unchanged", "quiet"),
}
_KINDS: Final = ("null_to_value", "value_to_null", "nan_to_value", "value_to_nan", "null_to_nan", "nan_to_null")
_SHOWN: Final = 20
#: So many unchanged columns have a line each.
_LISTED: Final = 5
_LONGEST: Final = 60


def diff_text(result: Any) -> str:
    """Rows, columns and value changes, in a few lines each."""
    difference = result.new_rows - result.old_rows
    lines = [
        "BUILD DIFF",
        "IDENTICAL" if result.identical else "",
        "Rows",
        f"  old: {result.old_rows:,}    new: {result.new_rows:,}    ({difference:+,})",
        f"  in both: {result.matched_rows:,}    only in old: {result.removed_rows:,}    only in new: {result.added_rows:,}",
        *(f"  {line}" for line in _remarks(result)),
        "",
        "Schema",
        *_columns(result),
    ]
    if result.value_changes:
        lines += ["", "Value Changes"]
    for column, changes in result.value_changes.items():
        lines.append(f"  {column}: {_values(changes['changed_count'])} changed ({changes['changed_pct']:.1%})")
        kinds = [f"{changes[k]:,} {k.replace('_to_', ' to ')}" for k in _KINDS if k in changes]
        if kinds:
            lines.append(f"    {', '.join(kinds)}")
        if "mean_delta" in changes:
            lines.append(f"    Mean delta: {changes['mean_delta']:.6g}, max delta: {changes['max_delta']:.6g}")
        first = plain_rows(result.largest(column).head(1))
        if first:
            lines.append(f"    largest: {', '.join(f'{k}={_cell(v)}' for k, v in first[0].items())}")
    return "\n".join(lines)


def _columns(result: Any) -> list[str]:
    """A line for each column that changed; one for all others, where they are many."""
    unchanged = [c["column"] for c in result.schema_changes if c["type"] == "="]
    together = len(unchanged) > _LISTED
    lines = [
        f"  {c['type']} {c['column']}    {c['detail']}"
        for c in result.schema_changes
        if not (together and c["type"] == "=")
    ]
    return [*lines, f"  = {len(unchanged):,} columns unchanged: {listing(unchanged, _LISTED)}"] if together else lines


def diff_html(result: Any) -> str:
    """A table for notebooks; everything escaped."""
    rows = [[c["column"], _SIGNS[c["type"]][0], c["detail"]] for c in result.schema_changes]
    title = f"Diff: {_headline(result)}"
    return table(title, ["column", "", "detail"], rows, left=(0, 1, 2), note=" ".join(_remarks(result)))


def diff_page(result: Any) -> Html:
    """A page of its own: rows, columns, and for each column that changed the largest changes."""
    facts = [
        Fact("Rows, old", f"{result.old_rows:,}"),
        Fact("Rows, new", f"{result.new_rows:,}"),
        Fact("In both", f"{result.matched_rows:,}"),
        Fact("Only in old", f"{result.removed_rows:,}", "warn" if result.removed_rows else "quiet"),
        Fact("Only in new", f"{result.added_rows:,}", "warn" if result.added_rows else "quiet"),
        Fact("Columns changed", f"{sum(c['type'] != '=' for c in result.schema_changes):,}"),
    ]
    heads = ["column", "", "detail", "values changed", "share", "mean change", "largest change"]
    rows: list[list[Cell]] = [
        [
            c["column"],
            badge(*_SIGNS[c["type"]]),
            c["detail"],
            *_figures(result.value_changes.get(c["column"], {}), compared=c["type"] in "~="),
        ]
        for c in sorted(result.schema_changes, key=lambda c: "+-~=".index(c["type"]))
    ]
    changed = sorted(result.value_changes, key=lambda c: -result.value_changes[c]["changed_count"])
    parts = [
        fact_list(facts),
        *(note(line, "warn") for line in _remarks(result)),
        section(
            "Columns", grid(heads, rows, left=(0, 1, 2), wrap=(2,)) if rows else text("There are none to compare.")
        ),
        *(_column(c, result.value_changes[c], result.largest(c)) for c in changed[:_SHOWN]),
        *([note(f"{len(changed) - _SHOWN} more columns changed.")] if len(changed) > _SHOWN else []),
        *_alone("Rows only in the old data set", result.removed, result.removed_rows),
        *_alone("Rows only in the new data set", result.added, result.added_rows),
    ]
    verdict = badge("identical", "good") if result.identical else badge("different", "warn")
    lead = f"Old: {_cell(result.old)}. New: {_cell(result.new)}. Rows are the same by {_identity(result)}."
    return page("Diff of two data sets", *parts, lead=lead, verdict=verdict)


def _column(name: str, changes: Mapping[str, Any], largest: pl.DataFrame) -> Html:
    kinds = [f"{changes[k]:,} from {k.replace('_to_', ' to ')}" for k in _KINDS if k in changes]
    sentence = f"{_values(changes['changed_count'])} changed ({changes['changed_pct']:.1%} of the rows in both)"
    sentence += f": {', '.join(kinds)}." if kinds else "."
    caption = "The largest changes:" if "change" in largest.columns else "The first changes:"
    return section(name, text(sentence), _rows(largest, caption))


def _alone(heading: str, rows: pl.DataFrame, count: int) -> list[Html]:
    if not count:
        return []
    caption = f"{'All' if count == rows.height else 'The first'} {rows.height:,} of {count:,}:"
    return [section(heading, _rows(rows, caption))]


def _rows(frame: pl.DataFrame, caption: str) -> Html:
    cells = [[_cell(v) for v in row.values()] for row in plain_rows(frame)]
    left = [i for i, d in enumerate(frame.dtypes) if not d.is_numeric()]
    return grid(frame.columns, cells, left=left, caption=caption)


def _figures(changes: Mapping[str, Any], *, compared: bool) -> list[str]:
    if not compared:
        return ["-"] * 4
    if not changes:
        return ["0", "-", "-", "-"]
    deltas = [f"{changes[n]:.6g}" if n in changes else "-" for n in ("mean_delta", "max_delta")]
    return [f"{changes['changed_count']:,}", f"{changes['changed_pct']:.1%}", *deltas]


def _remarks(result: Any) -> list[str]:
    lines = []
    for word, rows in (("old", result.old_duplicates), ("new", result.new_duplicates)):
        if rows:
            lines.append(
                f"{rows:,} rows of the {word} data set share keys and label time with others; they were paired one by one."
            )
    if result.matched_rows == 0 and result.old_rows and result.new_rows:
        lines.append("No row is in both: no value could be compared.")
    if result.reordered:
        lines.append("The rows that both have come in another order.")
    return lines


def _values(count: int) -> str:
    return f"{count:,} value{'' if count == 1 else 's'}"


def _headline(result: Any) -> str:
    if result.identical:
        return f"identical, {result.matched_rows:,} rows"
    return (
        f"{result.matched_rows:,} rows in both, {result.removed_rows:,} only in old, {result.added_rows:,} only in new, "
        f"{len(result.value_changes):,} columns changed"
    )


def _identity(result: Any) -> str:
    return ", ".join([*result.keys, result.label_time])


def _cell(value: object) -> str:
    if value is None:
        return "null"
    shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"
