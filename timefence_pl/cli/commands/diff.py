"""``timefence-pl diff``: what differs between two data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.failures import FAILED
from timefence_pl.cli.project import Project
from timefence_pl.cli.report_files import refuse_inputs, write_text
from timefence_pl.errors import message

__all__ = ["command"]


@options.command(
    "diff",
    "Compare two data sets.",
    "timefence-pl diff train_v1.parquet train_v2.parquet",
    "timefence-pl diff old.csv new.parquet --keys user_id --label-time label_time --atol 0.01 --strict",
)
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@options.key_columns
@click.option("--atol", type=float, default=1e-10, show_default=True, help="Floats may differ by this much.")
@click.option("--rtol", type=float, default=1e-7, show_default=True, help="Floats may differ by this share.")
@click.option("--timestamp-format", metavar="FORMAT", help="The format of label times in text, as %Y-%m-%d %H:%M.")
@click.option("--column", metavar="COLUMN", help="Show the largest changes of this column.")
@click.option("--strict", is_flag=True, help="Exit 1 unless both hold the same columns, types and rows.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the result as an HTML page."
)
@options.project
def command(
    project: Project,
    old: str,
    new: str,
    keys: tuple[str, ...] | None,
    label_time: str | None,
    atol: float,
    rtol: float,
    timestamp_format: str | None,
    column: str | None,
    strict: bool,
    html: Path | None,
) -> int:
    """Compare the data sets OLD and NEW: rows by keys and label time, then columns, types and values.

    Keys are the configuration's, or those of the feature files, unless they are given.
    """
    session = project.session
    if keys is None and project.config.labels.keys is None and not project.feature_files():
        raise tf.TimefenceConfigError(
            message("It is not known which columns are the keys.", fix="Give --keys COLUMNS (and --label-time COLUMN).")
        )
    features = [] if keys is not None or project.config.labels.keys is not None else project.features()
    refuse_inputs(project, {"--html": html}, [old, new], features)
    given: dict[str, Any] = {"timestamp_format": timestamp_format} if timestamp_format else {}
    with session.progress(None, "Comparing"):
        result = tf.diff(
            old,
            new,
            keys=project.label_keys(keys, features),
            label_time=project.label_time(label_time),
            atol=atol,
            rtol=rtol,
            **given,
        )
    largest = None if column is None else result.largest(column)
    if html is not None:
        write_text(html, result.to_html())
    session.document(result.to_dict())
    session.text(str(result))
    if largest is not None:
        session.line()
        session.line((f"Largest changes of {column}", "bold"))
        heads = largest.columns
        session.table(heads, [[row[h] for h in heads] for row in largest.iter_rows(named=True)])
    if html is not None:
        session.line(("Written ", "bold"), session.as_given(html))
    return FAILED if strict and not result.identical else 0
