"""``timefence-pl inspect``: a data file's columns, and which may be keys and times."""

from __future__ import annotations

from typing import Any

import click

from timefence_pl.cli import options
from timefence_pl.cli.session import Session
from timefence_pl.cli.suggest import Profile, look, source_code

__all__ = ["command", "profile_document"]


@options.command(
    "inspect",
    "Show a data file's columns, and which may be keys and times.",
    "timefence-pl inspect data/transactions.parquet",
    "timefence-pl inspect 'events/*.csv' --delimiter ';' --json",
)
@click.argument("path")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["parquet", "csv", "ndjson", "ipc", "delta", "iceberg"]),
    help="The format, where the suffix does not tell.",
)
@click.option("--delimiter", metavar="CHARACTER", help="The separator of CSV files. [default: a comma]")
def command(session: Session, path: str, format_: str | None, delimiter: str | None) -> int:
    """Show the columns of a data file, folder or glob, and propose keys and time for a source.

    At most a million rows are looked at.
    """
    profile = look(path, format=format_, delimiter=delimiter)
    session.document(profile_document(profile))
    session.line(("FILE  ", "bold"), f"{path} ({profile.rows:,} rows, {len(profile.columns)} columns)")
    if profile.sampled < profile.rows:
        session.line(f"      the first {profile.sampled:,} rows were looked at")
    session.line()
    rows = [
        (
            c.name,
            c.dtype,
            "?" if c.unique is None else f"{c.unique:,} ({c.unique_pct:.0f}%)",
            f"{c.nulls:,}",
            (c.notes, "green") if c.notes.startswith("likely") else c.notes,
        )
        for c in profile.columns
    ]
    session.table(("column", "type", "unique", "nulls", "notes"), rows, right=(2, 3))
    session.line()
    if profile.timestamp is None:
        session.line(("No time column was found: a source needs to know when each row was true.", "yellow"))
        return 0
    if not profile.keys:
        session.line(("No key column was found; keys=[] makes one series for all labels.", "yellow"))
    session.line(("Suggestion", "bold"))
    session.line("  " + source_code(profile))
    if profile.duplicates:
        session.line(
            (
                f"  {profile.duplicates:,} rows have the keys and time of another: see on_duplicate and tie_breaker.",
                "yellow",
            )
        )
    return 0


def profile_document(profile: Profile) -> dict[str, Any]:
    """A profile, JSON-ready."""
    suggested = bool(profile.keys or profile.timestamp)
    return {
        "path": profile.path,
        "row_count": profile.rows,
        "rows_looked_at": profile.sampled,
        "column_count": len(profile.columns),
        "columns": [
            {
                "name": c.name,
                "type": c.dtype,
                "unique_count": c.unique,
                "unique_pct": round(c.unique_pct, 1),
                "null_count": c.nulls,
                "notes": c.notes,
            }
            for c in profile.columns
        ],
        "suggestion": {
            "key": profile.keys[0] if profile.keys else None,
            "keys": list(profile.keys),
            "timestamp": profile.timestamp,
            "timestamp_format": profile.timestamp_format,
            "available_at": profile.available_at,
            "duplicates": profile.duplicates,
            "code": source_code(profile) if profile.timestamp else None,
        }
        if suggested
        else None,
    }
