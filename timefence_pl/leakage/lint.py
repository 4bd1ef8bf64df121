"""The linter: what looks ahead in features, from their plans alone.

Takes features, gives findings. Reads expressions, the plans of transforms over empty sources, SQL text, and the plans
of sources; no data. What it cannot read it says, and leaves to the look-ahead check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from timefence_pl.definitions.aggregates import expression_tree
from timefence_pl.definitions.feature import Feature
from timefence_pl.definitions.feature_set import AnyFeature, Features, flat_features
from timefence_pl.definitions.source import Source
from timefence_pl.definitions.sql_source import SQLSource
from timefence_pl.durations import format_nanoseconds
from timefence_pl.fingerprint.keys import Uncacheable
from timefence_pl.fingerprint.msgpack import UnknownLayoutError
from timefence_pl.leakage.lint_expressions import Order, Report, Scope, read_expression
from timefence_pl.leakage.lint_plans import PlanReader, reads_several_rows
from timefence_pl.leakage.lint_rows import Rows
from timefence_pl.leakage.lint_rules import RULES
from timefence_pl.leakage.lint_sql import read_sql
from timefence_pl.leakage.lint_stamps import Stamp
from timefence_pl.leakage.lint_tree import plan_tree, shortened, shown
from timefence_pl.leakage.lookahead_inputs import derived_plan
from timefence_pl.plan.compatibility import source_columns
from timefence_pl.plan.rows import TIME_COLUMN
from timefence_pl.plan.transforms import runs_at_once

__all__ = ["Finding", "feature_findings", "lint", "source_findings"]

#: Rules of the plans of sources, whose groups and joins make the events.
_OF_SOURCES: Final = frozenset(
    {
        *("negative-shift", "backward-fill", "statistic-fill", "centred-window", "forward-window", "reversed"),
        *("reversed-cumulative", "whole-column", "group-aggregate", "rank", "quantile-cut", "interpolation"),
        "sampling",
    }
)
#: What reading a plan in another layout than the known one raises.
_STRANGE: Final = (UnknownLayoutError, Uncacheable, KeyError, IndexError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True)
class Finding:
    """One thing that looks ahead, or that could not be read.

    Attributes:
        feature: The feature.
        rule: The rule's name.
        expression: The part of the expression, plan or query, as text.
        message: Why it looks ahead, or why it could not be read.
        fix: What to write instead.
        unread: Whether it could not be read, and may or may not look ahead.
    """

    feature: str
    rule: str
    expression: str
    message: str
    fix: str
    unread: bool = False

    def __str__(self) -> str:
        return f"{self.feature}: {self.rule}: {self.expression}\n  {self.message}\n  Fix: {self.fix}"


def lint(features: Features) -> list[Finding]:
    """Find what looks ahead in features, without reading data.

    Each feature is taken as it is run: expressions see the source in time order; transforms take it so, and their plan
    over an empty source is read as far as it goes; SQL is read as text. Found are negative shifts, backward fills,
    centred and reversed windows, aggregates of whole columns and groups, ranks, quantile cuts, interpolation, sampling,
    buckets stamped at their start, and their like. An embargo that covers what a bucket looks ahead is taken into account.

    What cannot be read (Python functions of whole columns, other tables, functions not known) is reported with
    ``unread=True``, once for each place; :func:`check_lookahead` runs it, and tells. Window features look ahead through
    their source alone: their aggregates are given the events known before the label.

    Args:
        features: A feature, features, or sets of them.

    Returns:
        Findings in the order of the features; empty where all is read and nothing looks ahead.

    Raises:
        TimefenceError: If a definition does not fit its source.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> txns = tf.Source(
        ...     pl.DataFrame({"user": [1], "at": [0], "x": [9.5]}), keys="user", timestamp="at", name="txns"
        ... )
        >>> (finding,) = tf.lint(tf.Feature(txns, pl.col("x") - pl.col("x").shift(-1).over("user"), name="gap"))
        >>> finding.rule, finding.expression
        ('negative-shift', 'col("x").shift([dyn int: -1])')
    """
    found: list[Finding] = []
    for feature in flat_features(features):
        source_columns(feature.source)  # a ``TimefenceError`` where the source is not what it is declared to be
        found += _of_source(feature)
        if isinstance(feature, Feature):
            found += feature_findings(feature)
    return found


def source_findings(source: Source) -> list[Finding]:
    """What looks ahead in a source's own plan or query, where it has one; findings carry the source's name."""
    if isinstance(source, SQLSource):
        findings, report = _collector(source.name, source)
        read_sql(source.query, source.timestamp, report, only_windows=True)
        return [f for f in findings if f.rule in _OF_SOURCES]
    frame = source.table.frame
    if frame is None or source.table.in_memory or not _has_steps(frame):
        return []
    tree = plan_tree(frame)
    if tree is None:
        return []
    findings, report = _collector(source.name, source)
    try:
        PlanReader(tree, _source_rows(source), at_end=source.date_known_at == "end", report=report, loose=True).read()
    except (*_STRANGE, RecursionError):
        return []  # nothing is said of what cannot be read: the source's rows are what they are
    return [f for f in findings if f.rule in _OF_SOURCES]


def _has_steps(frame: pl.LazyFrame) -> bool:
    """Whether a lazy frame does more than read; a plan is copied with its frames, so that this is asked first."""
    try:
        return len([line for line in frame.explain(optimized=False).splitlines() if line.strip()]) > 1
    except (pl.exceptions.PolarsError, OSError):
        return False  # a plan that does not hold is told of where it is run


def _of_source(feature: AnyFeature) -> list[Finding]:
    where = f"In the plan of source {feature.source.name!r}: "
    return [
        Finding(feature.name, f.rule, f.expression, where + f.message[:1].lower() + f.message[1:], f.fix)
        for f in source_findings(feature.source)
    ]


def feature_findings(feature: Feature) -> list[Finding]:
    """What looks ahead, or cannot be read, in a feature's own definition."""
    findings, report = _collector(feature.name, feature.source)
    if feature.mode == "sql":
        _read_sql(feature, report)
    elif feature.transform is not None:
        _read_transform(feature, report)
    else:
        scope = Scope(frozenset({feature.source.timestamp}), Order())
        for expr in feature.exprs:
            tree = expression_tree(expr)
            if tree is None:
                report("unknown", shortened(str(expr)), what="An expression nested so deeply")
            else:
                read_expression(tree, scope, report)
    return findings


def _collector(name: str, source: Source) -> tuple[list[Finding], Report]:
    """A list of findings, and what adds to it: each rule once for each part."""
    findings: list[Finding] = []
    key = source.keys[0] if len(source.keys) == 1 else list(source.keys)
    words = {"time": repr(source.timestamp), "key": repr(key) if source.keys else "..."}

    def report(rule: str, part: Any, **more: str) -> None:
        given = RULES[rule]
        values = {**words, **more}
        text = part if isinstance(part, str) and part != "Len" else shown(part)
        made = Finding(
            name, rule, text, _filled(given.message, values), _filled(given.fix, values), unread=given.unread
        )
        if made not in findings:
            findings.append(made)

    return findings, report


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _source_rows(source: Source) -> Rows:
    columns = source_columns(source)
    stamps = {source.timestamp: Stamp(date=columns.clock.kind == "date")}
    if source.available_at and columns.available is not None:
        # In the order in which rows became known, none comes before one known earlier.
        stamps[source.available_at] = Stamp(date=columns.available.kind == "date")
    return Rows(stamps, Order(0))


def _read_transform(feature: Feature, report: Report) -> None:
    assert feature.transform is not None  # noqa: S101 - the caller's case
    name = runs_at_once(feature.transform)
    if name is not None:
        report("unread-transform", f"{feature.name}: {name}", what=f"The transform calls {name}(), and leaves no plan.")
        return
    tree = derived_plan(feature)
    if tree is None:
        report("unread-transform", feature.name, what="The transform gives no plan over an empty source.")
        return
    source = feature.source
    several: list[str] = []

    def told(rule: str, part: Any, **more: str) -> None:
        several.append(rule)
        report(rule, part, **more)

    try:
        rows = PlanReader(tree, _source_rows(source), at_end=source.date_known_at == "end", report=told).read()
    except (*_STRANGE, RecursionError):
        report("unread-transform", feature.name, what="The transform's plan has a layout that is not known.")
        return
    if source.available_at and reads_several_rows(tree):
        report("availability", f"rows of {feature.name}")
        return
    stamp = rows.stamps.get(TIME_COLUMN)
    if stamp is None:
        if not several:
            report("untraced-time", f"feature time of {feature.name}")
        return
    embargo = 0 if feature.embargo is None else feature.embargo.amount
    if stamp.lag > embargo:
        integer = source_columns(source).clock.kind == "integer"
        lag = str(stamp.lag) if integer else format_nanoseconds(stamp.lag)
        report("bucket-start", f"feature time of {feature.name}", lag=lag)


def _read_sql(feature: Feature, report: Report) -> None:
    assert feature.sql is not None  # noqa: S101 - the caller's case
    read_sql(feature.sql.replace("{source}", "source"), feature.source.timestamp, report)
