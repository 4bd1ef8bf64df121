"""``timefence-pl build``: build a training set, and say where every label row went."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.commands.explain import print_explanation
from timefence_pl.cli.project import LabelFlags, Project, durations, splits_of
from timefence_pl.cli.session import shown_path

__all__ = ["command"]

_COMPRESSIONS: Final = ("zstd", "lz4", "snappy", "gzip", "brotli", "uncompressed")


@options.command(
    "build",
    "Build a training set.",
    "timefence-pl build -o train.parquet",
    "timefence-pl build --labels labels.parquet --features features.py -o train.parquet",
    "timefence-pl build -o set.parquet --split train:2023-01-01:2024-01-01 --split test:2024-01-01:2025-01-01",
)
@options.labels
@options.features
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(dir_okay=False),
    help="Where to write: .parquet, .csv, .ndjson or .arrow; a relative path starts at the configuration's output.dir.",
)
@options.bounds
@click.option(
    "--on-missing",
    type=click.Choice(["null", "skip"]),
    help="Keep rows for which a feature has no value (null, the default), or drop them (skip).",
)
@click.option("--flatten", is_flag=True, default=None, help="Drop the feature's name from output columns.")
@click.option("--feature-times", is_flag=True, default=None, help="Add the feature time of every value.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    callback=splits_of,
    metavar="NAME:START:END",
    help="Also write the label times in [START, END) to a file of their own. Repeatable.",
)
@click.option(
    "--purge",
    callback=durations,
    metavar="DURATION",
    help="Drop rows of an earlier split that lie within this time before a later one.",
)
@click.option("--compression", type=click.Choice(_COMPRESSIONS), help="Of the output. [default: zstd]")
@click.option(
    "--check-lookahead", is_flag=True, help="First check that no feature looks ahead; build nothing if one does."
)
@options.store
@click.option("--dry-run", is_flag=True, help="Explain what would be done, and do nothing.")
@options.project
def command(
    project: Project,
    label_flags: LabelFlags,
    feature_files: tuple[str, ...],
    output: str | None,
    max_lookback: Any,
    max_staleness: Any,
    join: str | None,
    on_missing: str | None,
    flatten: bool | None,
    feature_times: bool | None,
    splits: dict[str, tuple[Any, Any]] | None,
    purge: Any,
    compression: str | None,
    check_lookahead: bool,
    store: Path | None,
    no_store: bool,
    dry_run: bool,
) -> int:
    """Build a training set: every label row with what was known at its label time."""
    named = splits or project.config.splits
    if purge is not None and not named:
        raise click.UsageError("--purge needs --split, or splits in the configuration: it drops rows between splits")
    features = project.features(feature_files)
    labels = project.labels(label_flags, features)
    join_options = project.join_options(
        max_lookback=max_lookback,
        max_staleness=max_staleness,
        join=join,
        on_missing=on_missing,
        flatten_columns=flatten,
        feature_times=feature_times,
    )
    kept = project.store(store, none=no_store)
    session = project.session
    if dry_run:
        explained = tf.explain(labels, features, **join_options, store=kept if kept and kept.path.is_dir() else None)
        print_explanation(session, explained, labels)
        session.line()
        session.line("Nothing was built (--dry-run).")
        return 0
    target = project.output(output)
    given: dict[str, Any] = {}
    if named:
        given["splits"] = named
    gap = project.config.defaults.get("purge") if purge is None else purge
    if gap is not None and named:
        given["purge"] = gap
    if check_lookahead:
        given["check_lookahead"] = True
    if compression or project.config.compression:
        given["compression"] = compression or project.config.compression
    with session.progress(2 * len(features) + 3, "Building") as steps:
        result = tf.build(labels, features, target, **join_options, **given, store=kept, progress=steps.step)
    session.document(result.manifest)
    _print(project, result, labels)
    return 0


def _print(project: Project, result: tf.BuildResult, labels: tf.Labels) -> None:
    session, stats = project.session, result.stats
    if session.json:
        return
    manifest = result.manifest
    session.line(("Labels    ", "bold"), f"{stats.label_count:,} rows from {labels.described()}")
    session.line(("Rule      ", "bold"), manifest["audit"]["invariant"])
    session.line()
    rows = []
    for name, s in stats.feature_stats.items():
        lost = [f"{s[p]:,} {p.replace('_', ' ')}" for p in ("null_value", "stale", "too_old", "no_history") if s[p]]
        if s["dropped_source_rows"]:
            lost.append(f"{s['dropped_source_rows']:,} source rows without key or time")
        none = stats.label_count > 0 and not s["matched"]
        mark = ("NONE", "bold yellow") if none else ("OK", "green")
        cached = "cached" if manifest["features"][name]["cached"] else ""
        rows.append((mark, name, f"{s['matched']:,} / {stats.label_count:,} matched", ", ".join(lost), cached))
    session.table(("", "feature", "label rows", "of these, and others", ""), rows, right=(2,))
    session.line()
    reused = "; an equal earlier build was taken" if manifest["reused"] else ""
    session.line(
        ("Written   ", "bold"),
        f"{shown_path(result.output_path or '')} ({stats.row_count:,} rows, {stats.column_count} columns)",
    )
    for name, path in result.splits.items():
        session.line(("Split     ", "bold"), f"{name}: {shown_path(path)} ({stats.split_rows[name]:,} rows)")
    if stats.purged_rows:
        session.line(("Purged    ", "bold"), f"{stats.purged_rows:,} rows")
    if "manifest_path" in manifest:
        session.line(("Manifest  ", "bold"), shown_path(manifest["manifest_path"]))
    session.line(("Time      ", "bold"), f"{stats.duration_seconds:.2f} s{reused}")
    if any(s["matched"] == 0 for s in stats.feature_stats.values()) and stats.label_count:
        warnings.warn(
            "A feature matched no label row: compare its keys and times with the labels' (timefence-pl explain --row 0).",
            stacklevel=1,
        )
    if session.verbose:
        session.line()
        session.line(("Plan", "bold"))
        session.text(result.plan.explain(), whole=True)
