"""``timefence-pl store``: what the store holds, whether it is whole, and what can go."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.builds import complete_build, find_build, shown_size
from timefence_pl.cli.failures import FAILED, STORE
from timefence_pl.cli.report_files import refuse_to_replace, write_text
from timefence_pl.cli.session import Session, counted, shown_path

__all__ = ["command"]

_FILE = click.Path(dir_okay=False, path_type=Path)


def _bytes(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)i?B?", value.strip(), re.IGNORECASE)
    if not found:
        raise click.BadParameter(f"{value!r} is not a size, as in 500MB or 2GB")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2].lower() or " "))


@click.group("store", short_help="Look into the store, check it, and free its space.")
def command() -> None:
    """Look into the store, check it, and free its space."""


@options.command("ls", "List builds, newest first, and what is cached.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most this many builds.")
@options.existing_store
def ls(session: Session, store: tf.Store, limit: int) -> int:
    """List builds, newest first, and what is cached."""
    builds, info = store.list_builds(), store.cache_info()
    session.document({"store": str(store.path), "builds": builds[:limit], "cache": info})
    session.line(("Store  ", "bold"), shown_path(store.path))
    session.line(
        ("Cache  ", "bold"),
        f"{counted(info['entries'], 'feature frame')}, {shown_size(info['bytes'])}"
        + (f", {info['set_aside']} set aside" if info["set_aside"] else ""),
    )
    session.line(("Builds ", "bold"), f"{len(builds):,}")
    session.line()
    rows = [
        (
            b["build_id"],
            str(b.get("created_at", ""))[:19].replace("T", " "),
            f"{_at(b, 'output', 'row_count') or 0:,}",
            str(len(b.get("features") or {})),
            shown_path(_at(b, "output", "path") or "in memory"),
        )
        for b in builds[:limit]
    ]
    session.table(("build", "made (UTC)", "rows", "features", "output"), rows, right=(2, 3))
    if len(builds) > limit:
        session.line(f"... and {len(builds) - limit:,} older (--limit)")
    return 0


@options.command("show", "Show a build's manifest.")
@click.argument("build", shell_complete=complete_build)
@options.existing_store
def show(session: Session, store: tf.Store, build: str) -> int:
    """Show the manifest of a build: its id, the beginning of one, or `latest`."""
    manifest = find_build(store, build)
    session.document(manifest)
    if session.json:
        return 0
    if not {"labels", "output", "features", "audit", "parameters"} <= set(manifest):
        session.text(json.dumps(manifest, indent=2, default=str), whole=True)  # kept by save_build, from elsewhere
        return 0
    labels, output = manifest["labels"], manifest["output"]
    for head, text in (
        ("Build     ", manifest["build_id"]),
        ("Made      ", f"{manifest['created_at'][:19].replace('T', ' ')} UTC in {manifest['duration_seconds']:.2f} s"),
        (
            "Labels    ",
            f"{labels['row_count']:,} rows from {labels['path']}, {' to '.join(map(str, labels['time_range']))}",
        ),
        ("Rule      ", manifest["audit"]["invariant"]),
        ("Options   ", ", ".join(f"{k}={v}" for k, v in manifest["parameters"].items())),
        (
            "Output    ",
            f"{output['path'] or 'in memory'} ({output['row_count']:,} rows, {output['column_count']} columns)",
        ),
        ("Hash      ", output["content_hash"] or "none"),
    ):
        session.line((head, "bold"), str(text))
    for split in manifest["splits"]:
        session.line(("Split     ", "bold"), f"{split['name']}: {split['path']} ({split['row_count']:,} rows)")
    session.line()
    rows = [
        (
            name,
            f["source"],
            f"{f['matched_rows']:,}",
            f"{f['missing_rows']:,}",
            str(f["embargo"]),
            "yes" if f["cached"] else f"no ({f.get('cache_reason')})",
        )
        for name, f in manifest["features"].items()
    ]
    session.table(("feature", "source", "matched", "missing", "embargo", "from the store"), rows, right=(2, 3))
    return 0


@options.command("verify", "Check cached frames and outputs against their records.")
@click.option("--repair", is_flag=True, help="Set damaged cached frames aside, so that they are made again.")
@options.existing_store
def verify(session: Session, store: tf.Store, repair: bool) -> int:
    """Check every cached frame and every build's output against its record; exits 4 where one is not what it says."""
    problems = store.verify(repair=repair)
    session.document(
        {
            "store": str(store.path),
            "whole": not problems,
            "problems": [{"what": p.what, "path": str(p.path), "reason": p.reason} for p in problems],
            "repaired": repair,
        }
    )
    for problem in problems:
        session.line(("FAIL  ", "bold red"), str(problem))
    if not problems:
        session.line(("OK    ", "green"), f"everything in {shown_path(store.path)} is what its record says")
    elif repair:
        session.line("Damaged cached frames are set aside; outputs are left as they are.")
    return STORE if problems else 0


@options.command("gc", "Free space.")
@click.option("--keep-builds", type=click.IntRange(min=0), metavar="N", help="Keep the N newest builds' manifests.")
@click.option(
    "--max-size",
    callback=_bytes,
    metavar="SIZE",
    help="Keep the newest cached frames up to this size, as 500MB or 2GB.",
)
@click.option("--older-than", metavar="DURATION", help="Remove cached frames made longer ago than this, as 30d.")
@click.option(
    "--keep-versions",
    type=click.IntRange(min=0),
    metavar="N",
    help="Keep the N newest versions of each feature set, and all that have a name or that a run used.",
)
@click.option("--delete", is_flag=True, help="Remove it; without this, only tell what would go.")
@options.existing_store
def gc(
    session: Session,
    store: tf.Store,
    keep_builds: int | None,
    max_size: int | None,
    older_than: str | None,
    keep_versions: int | None,
    delete: bool,
) -> int:
    """Remove abandoned and damaged files, and what the limits say; only tells what would go unless --delete.

    Training sets are never removed.
    """
    found = store.gc(
        keep_builds=keep_builds,
        max_size=max_size,
        older_than=older_than,
        keep_versions=keep_versions,
        dry_run=not delete,
    )
    paths = [str(p) for p in found.paths]
    session.document({"store": str(store.path), "paths": paths, "bytes": found.bytes, "deleted": delete})
    for path in paths if session.verbose else ():
        session.line(path)
    session.line(
        f"{len(paths):,} items, {shown_size(found.bytes)} " + ("freed" if delete else "would be freed (--delete)")
    )
    return 0


@options.command(
    "lineage",
    "Show what something was made from, or what was made of it.",
    "timefence-pl store lineage churn:latest",
    "timefence-pl store lineage data/users.parquet --down --html lineage.html",
)
@click.argument("ref")
@click.option("--down", is_flag=True, help="Towards runs: what was made of it; else towards sources.")
@click.option("--svg", type=_FILE, metavar="FILE", help="Write it as a drawing.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write it as a page: a drawing, and the same as text.")
@options.existing_store
def lineage(session: Session, store: tf.Store, ref: str, down: bool, svg: Path | None, html: Path | None) -> int:
    """Show the lineage of REF: a version (NAME:v3), the id of a run or a build, or the path of a file.

    Run, feature set, build, features, plans, sources, files with their hashes, from records alone.
    """
    refuse_to_replace({"--svg": svg, "--html": html}, [ref], store.path)
    found = store.lineage(ref, "down" if down else "up")
    for file, text in ((svg, found.to_svg), (html, found.to_page)):
        if file is not None:
            write_text(file, text())
    session.document(found.to_dict())
    session.text(str(found), whole=True)
    for file in (svg, html):
        if file is not None:
            session.line(("Written ", "bold"), session.as_given(file))
    return 0


@options.command(
    "check",
    "Tell which sources of a version or run have changed since.",
    "timefence-pl store check churn:latest --strict",
)
@click.argument("ref")
@click.option("--strict", is_flag=True, help="Exit 1 where something changed, or could not be checked.")
@options.existing_store
def check(session: Session, store: tf.Store, ref: str, strict: bool) -> int:
    """Read and hash the files that the version or run REF was made from, and tell which have changed since."""
    report = store.check(ref)
    session.document(report.to_dict())
    session.text(str(report))
    return FAILED if strict and (not report.ok or report.unchecked) else 0


for _made in (ls, show, verify, gc, lineage, check):
    command.add_command(_made)


def _at(manifest: dict[str, Any], *names: str) -> Any:
    value: Any = manifest
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
