"""Reading SQL: windows and groups that look ahead, from the text.

Takes a query's text, gives findings through a report. Knows words and brackets, no grammar; what else a query does is
reported as unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from timefence_pl.leakage.lint_expressions import Report

__all__ = ["read_sql"]

_TOKEN: Final = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|[^\W\d]\w*|\d+(?:\.\d+)?|::|[<>=!]+|.""", re.DOTALL
)
_AGGREGATES: Final = frozenset(
    {
        *(
            "avg",
            "sum",
            "min",
            "max",
            "count",
            "stddev",
            "stddev_pop",
            "stddev_samp",
            "variance",
            "var_pop",
            "var_samp",
        ),
        *("median", "mode", "quantile", "quantile_cont", "quantile_disc", "list", "array_agg", "string_agg", "first"),
        *("last", "any_value", "arg_max", "arg_min", "max_by", "min_by", "corr", "covar_pop", "covar_samp", "product"),
        *("bool_and", "bool_or", "approx_count_distinct", "entropy", "kurtosis", "skewness", "mad", "histogram"),
    }
)
_NEEDS_ALL: Final = frozenset({"ntile", "percent_rank", "cume_dist"})
_CHANCE: Final = re.compile(
    r"\b(random|rand|uuid|gen_random_uuid|now|today|getdate)\s*\(|\btablesample\b|\busing\s+sample\b|\bcurrent_(date|timestamp|time)\b",
    re.IGNORECASE,
)
_ENDS: Final = frozenset({"having", "order", "limit", "qualify", "window", "union", "except", "intersect", "where"})


@dataclass(frozen=True)
class _Call:
    """A window function: its name, its arguments, and what stands in ``OVER (...)``."""

    name: str
    arguments: tuple[str, ...]
    over: tuple[str, ...]
    text: str


def read_sql(query: str, time: str, report: Report, *, only_windows: bool = False) -> None:
    """Report what looks ahead in a query.

    Args:
        query: The text.
        time: The source's timestamp column.
        report: Told of what is found.
        only_windows: Leave groups and joins alone: in the query of a source they make the events.
    """
    words = [w for w in _TOKEN.findall(query) if isinstance(w, str) and w.strip() and not w.startswith(("--", "/*"))]
    found = False
    chance = _CHANCE.search(query)
    if chance is not None:
        found = True
        report("random-sql", chance.group(0).rstrip("( "))
    for call in _window_calls(words):
        rule = _rule_of(call, time.lower())
        if rule is not None:
            found = True
            report(rule, call.text)
    if only_windows:
        return
    for rule, text, what in _groups(words, time.lower()):
        found = True
        report(rule, text, what=what)
    lowered = [w.lower() for w in words]
    if not found:
        for what in _unread(lowered):
            report("unread-sql", _shown(words), what=what)


def _unread(words: list[str]) -> Iterator[str]:
    """What a query does that its words do not tell enough of."""
    reads = sum(w in ("from", "join") and words[i + 1 : i + 2] != ["("] for i, w in enumerate(words))
    defined = sum(w == "as" and words[i + 1 : i + 2] == ["("] for i, w in enumerate(words) if "with" in words)
    if "join" in words or reads > 1 + defined:
        yield "The query reads tables more than once; which of their rows meet is not read."
    if any(words[i : i + 2] == ["distinct", "on"] for i in range(len(words))) or "limit" in words:
        yield "The query keeps some of its rows; which of them is not read."


def _window_calls(words: list[str]) -> Iterator[_Call]:
    named = {words[i - 1].lower(): _inside(words, i + 1) for i, w in enumerate(words) if _opens_window(words, i, w)}
    for i, word in enumerate(words):
        if word.lower() != "over" or i == 0 or words[i - 1] != ")" or i + 1 >= len(words):
            continue
        start, end_of_call = _opening(words, i - 1), i - 1
        if start > 0 and words[start - 1].lower() == "filter":
            end_of_call = start - 2
            start = _opening(words, end_of_call)
        if start < 1:
            continue
        over = _inside(words, i + 1) if words[i + 1] == "(" else named.get(words[i + 1].lower(), [])
        end = _closing(words, i + 1) if words[i + 1] == "(" else i + 1
        arguments = words[start + 1 : end_of_call]
        text = _shown(words[start - 1 : end + 1])
        yield _Call(words[start - 1].lower(), tuple(arguments), tuple(w.lower() for w in over), text)


def _opens_window(words: list[str], at: int, word: str) -> bool:
    """Whether a word is the AS of ``WINDOW name AS (...)``."""
    return (
        word.lower() == "as"
        and at > 1
        and at + 1 < len(words)
        and words[at + 1] == "("
        and (words[at - 2].lower() in ("window", ","))
    )


def _rule_of(call: _Call, time: str) -> str | None:
    over = [_plain(w) for w in call.over]
    partition = _clause(over, "partition", ("order", "rows", "range", "groups"))
    order = _clause(over, "order", ("rows", "range", "groups"))
    if _bare(partition, time):
        return None
    if call.name in _NEEDS_ALL:
        return "rank"
    first = _first_item(order)
    backwards = "desc" in first
    by_time = [w for w in first if w not in ("asc", "desc", ".")][-1:] == [time]
    if not order:
        if call.name in _AGGREGATES:
            return "group-aggregate"
        return "rank" if call.name in ("rank", "dense_rank") else "unordered"
    if not by_time:
        return "rank" if call.name in ("rank", "dense_rank", "row_number") else "sorted-by-value"
    if "following" in over and _follows(over):
        return "forward-window"
    steps = _steps(call.arguments) if call.name in ("lead", "lag") else 0
    ahead = (call.name == "lead") == (steps > 0) if steps else False
    if call.name in ("lead", "lag"):
        return "negative-shift" if ahead != backwards else None
    return "reversed" if backwards else None


def _steps(arguments: tuple[str, ...]) -> int:
    """The second argument of LEAD and LAG."""
    depth = 0
    rest: list[list[str]] = []
    for word in arguments:
        depth += (word == "(") - (word == ")")
        if word == "," and depth == 0:
            rest.append([])
        elif rest:
            rest[-1].append(word)
    text = "".join(rest[0]) if rest else "1"
    return int(text) if re.fullmatch(r"-?\d+", text) else 1


def _follows(over: list[str]) -> bool:
    """Whether a frame reaches past its row; ``0 FOLLOWING`` does not."""
    return any(w == "following" and over[i - 1] != "0" for i, w in enumerate(over))


def _groups(words: list[str], time: str) -> Iterator[tuple[str, str, str]]:
    lowered = [_plain(w) for w in words]
    for i, word in enumerate(lowered):
        if word == "group" and lowered[i + 1 : i + 2] == ["by"]:
            items = _until(lowered, i + 2, _ENDS)
            text = f"GROUP BY {_shown(words[i + 2 : i + 2 + len(items)])}"
            if items[:1] == ["all"] or any(w.isdigit() for w in items if items):
                yield "unread-sql", text, "The query groups by position or ALL, which is not read."
            elif time not in items:
                yield "group-aggregate", text, ""
            elif not _bare(items, time):
                yield "unread-sql", text, "The query groups by a time of its own; when its rows are known is not read."
    for i, word in enumerate(lowered):
        if word in _AGGREGATES and lowered[i + 1 : i + 2] == ["("]:
            end = _closing(lowered, i + 1)
            if lowered[end + 1 : end + 3] == ["filter", "("]:
                end = _closing(lowered, end + 2)
            if lowered[end + 1 : end + 2] == ["over"] or _grouped(lowered, i):
                continue
            yield "whole-column", _shown(words[i : end + 1]), ""


def _grouped(words: list[str], at: int) -> bool:
    """Whether the SELECT around a position has a GROUP BY."""
    depth, start = 0, 0
    for i in range(at, -1, -1):
        depth += (words[i] == ")") - (words[i] == "(")
        if depth < 0 and words[i + 1 : i + 2] == ["select"]:
            start = i + 1
            break
    depth = 0
    for word in words[start:]:
        depth += (word == "(") - (word == ")")
        if depth < 0:
            return False
        if depth == 0 and word == "group":
            return True
    return False


def _bare(items: list[str], time: str) -> bool:
    """Whether the time is an item of its own."""
    depth = 0
    item: list[str] = []
    found: list[list[str]] = []
    for word in [*items, ","]:
        depth += (word == "(") - (word == ")")
        if word == "," and depth == 0:
            found.append(item)
            item = []
        else:
            item.append(word)
    return any(i[-1:] == [time] and "(" not in i for i in found)


def _clause(words: list[str], start: str, ends: tuple[str, ...]) -> list[str]:
    if start not in words:
        return []
    at = words.index(start) + 2
    return _until(words, at, frozenset(ends))


def _until(words: list[str], at: int, ends: frozenset[str]) -> list[str]:
    depth, found = 0, []
    for word in words[at:]:
        depth += (word == "(") - (word == ")")
        if depth < 0 or (depth == 0 and word in ends) or word == ";":
            break
        found.append(word)
    return found


def _first_item(words: list[str]) -> list[str]:
    depth, found = 0, []
    for word in words:
        depth += (word == "(") - (word == ")")
        if word == "," and depth == 0:
            break
        if word not in ("nulls", "first", "last"):
            found.append(word)
    return found


def _inside(words: list[str], opening: int) -> list[str]:
    return words[opening + 1 : _closing(words, opening)]


def _closing(words: list[str], opening: int) -> int:
    depth = 0
    for i in range(opening, len(words)):
        depth += (words[i] == "(") - (words[i] == ")")
        if depth == 0:
            return i
    return len(words)


def _opening(words: list[str], closing: int) -> int:
    depth = 0
    for i in range(closing, -1, -1):
        depth += (words[i] == ")") - (words[i] == "(")
        if depth == 0:
            return i
    return -1


def _plain(word: str) -> str:
    return word.strip('"`').lower() if word[:1] in '"`' else word.lower()


def _shown(words: list[str]) -> str:
    text = re.sub(r"\s+([,)])|(\()\s+", lambda m: m.group(1) or m.group(2), " ".join(words))
    text = re.sub(r"(\w) \(", r"\1(", text)
    return text if len(text) <= 160 else text[:157] + "..."
