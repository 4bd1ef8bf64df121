"""``timefence-pl runs``: experiments' runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.project import Project
from timefence_pl.cli.session import Session
from timefence_pl.errors import message

__all__ = ["command"]

_STYLES = {"FINISHED": "green", "FAILED": "bold red", "INTERRUPTED": "yellow", "RUNNING": "cyan"}


@click.group("runs", short_help="List, show and compare runs.")
def command() -> None:
    """List, show and compare the runs that training code logged."""


def _tags(_ctx: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, Any]:
    tags: dict[str, Any] = {}
    for given in value:
        name, equals, text = given.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{given!r} is not NAME=VALUE")
        try:
            tags[name] = json.loads(text)
        except ValueError:
            tags[name] = text
    return tags


@options.command(
    "ls", "List runs, newest first.", "timefence-pl runs ls", "timefence-pl runs ls churn --tag stage=test --limit 5"
)
@click.argument("experiment", required=False)
@click.option(
    "--tag", "tags", multiple=True, callback=_tags, metavar="NAME=VALUE", help="Only runs with this tag. Repeatable."
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most this many runs.")
@options.existing_store
def ls(session: Session, store: tf.Store, experiment: str | None, tags: dict[str, Any], limit: int) -> int:
    """List the runs of an experiment, or all, newest first."""
    found = store.find_runs(tags, experiment=experiment) if tags else store.runs(experiment)
    shown = found.head(limit).to_dicts()
    session.document({"store": str(store.path), "count": found.height, "runs": shown})
    if not shown:
        session.line("There are no such runs.")
        return 0
    metrics = [c for c in found.columns if c.startswith("metric_")][:4]
    rows = [
        (
            r["run_id"],
            r["experiment"],
            r["name"] or "",
            (r["status"], _STYLES.get(r["status"], "")),
            f"{r['started_at']:%Y-%m-%d %H:%M:%S}",
            ", ".join(r["inputs"]),
            *("" if r[m] is None else f"{r[m]:.6g}" for m in metrics),
        )
        for r in shown
    ]
    heads = (
        "run",
        "experiment",
        "name",
        "status",
        "started (UTC)",
        "inputs",
        *(m.removeprefix("metric_") for m in metrics),
    )
    session.table(heads, rows, right=range(6, len(heads)))
    if found.height > limit:
        session.line(f"... and {found.height - limit:,} older (--limit)")
    return 0


@options.command(
    "show", "Show a run: parameters, metrics, tags, inputs, outputs, artifacts.", "timefence-pl runs show RUN_ID"
)
@click.argument("run_id")
@options.existing_store
def show(session: Session, store: tf.Store, run_id: str) -> int:
    """Show what the run RUN_ID logged; the beginning of an id will do, and `latest`."""
    record = store.run(_run_id(store, run_id))
    session.document(record.to_dict())
    session.text(str(record))
    return 0


@options.command("compare", "Compare runs.", "timefence-pl runs compare RUN_ID OTHER_ID")
@click.argument("run_ids", nargs=-1, required=True)
@click.option("--all", "everything", is_flag=True, help="Show what is equal, too.")
@options.existing_store
def compare(session: Session, store: tf.Store, run_ids: tuple[str, ...], everything: bool) -> int:
    """Compare parameters, metrics, tags and inputs of runs; the beginnings of their ids will do."""
    ids = [_run_id(store, r) for r in run_ids]
    found = store.compare_runs(*ids)
    session.document({"runs": ids, "rows": found.to_dicts()})
    rows = [
        (r["kind"], r["name"], *((r[i] or "-", "yellow" if r["differs"] else "") for i in ids))
        for r in found.to_dicts()
        if everything or r["differs"]
    ]
    if not rows:
        session.line("Nothing differs." if found.height else "The runs logged nothing.")
        return 0
    session.table(("", "name", *ids), rows)
    return 0


@options.command("import", "Bring in the runs of a RuneLog store.", "timefence-pl runs import .runelog")
@click.argument("path", type=click.Path(file_okay=False))
@click.option(
    "--time-zone", metavar="ZONE", help="The zone of the machine that wrote it, as Europe/Berlin. [default: this one's]"
)
@options.store_folder
@options.project
def import_(project: Project, path: str, time_zone: str | None, store: Path | None) -> int:
    """Bring in experiments, parameters, metrics, tags and artifacts of the RuneLog store PATH; nothing there changes."""
    kept = project.store(store)
    if kept is None:
        raise tf.TimefenceConfigError(message("The configuration wants no store.", fix="Give --store PATH."))
    report = kept.import_runelog(path, time_zone=time_zone)
    project.session.document({"imported": dict(vars(report))})
    project.session.text(str(report))
    return 0


def _run_id(store: tf.Store, given: str) -> str:
    """A run's id by the beginning of it, or the newest."""
    ids = store.runs()["run_id"].to_list()
    if given == "latest" and ids:
        return str(ids[0])
    found = [i for i in ids if i.startswith(given)]
    return str(found[0]) if len(found) == 1 else given


for _made in (ls, show, compare, import_):
    command.add_command(_made)
