"""Charts as static SVG.

Takes plain figures, gives SVG text, or None where the packages of the extra ``report`` are not installed. The figures'
texts are escaped by the drawing library; nothing is fetched, and no script is left in the result.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

__all__ = ["LEFT_OUT", "Bars", "Histogram", "drawn", "histogram", "over_time"]

#: What a report says where it would have a chart.
LEFT_OUT: Final = 'Charts are left out: they need altair and vl-convert-python (pip install "timefence-pl[report]").'

WIDTH: Final = 380
HEIGHT: Final = 170
_FONT: Final = 12
_INK: Final = "#40444b"
#: Each count on an axis by itself: one unit for all would write 0k, 0.5k, 1k.
_COUNT: Final = "format(datum.value, abs(datum.value) < 1e4 ? ',' : '~s')"


@dataclass(frozen=True)
class Histogram:
    """Counts in bins that need not be equally wide.

    Attributes:
        edges: The bins' edges as they are shown, one more than there are bins.
        bars: ``(bin, series, count)``.
        marks: Places that are marked by a line: ``(position, text)``, where position 1.5 is the middle of bin 1.
        axis: What the edges are.
        counted: What the counts are.
    """

    edges: Sequence[str]
    bars: Sequence[tuple[int, str, int]]
    marks: Sequence[tuple[float, str]]
    axis: str
    counted: str


@dataclass(frozen=True)
class Bars:
    """Figures over time.

    Attributes:
        spans: The buckets, ``(start, end)``: milliseconds since 1970, or integer times.
        bars: ``(bucket, series, figure)``.
        axis: What the times are.
        counted: What the figures are.
        times: Whether spans are milliseconds.
        share: Whether figures are shares of 1.
    """

    spans: Sequence[tuple[float, float]]
    bars: Sequence[tuple[int, str, float]]
    axis: str
    counted: str
    times: bool
    share: bool = False


@cache
def drawn() -> bool:
    """Whether charts can be drawn."""
    try:
        import_module("altair")
        import_module("vl_convert")
    except ImportError:
        return False
    return True


def histogram(given: Histogram, colours: dict[str, str]) -> str | None:
    """A histogram, stacked by series.

    Args:
        given: The figures.
        colours: For each series its colour, in the order of the legend.
    """
    if not drawn() or not given.bars:
        return None
    alt: Any = import_module("altair")
    series, data = _stacked([(b, b + 1, word, n) for b, word, n in given.bars], colours)
    step = max(1, -(-len(given.edges) // 9))
    ticks = list(range(0, len(given.edges), step))
    labels = "[" + ",".join(_quoted(e) for e in given.edges) + "][datum.value]"
    x = alt.X(
        "from:Q",
        title=given.axis,
        scale=alt.Scale(domain=[0, len(given.edges) - 1], nice=False),
        axis=alt.Axis(values=ticks, labelExpr=labels, grid=False, labelOverlap=True),
    )
    top = max(d["top"] for d in data) * (1 + 0.12 * len(given.marks))  # room for the marks' texts
    bars = (
        alt.Chart(alt.Data(values=data))
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(
            x=x,
            x2="to:Q",
            y=alt.Y(
                "bottom:Q",
                title=given.counted,
                scale=alt.Scale(domain=[0, top], nice=not given.marks),
                axis=alt.Axis(labelExpr=_COUNT, tickCount=4),
            ),
            y2="top:Q",
            color=_colour(alt, series, colours),
        )
    )
    layers: list[Any] = [bars]
    marks = [{"at": at, "text": word, "line": i} for i, (at, word) in enumerate(given.marks)]
    if marks:
        base = alt.Chart(alt.Data(values=marks)).encode(x="at:Q")
        layers.append(base.mark_rule(strokeDash=[4, 3], color=_INK, strokeWidth=1.5))
        for i, (at, _) in enumerate(given.marks):
            late = at > (len(given.edges) - 1) * 0.6
            place = {"align": "right" if late else "left", "dx": -4 if late else 4, "baseline": "top", "fontSize": 11}
            one = base.transform_filter(f"datum.line == {i}").encode(y=alt.value(2 + 13 * i), text="text:N")
            # Twice, so that lines and bars do not run through it.
            layers.append(one.mark_text(**place, stroke="white", strokeWidth=4, color="white"))
            layers.append(one.mark_text(**place, color=_INK))
    return _svg(alt.layer(*layers), legend=len(series) > 1)


def over_time(given: Bars, colours: dict[str, str]) -> str | None:
    """Bars over time, stacked by series.

    Args:
        given: The figures.
        colours: For each series its colour, in the order of the legend.
    """
    if not drawn() or not given.bars:
        return None
    alt: Any = import_module("altair")
    series, data = _stacked([(*given.spans[b], word, n) for b, word, n in given.bars], colours)
    kind = "T" if given.times else "Q"
    domain = [given.spans[0][0], given.spans[-1][1]]
    scale = alt.Scale(type="utc", domain=domain, nice=False) if given.times else alt.Scale(domain=domain, nice=False)
    y_axis = alt.Axis(tickCount=4, **({"format": "~%"} if given.share else {"labelExpr": _COUNT}))
    chart = (
        alt.Chart(alt.Data(values=data))
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X(
                f"from:{kind}",
                title=given.axis,
                scale=scale,
                axis=alt.Axis(grid=False, tickCount=5, labelOverlap=True, labelFlush=True),
            ),
            x2=f"to:{kind}",
            y=alt.Y("bottom:Q", title=given.counted, axis=y_axis),
            y2="top:Q",
            color=_colour(alt, series, colours, always=True),
        )
    )
    return _svg(chart, legend=True)


def _stacked(
    bars: Sequence[tuple[float, float, str, float]], colours: Iterable[str]
) -> tuple[list[str], list[dict[str, Any]]]:
    """The series that occur, and each bar on top of those of earlier series."""
    series = [s for s in colours if any(b[2] == s for b in bars)]
    height: dict[float, float] = {}
    data = []
    for start, end, word, count in sorted(bars, key=lambda b: series.index(b[2])):
        bottom = height.get(start, 0)
        height[start] = bottom + count
        data.append({"from": start, "to": end, "series": word, "bottom": bottom, "top": bottom + count})
    return series, data


def _colour(alt: Any, series: list[str], colours: dict[str, str], *, always: bool = False) -> Any:
    scale = alt.Scale(domain=series, range=[colours[s] for s in series])
    words = "replace(datum.label, /_/g, ' ')"
    legend = (
        alt.Legend(orient="top", title=None, columns=3, symbolType="square", labelExpr=words)
        if always or len(series) > 1
        else None
    )
    return alt.Color("series:N", scale=scale, legend=legend)


def _svg(chart: Any, *, legend: bool) -> str:
    converter: Any = import_module("vl_convert")
    chart = (
        chart.properties(width=WIDTH, height=HEIGHT - (18 if legend else 0), background="white", autosize="pad")
        .configure(font="system-ui, sans-serif")
        .configure_axis(
            labelFontSize=_FONT,
            titleFontSize=_FONT,
            titleFontWeight="normal",
            labelColor=_INK,
            titleColor=_INK,
            gridColor="#e6e8eb",
            domainColor="#b5b9bf",
            tickColor="#b5b9bf",
        )
        .configure_axisY(titlePadding=10)  # the reader's font may be wider than the one the labels were measured in
        .configure_view(stroke=None)
        .configure_legend(labelFontSize=_FONT, labelColor=_INK, labelLimit=200, columnPadding=12)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own deprecations are none of the reader's
        svg: str = converter.vegalite_to_svg(chart.to_dict())
    return svg


def _quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
