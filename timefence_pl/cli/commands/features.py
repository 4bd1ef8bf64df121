"""``timefence-pl features``: published feature sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.builds import complete_build, find_build, shown_size
from timefence_pl.cli.project import Project, names_of
from timefence_pl.cli.session import Session
from timefence_pl.errors import message

__all__ = ["command"]


@click.group("features", short_help="Publish feature sets, and look into them.")
def command() -> None:
    """Publish feature sets, and look into them: versions that never change, found by name, alias or hash."""


def _complete_ref(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Feature sets of the store, by the names of their folders."""
    folder = Path(ctx.params.get("store") or ".timefence") / "feature_sets"
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    return [n for n in names if n.startswith(incomplete) and not n.startswith(".")]


@options.command(
    "publish",
    "Publish rows as a version that never changes.",
    "timefence-pl features publish churn data/train.parquet --keys user_id --timestamp label_time",
    "timefence-pl features publish churn --build latest --alias production",
)
@click.argument("name")
@click.argument("data", required=False, type=click.Path())
@click.option(
    "--build",
    shell_complete=complete_build,
    metavar="ID",
    help="Publish the output of this build (its id, the beginning of one, or latest), with its plans and sources.",
)
@click.option(
    "--keys", callback=names_of, metavar="COLUMNS", help="Key columns, separated by commas. [default: a build's]"
)
@click.option("--timestamp", metavar="COLUMN", help="The time column. [default: a build's]")
@click.option(
    "--alias", "aliases", multiple=True, help="Point this alias at the version. Repeatable. [default: latest]"
)
@click.option("--meta", multiple=True, metavar="NAME=TEXT", help="Remember this with the version. Repeatable.")
@click.option("--no-copy", is_flag=True, help="Refer to the Parquet file where it stands, instead of copying it.")
@options.store_folder
@options.project
def publish(
    project: Project,
    name: str,
    data: str | None,
    build: str | None,
    keys: tuple[str, ...] | None,
    timestamp: str | None,
    aliases: tuple[str, ...],
    meta: tuple[str, ...],
    no_copy: bool,
    store: Path | None,
) -> int:
    """Publish the file DATA, or a build's output, as a version of the feature set NAME.

    Equal rows are no new version: the latest one is given back.
    """
    if (data is None) == (build is None):
        raise click.UsageError("give either DATA or --build")
    kept = project.store(store)
    if kept is None:
        raise tf.TimefenceConfigError(message("The configuration wants no store.", fix="Give --store PATH."))
    if build is not None:
        manifest = find_build(kept, build)
        data = _output(kept, manifest)
        # The store finds the build by its file.
        keys = tuple(manifest["labels"]["keys"]) if keys is None else keys
        timestamp = manifest["labels"]["label_time_column"] if timestamp is None else timestamp
    given: dict[str, Any] = {"aliases": aliases} if aliases else {}
    noted = dict(pair.partition("=")[::2] for pair in meta)
    if any("=" not in pair for pair in meta):
        raise click.BadParameter("expected NAME=TEXT", param_hint="--meta")
    version = kept.publish(
        name,
        data,
        keys=None if keys is None else list(keys),
        timestamp=timestamp,
        metadata=noted or None,
        copy=not no_copy,
        **given,
    )
    project.session.document(version.to_dict())
    project.session.line(("Published ", "green"), version.ref)
    project.session.text(str(version))
    return 0


def _output(store: tf.Store, manifest: dict[str, Any]) -> str:
    """A build's Parquet file, still what the build wrote."""
    output = manifest.get("output") or {}
    path, recorded = output.get("path"), str(output.get("content_hash"))
    if path is None or Path(path).suffix not in (".parquet", ".pq"):
        raise tf.TimefenceValidationError(
            message(
                f"Build {manifest['build_id']} wrote no Parquet file.",
                where=f"output: {path}",
                fix="Build to a .parquet file, or publish a file with its keys.",
            )
        )
    if recorded.startswith("xxh3_128:") and Path(path).is_file():
        from xxhash import xxh3_128  # noqa: PLC0415 - help needs none

        actual = f"xxh3_128:{xxh3_128(Path(path).read_bytes()).hexdigest()}"
    else:
        actual = store.content_hash(path)
    if actual != recorded:
        raise tf.IntegrityError(
            message(
                f"The output {path} is not what build {manifest['build_id']} wrote.",
                where=f"expected: {recorded}\nactual:   {actual}",
                fix="Build again, or publish the file with its keys.",
            ),
            expected=recorded,
            actual=actual,
        )
    return str(path)


@options.command(
    "ls", "List feature sets, or the versions of one.", "timefence-pl features ls", "timefence-pl features ls churn"
)
@click.argument("name", required=False, shell_complete=_complete_ref)
@options.existing_store
def ls(session: Session, store: tf.Store, name: str | None) -> int:
    """List all feature sets with their newest version, or all versions of one, oldest first."""
    if name is not None:
        found = store.versions(name).to_dicts()
    else:
        found = [store.versions(n).to_dicts()[-1] for n in store.feature_sets() if store.versions(n).height]
    session.document({"store": str(store.path), "versions" if name is not None else "feature_sets": found})
    rows_ = [
        (
            f"{r['name']}:v{r['version']}",
            "" if r["created_at"] is None else f"{r['created_at']:%Y-%m-%d %H:%M:%S}",
            "" if r["n_rows"] is None else f"{r['n_rows']:,}",
            "" if r["size_bytes"] is None else shown_size(r["size_bytes"]),
            ", ".join(r["names"]),
            r["status"],
            (r["content_hash"] or "")[:19],
        )
        for r in found
    ]
    if not rows_:
        session.line(f"There are no feature sets in {store.path}.")
        return 0
    session.table(("version", "published (UTC)", "rows", "size", "names", "status", "content"), rows_, right=(2, 3))
    return 0


@options.command(
    "show", "Show a version: its hashes, keys, columns and origin.", "timefence-pl features show churn:latest"
)
@click.argument("ref", shell_complete=_complete_ref)
@options.existing_store
def show(session: Session, store: tf.Store, ref: str) -> int:
    """Show the version REF: NAME, NAME:ALIAS, NAME:v3 or NAME@sha256:..."""
    version = store.get(ref)
    session.document(version.to_dict())
    session.text(str(version))
    session.line()
    schema = version.fingerprint.schema
    session.table(("column", "type"), [(n, str(t)) for n, t in schema.items()])
    return 0


@options.command(
    "alias",
    "Point an alias at a version, or remove one.",
    "timefence-pl features alias churn:v3 production --expected v2",
    "timefence-pl features alias churn production --remove",
)
@click.argument("ref", shell_complete=_complete_ref)
@click.argument("alias")
@click.option("--expected", metavar="vN|none", help="Only if the alias is there now (none: nowhere).")
@click.option("--remove", is_flag=True, help="Remove the alias of the feature set REF.")
@options.existing_store
def alias(session: Session, store: tf.Store, ref: str, alias: str, expected: str | None, remove: bool) -> int:
    """Point ALIAS at the version REF; of two that move it with --expected, exactly one wins."""
    if remove:
        store.remove_alias(ref, alias)
        session.document({"removed": alias, "name": ref})
        session.line(("Removed ", "green"), f"{ref}:{alias}")
        return 0
    given: dict[str, Any] = {} if expected is None else {"expected": None if expected == "none" else expected}
    version = store.set_alias(ref, alias, **given)
    session.document({"alias": alias, **version.to_dict()})
    session.line(("Set ", "green"), f"{version.name}:{alias} -> {version.ref}")
    return 0


@options.command("tag", "Name a version for ever.", "timefence-pl features tag churn:v3 release-2024")
@click.argument("ref", shell_complete=_complete_ref)
@click.argument("tag")
@options.existing_store
def tag_(session: Session, store: tf.Store, ref: str, tag: str) -> int:
    """Name the version REF for ever; a tag never moves."""
    version = store.create_tag(ref, tag)
    session.document({"tag": tag, **version.to_dict()})
    session.line(("Tagged ", "green"), f"{version.name}:{tag} -> {version.ref}")
    return 0


@options.command(
    "verify",
    "Check a version against what was published.",
    "timefence-pl features verify churn:latest",
    "timefence-pl features verify churn:v3 --level content",
)
@click.argument("ref", shell_complete=_complete_ref)
@click.option(
    "--level",
    type=click.Choice(["size", "file", "content"]),
    default="file",
    show_default=True,
    help="The size, every byte, or every value in whatever order and compression.",
)
@options.existing_store
def verify(session: Session, store: tf.Store, ref: str, level: Any) -> int:
    """Check that the version REF is what was published; exits 4 where it is not."""
    version = store.get(ref)
    version.verify(level)
    session.document({"ref": version.ref, "level": level, "whole": True})
    session.line(("OK    ", "green"), f"{version.ref} is what was published ({level})")
    return 0


for _made in (publish, ls, show, alias, tag_, verify):
    command.add_command(_made)
