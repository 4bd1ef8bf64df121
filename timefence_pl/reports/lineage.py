"""Lineage as a tree of text, and as a drawing for notebooks and pages.

Takes nodes and edges as plain values, gives text, SVG and HTML; everything from names is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from timefence_pl.reports.page import Html, page

__all__ = ["lineage_html", "lineage_page", "lineage_svg", "lineage_text"]

_HEIGHT, _DOWN = 40, 12
_EDGE: Final = 8
#: What a window of usual width shows; where many columns would take more, they are narrower, as far as can be read.
_PAGE: Final = 1_216
_WIDEST, _LEAST = 210, 126
#: Of a column and the space behind it, what the space takes; and of a letter, how wide it is.
_SPACE: Final = 0.2
_LETTER: Final = 7.6
_COLOURS: Final = {
    "run": "#7c5cbf",
    "feature set": "#2a7ab8",
    "build": "#2b8a6f",
    "labels": "#8a8a2b",
    "feature": "#b8772a",
    "plan": "#888888",
    "source": "#4a6fa5",
    "file": "#5b7083",
}
_BOX: Final = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;max-width:100%;overflow-x:auto"
#: Wider than the text, in the middle of the window.
_ACROSS_THE_PAGE: Final = (
    "overflow-x:auto;width:max-content;max-width:calc(100vw - 48px);position:relative;left:50%;"
    "transform:translateX(-50%)"
)
_LEAD: Final = "From left to right, each record leads to those it came from, or to those that came from it. Below, the same as text."


def lineage_text(tree: Mapping[str, Any]) -> str:
    """A tree: one line a node, those below it indented; what was shown before is named only.

    Args:
        tree: A node with ``kind``, ``name``, ``status``, ``hash``, ``id`` and its ``children``.
    """
    having = _with_children(tree)
    lines: list[str] = []
    seen: set[str] = set()
    waiting: list[tuple[Mapping[str, Any], str, str]] = [(tree, "", "")]
    while waiting:
        node, lead, below = waiting.pop()
        children = node["children"]
        again = node["id"] in seen and node["id"] in having
        lines.append(lead + _told(node) + (" (see above)" if again else ""))
        seen.add(node["id"])
        last = len(children) - 1
        waiting += [
            (child, below + ("└── " if i == last else "├── "), below + ("    " if i == last else "│   "))
            for i, child in reversed(list(enumerate(children)))
        ]
    return "\n".join(lines)


def lineage_svg(nodes: Sequence[Mapping[str, Any]], edges: Sequence[tuple[str, str]]) -> str:
    """A drawing: a column for each depth, the root on the left, a line for each edge.

    Args:
        nodes: With ``id``, ``kind``, ``name``, ``status``, ``hash`` and ``depth``, in the order of the tree.
        edges: Pairs of ids.
    """
    columns = max((int(node["depth"]) for node in nodes), default=0) + 1
    step = (_PAGE - 2 * _EDGE) / (columns - _SPACE)
    wide = round(min(_WIDEST, max(_LEAST, step * (1 - _SPACE))))
    across = wide + round(wide * _SPACE / (1 - _SPACE))
    places: dict[str, tuple[int, int]] = {}
    filled: dict[int, int] = {}
    for node in nodes:
        depth = int(node["depth"])
        row = filled.get(depth, 0)
        filled[depth] = row + 1
        places[str(node["id"])] = (_EDGE + depth * across, _EDGE + row * (_HEIGHT + _DOWN))
    width = 2 * _EDGE + (columns - 1) * across + wide
    height = 2 * _EDGE + max(filled.values(), default=1) * (_HEIGHT + _DOWN) - _DOWN
    drawn = [_edge(places[a], places[b], wide) for a, b in edges if a in places and b in places]
    drawn += [_node(node, *places[str(node["id"])], wide) for node in nodes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="lineage" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" style="font-family:system-ui,sans-serif;font-size:12px">{"".join(drawn)}</svg>'
    )


def lineage_html(title: str, nodes: Sequence[Mapping[str, Any]], edges: Sequence[tuple[str, str]]) -> str:
    """The drawing under a heading."""
    return (
        f'<div style="{_BOX}"><div style="font-weight:600;margin-bottom:4px">{escape(title)}</div>'
        f"{lineage_svg(nodes, edges)}</div>"
    )


def lineage_page(
    title: str, nodes: Sequence[Mapping[str, Any]], edges: Sequence[tuple[str, str]], tree: Mapping[str, Any]
) -> str:
    """The drawing as a page of its own, the tree as text below it; what is wider than the page is moved sideways."""
    drawing = Html(f'<div style="{_ACROSS_THE_PAGE}">{lineage_svg(nodes, edges)}</div>')
    text = Html(f'<pre style="overflow-x:auto;font-size:13px;line-height:1.4">{escape(lineage_text(tree))}</pre>')
    return page(title, drawing, text, lead=_LEAD)


def _with_children(tree: Mapping[str, Any]) -> set[str]:
    found, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if node["children"]:
            found.add(node["id"])
            waiting += node["children"]
    return found


def _told(node: Mapping[str, Any]) -> str:
    status = f" [{node['status']}]" if node["status"] else ""
    short = f"  {_short(node['hash'])}" if node["hash"] else ""
    return f"{node['kind']} {_plain(node['name'])}{status}{short}"


def _plain(text: object) -> str:
    """Text without what would end a line or steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def _short(value: object) -> str:
    name, _, digits = str(value).rpartition(":")
    return f"{name}:{digits[:12]}" if name else digits[:12]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"


def _edge(start: tuple[int, int], end: tuple[int, int], wide: int) -> str:
    (x1, y1), (x2, y2) = (start[0] + wide, start[1] + _HEIGHT // 2), (end[0], end[1] + _HEIGHT // 2)
    middle = (x1 + x2) // 2
    return (
        f'<path d="M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}" fill="none" stroke="currentColor" '
        f'stroke-opacity=".35"/>'
    )


def _node(node: Mapping[str, Any], x: int, y: int, wide: int) -> str:
    colour = _COLOURS.get(str(node["kind"]), "#888888")
    gone = bool(node["status"]) and node["status"] not in ("FINISHED", "RUNNING")
    dash = ' stroke-dasharray="4 3"' if gone else ""
    letters = int((wide - 2 * _EDGE) / _LETTER)
    digits = str(node["hash"] or "").rpartition(":")[2][:12]
    lower = " · ".join(str(part) for part in (node["kind"], node["status"], digits) if part)
    if len(lower) > letters * 6 // 5:
        lower = f"{lower[: letters * 6 // 5 - 1]}…"
    told = escape(f"{node['kind']} {_plain(node['name'])}\n{node['hash'] or ''}")
    return (
        f'<g transform="translate({x},{y})"><title>{told}</title>'
        f'<rect width="{wide}" height="{_HEIGHT}" rx="5" fill="{colour}" fill-opacity=".14" stroke="{colour}"{dash}/>'
        f'<text x="{_EDGE}" y="16" fill="currentColor">{escape(_cut(_plain(node["name"]), letters))}</text>'
        f'<text x="{_EDGE}" y="32" fill="currentColor" fill-opacity=".65" font-size="10">'
        f"{escape(lower)}</text></g>"
    )
