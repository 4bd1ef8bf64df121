"""The look that all HTML output shares: tables that read well on white and on dark pages, without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["table"]

_BOX = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;max-width:100%;overflow-x:auto"
_CELL = "padding:3px 12px 3px 0;text-align:{};vertical-align:top;border-bottom:1px solid #8883;white-space:nowrap"


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    lead: str = "",
    note: str = "",
    left: Sequence[int] = (0,),
) -> str:
    """A titled table.

    Args:
        title: Its heading; escaped.
        columns: Column heads; escaped.
        rows: Cells; escaped.
        lead: HTML after the heading, taken as it is.
        note: A line below; escaped.
        left: Columns aligned left; numbers are aligned right.
    """
    aligned = ["left" if i in left else "right" for i in range(len(columns))]
    head = "".join(
        f'<th style="{_CELL.format(a)};font-weight:600">{escape(c)}</th>' for a, c in zip(aligned, columns, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{_CELL.format(a)}">{escape(c)}</td>' for a, c in zip(aligned, r, strict=True))
        + "</tr>"
        for r in rows
    )
    foot = f'<div style="opacity:.7;margin-top:4px">{escape(note)}</div>' if note else ""
    return (
        f'<div style="{_BOX}"><div style="font-weight:600;margin-bottom:4px">{escape(title)}{lead}</div>'
        f'<table style="border-collapse:collapse;font-variant-numeric:tabular-nums"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{foot}</div>"
    )
