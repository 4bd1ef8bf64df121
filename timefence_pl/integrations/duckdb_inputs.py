"""What a DuckDB query reads besides the tables it is given, and whether it gives the same each time.

Takes SQL text, gives a reason in words, or none. DuckDB itself parses the text; what its parser does not tell is taken
for a reason.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from timefence_pl.errors import TimefenceError
from timefence_pl.integrations.duckdb import open_database

__all__ = ["other_inputs"]

#: Functions in FROM that read nothing.
_MAKES_ROWS: Final = frozenset(("range", "generate_series", "unnest", "repeat", "repeat_row"))
#: Functions that read a clock or the session by way of another.
_CHANGING: Final = frozenset(("ago", "user", "current_catalog", "read_text", "read_blob", "get_block_size"))
#: Words that read the clock without parentheses; to the parser they are columns.
_CLOCK_WORDS: Final = frozenset(("current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"))

#: By name, whether a function may give something else in another run. Newer versions say so of everything that reads
#: the session's time zone, which is always UTC here: forms that take a zoned time, and those that make one.
_FUNCTIONS: Final = """
    SELECT lower(function_name), bool_or(
        NOT internal OR stability IS NOT NULL AND stability <> 'CONSISTENT' AND NOT (
            stability = 'CONSISTENT_WITHIN_QUERY' AND (
                function_name IN ('timezone', 'make_timestamptz')
                OR array_to_string(parameter_types, ' ') SIMILAR TO '.*(WITH TIME ZONE|TIMESTAMPTZ).*'
            )
        )
    )
    FROM duckdb_functions() GROUP BY ALL
"""


def other_inputs(query: str, tables: Collection[str], database: str | Path | None = None) -> str | None:
    """Why the result of a query is not told by its text and its tables; None where it is.

    Args:
        query: The text.
        tables: Names of the tables it is given.
        database: The DuckDB file it runs in, whose tables are its inputs too.
    """
    try:
        connection = open_database(database)
    except TimefenceError:
        return "its database cannot be opened"
    try:
        parsed = json.loads(connection.execute("SELECT json_serialize_sql(?)", [query]).fetchone()[0])
        if parsed.get("error"):
            return "the SQL query is of a kind that is not known here"
        functions = dict(connection.execute(_FUNCTIONS).fetchall())
        own = [n for (n,) in connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()]
        views = connection.execute("SELECT lower(view_name) FROM duckdb_views() WHERE NOT internal").fetchall()
    finally:
        connection.close()
    nodes = list(_nodes(parsed))
    known = {n.lower() for n in (*tables, *own)}
    known |= {e["key"].lower() for n in nodes for e in (n.get("cte_map") or {}).get("map", ())}
    reasons = (_reason(n, known, {n for (n,) in views}, functions) for n in nodes)
    return next((reason for reason in reasons if reason is not None), None)


def _reason(node: dict[str, Any], known: set[str], views: set[str], functions: dict[str, bool]) -> str | None:
    kind = node.get("type")
    if kind == "COLUMN_REF" and [str(n).lower() for n in node.get("column_names", ())] in [[w] for w in _CLOCK_WORDS]:
        return f"the SQL query uses {node['column_names'][0]}, which may change from run to run"
    if kind == "SHOW_REF":
        return "the SQL query describes tables"
    if node.get("sample") is not None:
        return "the SQL query samples rows"
    if kind == "BASE_TABLE" and str(node.get("table_name")).lower() not in known:
        if str(node.get("table_name")).lower() in views:
            return f"the SQL query reads the view {node['table_name']!r}, whose tables are not followed"
        return f"the SQL query reads {node.get('table_name')!r}, which is not one of its tables"
    if kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name")).lower()
        return None if name in _MAKES_ROWS else f"the SQL query reads rows by {name}"
    if "function_name" in node:
        name = str(node["function_name"]).lower()
        of_today = name == "age" and len(node.get("arguments") or node.get("children") or ()) == 1
        if name not in _MAKES_ROWS and (functions.get(name, False) or name in _CHANGING or of_today):
            return f"the SQL query uses {name}, which may change from run to run"
    return None


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)
