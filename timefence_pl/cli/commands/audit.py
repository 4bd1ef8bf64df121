"""``timefence-pl audit``: does a data set carry the future?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import timefence_pl as tf
from timefence_pl.cli import options
from timefence_pl.cli.failures import FAILED
from timefence_pl.cli.gate import examples, junit, markdown, sarif, summary
from timefence_pl.cli.project import Project, durations, names_of
from timefence_pl.cli.report_files import refuse_inputs, write_text
from timefence_pl.cli.session import Session
from timefence_pl.errors import message

__all__ = ["command"]

_STYLES = {"OK": "green", "LEAK": "bold red", "FAIL": "bold yellow"}
_FILE = click.Path(dir_okay=False, path_type=Path)


def _pairs(_ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for given in value:
        left, equals, right = given.partition("=")
        if not (left and equals and right):
            raise click.BadParameter(f"{given!r} is not {parameter.metavar}")
        pairs[left] = right
    return pairs


@options.command(
    "audit",
    "Check a data set for values from the future.",
    "timefence-pl audit data/train.parquet",
    "timefence-pl audit data/train.parquet --features features.py --keys user_id --label-time label_time --strict",
    "timefence-pl audit train.csv --feature-time spend=spend_computed_at --embargo 1d",
)
@click.argument("data", type=click.Path())
@options.features
@options.key_columns
@click.option(
    "--target",
    callback=names_of,
    metavar="COLUMNS",
    help="Target columns, which are no features. [default: the configuration's]",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    callback=_pairs,
    metavar="NAME=COLUMN",
    help="Where a feature's values stand, as spend__sum=spend_30d, if not under that name. Repeatable.",
)
@click.option(
    "--feature-time",
    "feature_times",
    multiple=True,
    callback=_pairs,
    metavar="COLUMN=TIME_COLUMN",
    help="Compare this column's feature times with the label times instead of rebuilding features. Repeatable.",
)
@click.option(
    "--embargo",
    callback=durations,
    metavar="DURATION",
    help="With --feature-time: how long after its feature time a value is usable. Features have their own.",
)
@options.bounds
@click.option("--timestamp-format", metavar="FORMAT", help="The format of times in text, as %Y-%m-%d %H:%M.")
@click.option("--atol", type=float, default=1e-10, show_default=True, help="Floats may differ by this much.")
@click.option(
    "--rtol", type=float, default=1e-7, show_default=True, help="Floats may differ by this share of the value due."
)
@click.option("--no-lookahead", is_flag=True, help="Do not check whether the features themselves look ahead.")
@click.option("--strict", is_flag=True, help="Exit 1 unless everything was checked and is clean.")
@click.option("--summary", "short", is_flag=True, help="Print one line for each feature.")
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Print so many failing rows of each feature.",
)
@click.option("--html", type=_FILE, metavar="FILE", help="Write the report as an HTML page.")
@click.option("--junit", "junit_file", type=_FILE, metavar="FILE", help="Write the report as JUnit XML.")
@click.option("--sarif", "sarif_file", type=_FILE, metavar="FILE", help="Write the report as SARIF 2.1.0.")
@click.option("--markdown", "markdown_file", type=_FILE, metavar="FILE", help="Append a Markdown summary to this file.")
@options.project
def command(
    project: Project,
    data: str,
    feature_files: tuple[str, ...],
    keys: tuple[str, ...] | None,
    label_time: str | None,
    target: tuple[str, ...] | None,
    columns: dict[str, str],
    feature_times: dict[str, str],
    embargo: Any,
    max_lookback: Any,
    max_staleness: Any,
    join: str | None,
    timestamp_format: str | None,
    atol: float,
    rtol: float,
    no_lookahead: bool,
    strict: bool,
    short: bool,
    rows: int,
    html: Path | None,
    junit_file: Path | None,
    sarif_file: Path | None,
    markdown_file: Path | None,
) -> int:
    """Check the data set DATA for values from the future.

    Each feature is rebuilt from its source for the data set's own rows, and compared value by value; with --feature-time
    the data set's own feature times are compared with its label times, and no feature file is needed.
    """
    _refuse_unused(rebuilt=not feature_times)
    session = project.session
    given: dict[str, Any] = {"timestamp_format": timestamp_format} if timestamp_format else {}
    if feature_times:
        bounds = project.join_options(max_lookback=max_lookback, max_staleness=max_staleness, join=join)
        given |= {k: v for k, v in bounds.items() if k == "join" or (k == "max_lookback" and max_lookback is not None)}
        given |= {} if max_staleness is None else {"max_staleness": bounds["max_staleness"]}
        given |= {} if embargo is None else {"embargo": embargo}
        features: list[tf.Feature | tf.Window] = []
        told_keys = keys or project.config.labels.keys
        given |= {"feature_time_columns": feature_times, "keys": list(told_keys) if told_keys else None}
    else:
        features = _features(project, feature_files)
        bounds = project.join_options(max_lookback=max_lookback, max_staleness=max_staleness, join=join)
        known = ("max_lookback", "max_staleness", "join")
        given |= {k: v for k, v in bounds.items() if k in known}
        given |= {"features": features, "keys": project.label_keys(keys, features), "atol": atol, "rtol": rtol}
        given |= {"columns": columns} if columns else {}
        given |= {"target": _targets(project, data, target), "check_lookahead": not no_lookahead}
    reports = {"--html": html, "--junit": junit_file, "--sarif": sarif_file, "--markdown": markdown_file}
    refuse_inputs(project, reports, [data], features)
    started = time.perf_counter()
    with session.progress(len(features) + 3 if features else None, "Auditing") as steps:
        given |= {"progress": steps.step} if features else {}
        report = tf.audit(data, label_time=project.label_time(label_time), **given)
    seconds = time.perf_counter() - started
    places = {f.name: place for f in features if (place := project.files.place(f.name)) is not None}
    for file, text in ((html, report.to_html), (junit_file, None), (sarif_file, None)):
        if file is None:
            continue
        made = text() if text is not None else junit(report, seconds) if file is junit_file else sarif(report, places)
        write_text(file, made)
    if markdown_file is not None:
        write_text(markdown_file, markdown(report), append=True)
    session.document(report.to_dict())
    _print(session, report, short=short, rows=rows, seconds=seconds, rebuilt=bool(features))
    for file in (html, junit_file, sarif_file, markdown_file):
        if file is not None:
            session.line(("Written ", "bold"), session.as_given(file))
    return FAILED if strict and not report.clean else 0


def _refuse_unused(*, rebuilt: bool) -> None:
    """Refuse options that would do nothing, so that nobody believes they did.

    Raises:
        UsageError: If one was given.
    """
    if rebuilt:
        unused, why = ["embargo"], "needs --feature-time: rebuilt features have their own embargo"
    else:
        unused = ["feature_files", "columns", "atol", "rtol"]
        why = "does nothing with --feature-time, which rebuilds no feature"
    ctx = click.get_current_context()
    for parameter in ctx.command.params:
        if parameter.name in unused and ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} {why}", ctx)


def _features(project: Project, given: tuple[str, ...]) -> list[tf.Feature | tf.Window]:
    if not project.feature_files(given):
        raise tf.TimefenceConfigError(
            message(
                "There are no features to compare with.",
                fix=(
                    "give --features PATH.py",
                    "compare feature times that the data set has: --feature-time COLUMN=TIME_COLUMN",
                    "let `timefence-pl init` look at your data and write a feature file",
                ),
            )
        )
    return project.features(given)


def _targets(project: Project, data: str, given: tuple[str, ...] | None) -> list[str] | None:
    """Target columns; those of the configuration where the data set has them."""
    if given is not None:
        return list(given) or None
    told = project.config.labels.target
    if not told:
        return None
    try:
        columns = tf.Labels(data, keys=[], label_time="?").scan().collect_schema()
    except Exception:  # noqa: BLE001 - the audit tells why it cannot be read
        return None
    return [t for t in told if t in columns] or None


def _print(session: Session, report: tf.AuditReport, *, short: bool, rows: int, seconds: float, rebuilt: bool) -> None:
    if session.json:
        return
    if short:
        for word, text in summary(report):
            session.line((f"{word:<5}", _STYLES[word]), text)
        return
    for row in str(report).split("\n"):
        words = row.split()
        style = _STYLES.get(words[0], "") if words else ""
        style = "bold" if row.startswith("TEMPORAL") else "bold red" if row.startswith("WARNING") else style
        session.line((row, style))
    shown = [(n, f) for n, f in report.features.items() if not f.clean and f.failing_rows.height]
    if shown and rows:
        session.line()
        for name, feature in shown:
            for text in examples(feature, rows):
                session.line((f"  {name}  ", "bold"), text)
    session.line()
    if report.has_leakage and rebuilt:
        session.line("Next: ", ("timefence-pl build -o CLEAN.parquet", "bold"), " builds the set without leakage.")
    elif report.has_leakage:
        session.line(
            "Next: ",
            ("timefence-pl init", "bold"),
            " proposes features for the files that the set was made of; ",
            ("timefence-pl build", "bold"),
            " joins them without leakage.",
        )
    if session.verbose:
        session.line(f"{report.rule}; {seconds:.2f} s")
        for name, feature in report.features.items():
            columns = ", ".join(f"{own} in {theirs}" for own, theirs in feature.columns.items())
            session.line(f"  {name}: {', '.join(p for p in (feature.bounds, columns) if p)}")
