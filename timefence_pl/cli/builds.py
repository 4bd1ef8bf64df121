"""Builds in a store, as commands name them.

Takes what was typed, gives manifests; and sizes and files as they are shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import timefence_pl as tf
from timefence_pl.errors import did_you_mean, listing, message

__all__ = ["complete_build", "find_build", "shown_size"]


def complete_build(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Builds of the default store, or the one given, by the names of their folders."""
    root = ctx.params.get("store") or ".timefence"
    folder = Path(root) / "builds"
    names = sorted((p.name for p in folder.iterdir()), reverse=True) if folder.is_dir() else []
    return [n for n in ["latest", *names] if n.startswith(incomplete)]


def find_build(store: tf.Store, ref: str) -> dict[str, Any]:
    """A build's manifest, by its id, the beginning of one, or ``latest``.

    Raises:
        TimefenceValidationError: If there is no such build, or several.
    """
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


def shown_size(count: float) -> str:
    """A number of bytes, in decimal units."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError
