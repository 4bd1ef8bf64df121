"""``timefence-pl store``: what the store holds, whether it is whole, and what can go."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.failures import STORE
from timefence_pl.cli.project import Project
from timefence_pl.cli.session import Session
from timefence_pl.errors import did_you_mean, listing, message

__all__ = ["command"]


def _bytes(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)i?B?", value.strip(), re.IGNORECASE)
    if not found:
        raise click.BadParameter(f"{value!r} is not a size, as in 500MB or 2GB")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2].lower() or " "))


def _complete_build(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Builds of the default store, or the one given, by the names of their folders."""
    root = ctx.params.get("store") or ".timefence"
    folder = Path(root) / "builds"
    names = sorted((p.name for p in folder.iterdir()), reverse=True) if folder.is_dir() else []
    return [n for n in ["latest", *names] if n.startswith(incomplete)]


@click.group("store", short_help="Look into the store, check it, and free its space.")
def command() -> None:
    """Look into the store, check it, and free its space."""


def _of_store(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the function the session and an existing store."""

    @click.option(
        "--store",
        type=click.Path(file_okay=False, path_type=Path),
        help="The store's folder. [default: the configuration's, or .timefence]",
    )
    @options.project
    @functools.wraps(function)
    def run(project: Project, store: Path | None, **arguments: Any) -> Any:
        found = project.store(store)
        if found is None or not found.path.is_dir():
            where = "the configuration wants no store" if found is None else f"there is no folder {found.path}"
            raise tf.TimefenceValidationError(
                message("There is no store.", where=where, fix="Give --store PATH; `timefence-pl build` makes one.")
            )
        return function(project.session, found, **arguments)

    return run


@options.command("ls", "List builds, newest first, and what is cached.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most this many builds.")
@_of_store
def ls(session: Session, store: tf.Store, limit: int) -> int:
    """List builds, newest first, and what is cached."""
    builds, info = store.list_builds(), store.cache_info()
    session.document({"store": str(store.path), "builds": builds[:limit], "cache": info})
    session.line(("Store  ", "bold"), str(store.path))
    session.line(
        ("Cache  ", "bold"),
        f"{info['entries']:,} feature frames, {_size(info['bytes'])}"
        + (f", {info['set_aside']} set aside" if info["set_aside"] else ""),
    )
    session.line(("Builds ", "bold"), f"{len(builds):,}")
    session.line()
    rows = [
        (
            b["build_id"],
            str(b.get("created_at", ""))[:19].replace("T", " "),
            f"{_at(b, 'output', 'row_count'):,}",
            str(len(b.get("features", {}))),
            _at(b, "output", "path") or "in memory",
        )
        for b in builds[:limit]
    ]
    session.table(("build", "made (UTC)", "rows", "features", "output"), rows, right=(2, 3))
    if len(builds) > limit:
        session.line(f"... and {len(builds) - limit:,} older (--limit)")
    return 0


@options.command("show", "Show a build's manifest.")
@click.argument("build", shell_complete=_complete_build)
@_of_store
def show(session: Session, store: tf.Store, build: str) -> int:
    """Show the manifest of a build: its id, the beginning of one, or `latest`."""
    manifest = _build(store, build)
    session.document(manifest)
    if session.json:
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
@_of_store
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
        session.line(("OK    ", "green"), f"everything in {store.path} is what its record says")
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
@click.option("--delete", is_flag=True, help="Remove it; without this, only tell what would go.")
@_of_store
def gc(
    session: Session,
    store: tf.Store,
    keep_builds: int | None,
    max_size: int | None,
    older_than: str | None,
    delete: bool,
) -> int:
    """Remove abandoned and damaged files, and what the limits say; only tells what would go unless --delete.

    Training sets are never removed.
    """
    found = store.gc(keep_builds=keep_builds, max_size=max_size, older_than=older_than, dry_run=not delete)
    paths = [str(p) for p in found.paths]
    session.document({"store": str(store.path), "paths": paths, "bytes": found.bytes, "deleted": delete})
    for path in paths if session.verbose else ():
        session.line(path)
    session.line(f"{len(paths):,} items, {_size(found.bytes)} " + ("freed" if delete else "would be freed (--delete)"))
    return 0


for _made in (ls, show, verify, gc):
    command.add_command(_made)


def _build(store: tf.Store, ref: str) -> dict[str, Any]:
    builds = store.list_builds()
    if ref == "latest" and builds:
        return builds[0]
    found = [b for b in builds if b["build_id"] == ref] or [b for b in builds if b["build_id"].startswith(ref)]
    if len(found) == 1:
        return found[0]
    names = [b["build_id"] for b in builds]
    if found:
        raise tf.TimefenceValidationError(
            message(f"{ref!r} is the beginning of {len(found)} builds.", where=listing(b["build_id"] for b in found))
        )
    raise tf.TimefenceValidationError(
        message(
            f"There is no build {ref!r} in {store.path}. {did_you_mean(ref, names)}".rstrip(),
            fix="`timefence-pl store ls` lists the builds.",
        )
    )


def _at(manifest: dict[str, Any], *names: str) -> Any:
    value: Any = manifest
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError
