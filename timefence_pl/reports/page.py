"""The look that all HTML output shares: whole pages and notebook tables, without scripts or network.

Takes texts, rows and SVG charts, gives HTML in which every text is escaped; reads well on white and on dark, on a desk
and on a phone. Knows nothing of audits, builds or any other result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, Literal, NamedTuple

from timefence_pl._version import __version__

__all__ = [
    "Block",
    "Fact",
    "Html",
    "badge",
    "blocks",
    "fact_list",
    "figures",
    "grid",
    "note",
    "page",
    "section",
    "table",
    "text",
]

_BOX = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;max-width:100%;overflow-x:auto"
_CELL = "padding:3px 12px 3px 0;vertical-align:top;border-bottom:1px solid #8883;"
_NUMBER = _CELL + "text-align:right;white-space:nowrap"
#: Long names break, but never into a column of letters.
_WORDS = _CELL + "text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:6em;max-width:36em"
#: Columns of a block stand side by side where there is room.
_BLOCK = "display:flex;flex-wrap:wrap;gap:2px 20px;padding:7px 0;border-top:1px solid #8883;overflow-wrap:anywhere"
_SIDE = "flex:{} 1 {};min-width:0;max-width:100%"
_SOFT = "opacity:.7"

#: Texts of a grid's cells that are longer than so many characters break into shorter lines.
_NARROW: Final = 32

#: How a text is meant: its colour, and nothing else.
Tone = Literal["plain", "good", "bad", "warn", "quiet"]


class Html(str):
    """Text that is HTML already; everything else is escaped."""

    __slots__ = ()


class Fact(NamedTuple):
    """One figure at the head of a page."""

    label: str
    value: str
    tone: Tone = "plain"


Cell = str | Html


def page(title: str, *parts: Html, lead: str = "", verdict: Html | None = None) -> Html:
    """A whole HTML document.

    Args:
        title: Its heading and the window's title; escaped.
        *parts: What :func:`section` and the others give.
        lead: A sentence below the heading; escaped.
        verdict: A :func:`badge` beside the heading.
    """
    head = f"<h1>{escape(title)}</h1>{verdict or ''}"
    below = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return Html(
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">'
        f"<style>{_STYLE}</style></head><body><main><header>{head}</header>{below}{''.join(parts)}"
        f"<footer>timefence-pl {escape(__version__)}</footer></main></body></html>\n"
    )


def section(heading: str, *parts: Html, tag: Html | None = None) -> Html:
    """A part of a page under a heading.

    Args:
        heading: Escaped.
        *parts: Its content.
        tag: A :func:`badge` beside the heading.
    """
    return Html(f"<section><h2>{escape(heading)}{' ' + tag if tag else ''}</h2>{''.join(parts)}</section>")


def text(sentence: str) -> Html:
    """A paragraph; escaped."""
    return Html(f"<p>{_shown(sentence)}</p>")


def note(sentence: str, tone: Tone = "quiet") -> Html:
    """A remark, or with a tone a warning; escaped."""
    return Html(f'<p class="note {tone}">{_shown(sentence)}</p>')


def badge(word: str, tone: Tone) -> Html:
    """A word in a coloured box; escaped."""
    return Html(f'<span class="badge {tone}">{_shown(word)}</span>')


def fact_list(facts: Iterable[Fact]) -> Html:
    """Figures side by side."""
    items = "".join(
        f'<div class="fact"><dt>{_shown(f.label)}</dt><dd class="{f.tone}">{_shown(f.value)}</dd></div>' for f in facts
    )
    return Html(f'<dl class="facts">{items}</dl>')


def grid(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    left: Iterable[int] = (0,),
    caption: str = "",
    wrap: Iterable[int] = (),
) -> Html:
    """A table for a page; it scrolls sideways where it is wider than the page.

    Args:
        columns: Heads; escaped.
        rows: Cells; escaped unless they are :class:`Html`.
        left: Columns aligned left; the others are aligned right, as numbers are.
        caption: A line above; escaped.
        wrap: Columns of sentences, which may break into lines.
    """
    lefts, wraps = set(left), set(wrap)
    classes = [" ".join((["l"] if i in lefts else []) + (["w"] if i in wraps else [])) for i in range(len(columns))]
    marks = [f' class="{c}"' if c else "" for c in classes]
    head = "".join(f"<th{m}>{_narrow(c)}</th>" for m, c in zip(marks, columns, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{m}>{_narrow(c)}</td>" for m, c in zip(marks, row, strict=True)) + "</tr>" for row in rows
    )
    above = f"<caption>{_shown(caption)}</caption>" if caption else ""
    return Html(
        f'<div class="scroll" tabindex="0"><table>{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def figures(charts: Sequence[tuple[str, str]]) -> Html:
    """Charts side by side where there is room, one below the other where there is none.

    Args:
        charts: Pairs of SVG (taken as it is, as :mod:`timefence_pl.reports.charts` makes it) and caption (escaped).
    """
    drawn = "".join(
        f"<figure>{_own_ids(svg, i)}<figcaption>{escape(caption)}</figcaption></figure>"
        for i, (svg, caption) in enumerate(charts)
    )
    return Html(f'<div class="figures">{drawn}</div>') if charts else Html("")


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    lead: str = "",
    note: str = "",
    left: Sequence[int] = (0,),
) -> str:
    """A titled table for notebooks, which carries its whole style in itself.

    Args:
        title: Its heading; escaped.
        columns: Column heads; escaped.
        rows: Cells; escaped.
        lead: HTML after the heading, taken as it is.
        note: Lines below; escaped.
        left: Columns aligned left; numbers are aligned right.
    """
    styles = [_WORDS if i in left else _NUMBER for i in range(len(columns))]
    heads = [f"{style};white-space:normal;font-weight:600" for style in styles]
    head = "".join(f'<th style="{style}">{escape(c)}</th>' for style, c in zip(heads, columns, strict=True))
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{style}{";opacity:.45" if c == "0" else ""}">{escape(c)}</td>'
            for style, c in zip(styles, r, strict=True)
        )
        + "</tr>"
        for r in rows
    )
    foot = (
        f'<div style="{_SOFT};margin-top:4px;overflow-wrap:anywhere">{_lines(note.splitlines())}</div>' if note else ""
    )
    return (
        f'<div style="{_BOX}"><div style="font-weight:600;margin-bottom:4px;overflow-wrap:anywhere">{escape(title)}{lead}</div>'
        f'<table style="border-collapse:collapse;font-variant-numeric:tabular-nums"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{foot}</div>"
    )


class Block(NamedTuple):
    """One entry of :func:`blocks`.

    Attributes:
        name: What it is of.
        under: Lines below the name.
        left: Lines that matter most.
        right: Words and what they say.
    """

    name: str
    under: Sequence[str]
    left: Sequence[str]
    right: Sequence[tuple[str, str]]


def blocks(title: str, entries: Iterable[Block], *, note: str = "") -> str:
    """Entries of a few lines for notebooks, one below the other; each folds into one column where there is no room.

    Args:
        title: Its heading; escaped.
        entries: Every text of them is escaped.
        note: A line below; escaped.
    """
    body = "".join(
        f'<div style="{_BLOCK}">'
        f'<div style="{_SIDE.format(1, "11em")}"><span style="font-weight:600">{escape(e.name)}</span>{_lines(e.under, _SOFT)}</div>'
        f'<div style="{_SIDE.format(4, "25em")}">{_lines(e.left)}</div>'
        f'<div style="{_SIDE.format(3, "20em")}">'
        + "".join(f'<div><span style="{_SOFT}">{escape(word)}:</span> {escape(said)}</div>' for word, said in e.right)
        + "</div></div>"
        for e in entries
    )
    foot = f'<div style="{_SOFT};margin-top:4px">{escape(note)}</div>' if note else ""
    return (
        f'<div style="{_BOX}"><div style="font-weight:600;margin-bottom:4px;overflow-wrap:anywhere">{escape(title)}</div>'
        f"{body}{foot}</div>"
    )


def _lines(texts: Sequence[str], style: str = "") -> str:
    marked = f' style="{style}"' if style else ""
    return "".join(f"<div{marked}>{escape(t)}</div>" for t in texts)


def _shown(cell: Cell) -> str:
    return cell if isinstance(cell, Html) else escape(cell)


def _narrow(cell: Cell) -> str:
    """A cell; a long text breaks into lines, so that the columns after it stay in view."""
    shown = _shown(cell)
    return shown if isinstance(cell, Html) or len(cell) <= _NARROW else f'<span class="n">{shown}</span>'


def _own_ids(svg: str, number: int) -> str:
    """The chart with identifiers that no other chart of the page has."""
    return svg.replace('id="', f'id="c{number}-').replace("url(#", f"url(#c{number}-")


_STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2024;--soft:#60646c;--line:#dfe2e6;--panel:#f6f7f9;
--good:#18794e;--bad:#c62a2f;--warn:#946800}
@media(prefers-color-scheme:dark){:root{--bg:#16181b;--fg:#e8eaed;--soft:#a0a5ad;--line:#34383e;--panel:#1f2226;
--good:#4cc38a;--bad:#ff8b8b;--warn:#f1c04a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 24px 48px}
header{display:flex;flex-wrap:wrap;align-items:center;gap:6px 14px}
h1{font-size:26px;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:18px;margin:36px 0 10px;padding-top:14px;border-top:1px solid var(--line);overflow-wrap:anywhere}
p{margin:8px 0;max-width:76ch;overflow-wrap:anywhere}
.lead{color:var(--soft);margin-top:6px}
.note{font-size:13.5px}
.note.quiet,.quiet{color:var(--soft)}
.note.bad,.note.warn,.note.good{border-left:3px solid currentColor;padding-left:10px}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.badge{display:inline-block;font-size:12px;font-weight:600;line-height:1;padding:4px 7px;border-radius:5px;
border:1px solid currentColor;white-space:nowrap;vertical-align:2px}
.facts{display:flex;flex-wrap:wrap;gap:10px;margin:18px 0 6px}
.fact{background:var(--panel);border-radius:8px;padding:9px 14px;min-width:112px;flex:0 1 auto;max-width:100%}
.fact dt{font-size:12.5px;color:var(--soft)}
.fact dd{margin:0;font-size:19px;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:10px 0 14px}
table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding-bottom:6px}
th,td{padding:5px 18px 5px 0;text-align:right;vertical-align:top;white-space:nowrap;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--soft);border-bottom-width:2px}
th:last-child,td:last-child{padding-right:0}
.l{text-align:left}
.w{white-space:normal;min-width:24ch;text-align:left}
.n{display:inline-block;max-width:24ch;white-space:normal;overflow-wrap:break-word;text-align:left}
.w .n{display:inline;max-width:none}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(400px,100%),1fr));gap:14px;margin:14px 0}
figure{margin:0;background:#fff;color:#1c2024;border:1px solid var(--line);border-radius:8px;padding:10px 12px 8px;
min-width:0;max-width:520px}
figure svg{display:block;max-width:100%;height:auto}
figcaption{font-size:13px;color:#60646c;margin-top:4px;overflow-wrap:anywhere}
footer{margin-top:44px;color:var(--soft);font-size:12.5px}
@media(max-width:600px){main{padding:20px 14px 36px}h1{font-size:22px}.fact{flex:1 1 40%}}
@media print{.scroll{overflow:visible}}
"""
