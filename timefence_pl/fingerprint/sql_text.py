"""What a Polars SQL query reads besides its tables.

Takes the text of a query, gives it without comments and spare blanks, and the paths that its table functions read.
Knows no tables, and parses no further than words.
"""

from __future__ import annotations

import re
from typing import Final

from timefence_pl.fingerprint.keys import Uncacheable

__all__ = ["normal_sql"]

_TOKEN: Final = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*"|`[^`]*`)"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<blank>\s+)|(?P<other>.)""",
    re.DOTALL,
)
_READER: Final = re.compile(r"(read|scan)_\w+", re.IGNORECASE)
_CHANGING: Final = frozenset(("now", "today", "getdate", "random", "rand", "uuid", "gen_random_uuid", "tablesample"))
_CLOCKS: Final = frozenset(("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"))


def normal_sql(query: str) -> tuple[str, list[str]]:
    r"""A query without comments and spare blanks, its file names taken out, and these.

    Raises:
        Uncacheable: If the query reads the clock, chance, or files by other than a plain path.

    Examples:
        >>> normal_sql("SELECT a -- the first\n FROM  read_csv('x.csv')")
        ("SELECT a FROM read_csv('')", ['x.csv'])
    """
    if "$$" in query:
        raise Uncacheable("the SQL query has text in dollar quotes, which is not known here")
    kept: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(query):
        kind = "blank" if match.lastgroup == "comment" else str(match.lastgroup)
        if kind == "blank" and (not kept or kept[-1][0] == "blank"):
            continue
        kept.append((kind, " " if kind == "blank" else match.group()))
    while kept and (kept[-1][0] == "blank" or kept[-1][1] == ";"):
        kept.pop()
    paths: list[str] = []
    for position, (kind, text) in enumerate(kept):
        after = [i for i in range(position + 1, len(kept)) if kept[i][0] != "blank"][:3] if kind == "word" else []
        called = bool(after) and kept[after[0]][1] == "("
        if kind == "word" and (text.lower() in _CLOCKS or (called and text.lower() in _CHANGING)):
            raise Uncacheable(f"the SQL query uses {text.upper()}, which changes from run to run")
        if called and _READER.fullmatch(text):
            if len(after) < 3 or kept[after[1]][0] != "text" or kept[after[2]][1] != ")":
                raise Uncacheable(f"the SQL query reads files by {text} in a way that is not known")
            paths.append(kept[after[1]][1][1:-1].replace("''", "'"))
            kept[after[1]] = ("text", "''")
    return "".join(text for _, text in kept), paths
