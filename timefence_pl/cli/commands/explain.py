"""``timefence-pl explain``: how features would be joined, and why a label row gets what it gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.project import LabelFlags, Project
from timefence_pl.cli.session import Session

__all__ = ["command", "print_explanation"]


@options.command(
    "explain",
    "Tell how features would be joined.",
    "timefence-pl explain",
    "timefence-pl explain --features features.py:spend_30d --row 17",
)
@options.labels
@options.features
@options.bounds
@options.store
@click.option(
    "--row",
    type=click.IntRange(min=0),
    metavar="N",
    help="Tell which source row label row N gets from each feature, which it does not, and why; counted from 0.",
)
@options.project
def command(
    project: Project,
    label_flags: LabelFlags,
    feature_files: tuple[str, ...],
    max_lookback: Any,
    max_staleness: Any,
    join: str | None,
    store: Path | None,
    no_store: bool,
    row: int | None,
) -> int:
    """Tell how each feature would be joined: condition, window, strategy, and whether the store has it."""
    features = project.features(feature_files)
    labels = project.labels(label_flags, features)
    join_options = project.join_options(max_lookback=max_lookback, max_staleness=max_staleness, join=join)
    kept = project.store(store, none=no_store)
    explained = tf.explain(labels, features, **join_options, store=kept if kept and kept.path.is_dir() else None)
    if row is None:
        print_explanation(project.session, explained, labels)
        return 0
    told = explained.row(row)
    project.session.document(
        {
            "row": told.row,
            "label": told.label,
            "features": {
                name: {
                    "reason": f.reason,
                    "condition": f.condition,
                    "chosen": _candidate(f.chosen),
                    "passed_over": [_candidate(c) for c in f.passed_over],
                    "entity_rows": f.entity_rows,
                    "note": f.note,
                }
                for name, f in told.features.items()
            },
        }
    )
    project.session.text(str(told))
    return 0


def print_explanation(session: Session, explained: tf.ExplainResult, labels: tf.Labels) -> None:
    """Print how features would be joined; with ``-v`` also the plan."""
    session.document(
        {
            "labels": explained.labels,
            "label_count": _rows(labels) if session.json else None,
            "plan": [
                {
                    "name": f.name,
                    "source": f.source,
                    "mode": f.mode,
                    "join_condition": f.condition,
                    "window": f.window,
                    "embargo": f.embargo,
                    "strategy": f.strategy,
                    "cost": f.cost,
                    "columns": list(f.columns),
                    "cached": f.cached,
                    "cache_reason": f.cache_reason,
                }
                for f in explained.features.values()
            ],
            **({"polars_plan": explained.plan} if session.json and session.verbose else {}),
        }
    )
    session.line(("JOIN PLAN", "bold"))
    session.text(str(explained))
    if session.verbose and not session.json:
        session.line()
        session.line(("Polars' plan", "bold"))
        session.text(explained.plan, whole=True)


def _rows(labels: tf.Labels) -> int:
    import polars as pl  # noqa: PLC0415 - help needs none

    return int(labels.scan().select(pl.len()).collect(engine="streaming").item())


def _candidate(candidate: Any) -> dict[str, Any] | None:
    if candidate is None:
        return None
    return {
        "time": candidate.time,
        "usable_from": candidate.usable_from,
        "verdict": candidate.verdict,
        "why": candidate.why,
        "values": candidate.values,
    }
