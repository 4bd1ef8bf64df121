"""What an audit found.

Takes verdicts and figures per feature, gives values that print, and can be written as JSON, HTML or a frame. Judges
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import polars as pl

from timefence_pl.choices import shortened
from timefence_pl.durations import short_span
from timefence_pl.errors import (
    TimefenceConfigError,
    TimefenceLeakageError,
    listing,
    message,
)
from timefence_pl.leakage.feature_report import FeatureReport
from timefence_pl.leakage.lookahead_report import FeatureLookahead, LookaheadReport
from timefence_pl.leakage.severity import severity_of
from timefence_pl.leakage.tallies import Charts
from timefence_pl.leakage.verdicts import LEAKING, VERDICTS
from timefence_pl.printing import plain_rows
from timefence_pl.reports.audit import audit_html, audit_page, audit_text

__all__ = ["AuditReport", "FeatureAudit"]

_INT64_MAX: Final = (1 << 63) - 1
_LONGEST: Final = 999_999_999 * 86_400_000_000  # microseconds of a timedelta


@dataclass(frozen=True, repr=False)
class FeatureAudit:
    """What the audit found of one feature.

    Attributes:
        name: The feature; for feature-time columns the column.
        total_rows: Rows of the data set.
        counts: Rows by verdict: ``ok``, ``absent``, ``future``, ``stale``, ``unexpected``, ``differs``. All 0 where
            nothing could be checked.
        null_rows: Rows with no value: where the value due, or the feature time, is null.
        columns: For each column of the feature the data set's; None where it has none.
        problems: Why not all could be checked; empty where all was.
        notes: What else is to be known.
        bounds: Embargo, lookback and staleness, in words.
        leaks: Sizes of the leaks that are known: how long after the last usable instant (label time less embargo) each
            value became known, in nanoseconds, or integer units.
        endless: Leaking rows whose value never became known at all.
        integer_times: Whether times are integers.
        lookahead: What the look-ahead check found; None where it was not asked for.
        wrong_rows: For each column that is not as due anywhere, in how many rows it is not; the most first.
    """

    name: str
    total_rows: int
    counts: Mapping[str, int]
    null_rows: int
    columns: Mapping[str, str | None]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    bounds: str
    leaks: pl.Series
    endless: int
    integer_times: bool
    rows: pl.DataFrame
    charts: Charts
    lookahead: FeatureLookahead | None = None
    wrong_rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def leaky_row_count(self) -> int:
        """Rows that carry the future: ``future`` and ``unexpected``."""
        return sum(self.counts[v] for v in LEAKING)

    @property
    def leaky_row_pct(self) -> float:
        """The same as a share of all rows, from 0 to 1."""
        return self.leaky_row_count / self.total_rows if self.total_rows else 0.0

    @property
    def leaky(self) -> bool:
        """Whether the feature carries the future, in its rows or by looking ahead."""
        return self.leaky_row_count > 0 or (self.lookahead is not None and self.lookahead.status == "leaky")

    @property
    def clean(self) -> bool:
        """Whether everything was checked and every row is ``ok``."""
        rows = self.counts["ok"] == self.total_rows > 0
        return rows and not self.problems and (self.lookahead is None or self.lookahead.clean)

    @property
    def severity(self) -> str:
        """``"OK"`` where clean, else ``"LOW"``, ``"MEDIUM"`` or ``"HIGH"``; ``"UNKNOWN"`` where nothing was checked.

        HIGH above 7 days or above 5 % of the rows, MEDIUM above 1 % or from 1 day; also HIGH where the feature looks
        ahead, or a value never became known.
        """
        looks = self.lookahead is not None and self.lookahead.status == "leaky"
        if not looks and not any(self.counts.values()):
            return "UNKNOWN"
        largest = None if self.integer_times else self._largest()
        return severity_of(self.leaky_row_pct, largest, clean=self.clean, endless=self.endless > 0 or looks)

    @property
    def max_leakage(self) -> timedelta | int | None:
        """The largest leak: a ``timedelta`` (whole microseconds), or integer units; None where none is known."""
        return self._size(self._largest())

    @property
    def median_leakage(self) -> timedelta | int | None:
        """The median of the leaks; None where none is known."""
        return self._size(self._median())

    @property
    def failing_rows(self) -> pl.DataFrame:
        """The rows that are not ``ok``, in the data set's order; see :meth:`AuditReport.failing_rows`."""
        return self.rows.clone()

    @property
    def leaky_rows(self) -> pl.DataFrame:
        """Of these the rows that carry the future."""
        return self.rows.filter(pl.col("verdict").cast(pl.String).is_in(LEAKING))

    @property
    def shown_max_leakage(self) -> str:
        """The largest leak in words, to two units; empty where none is known."""
        return self._shown(self._largest())

    @property
    def shown_median_leakage(self) -> str:
        """The median of the leaks in words, to two units; empty where none is known."""
        return self._shown(self._median())

    def __repr__(self) -> str:
        word = "clean" if self.clean else "leaky" if self.leaky else "not clean"
        return f"FeatureAudit(name={self.name!r}, {word}, counts={dict(self.counts)})"

    def _largest(self) -> int | None:
        largest = self.leaks.max()
        return None if largest is None else int(largest)  # type: ignore[arg-type]

    def _median(self) -> int | None:
        ordered = self.leaks.sort()
        if not len(ordered):
            return None
        middle = len(ordered) // 2
        low = ordered[middle - 1] if len(ordered) % 2 == 0 else ordered[middle]
        return (int(low) + int(ordered[middle])) // 2

    def _shown(self, amount: int | None) -> str:
        if amount is None:
            return ""
        return f"{amount:,}" if self.integer_times else short_span(amount)

    def _size(self, amount: int | None) -> timedelta | int | None:
        if amount is None or self.integer_times:
            return amount
        return timedelta(microseconds=min(amount // 1000, _LONGEST))


@dataclass(frozen=True, repr=False)
class AuditReport(FeatureReport[FeatureAudit]):
    """Whether a data set carries the future, feature by feature, with the rows that prove it.

    Attributes:
        features: What was found, by feature.
        total_rows: Rows of the data set.
        mode: ``"rebuild"`` (features rebuilt from their sources) or ``"temporal"`` (feature-time columns compared).
        data: The data set, in a few words.
        rule: The upper bound that values had to meet.
        lookahead: The look-ahead check, where one was made.
        unaudited_columns: Columns of the data set that are named as those of features are, ``{feature}__{column}``, and
            belong to none that was audited.
    """

    features: Mapping[str, FeatureAudit]
    total_rows: int
    mode: str
    data: str
    rule: str
    lookahead: LookaheadReport | None = field(default=None)
    unaudited_columns: tuple[str, ...] = ()

    @property
    def has_leakage(self) -> bool:
        """Whether a feature carries the future: ``future`` or ``unexpected`` rows, or a feature that looks ahead."""
        return bool(self.leaky_features)

    @property
    def clean(self) -> bool:
        """Whether there are rows and features, and all of them are clean."""
        return self.total_rows > 0 and bool(self.features) and all(f.clean for f in self.features.values())

    @property
    def clean_features(self) -> list[str]:
        """Features that were checked in every row, and are ``ok`` in every row."""
        return [n for n, f in self.features.items() if f.clean]

    @property
    def leaky_features(self) -> list[str]:
        """Features that carry the future."""
        return [n for n, f in self.features.items() if f.leaky]

    @property
    def failing_features(self) -> list[str]:
        """Features that are not clean, for whatever reason."""
        return [n for n, f in self.features.items() if not f.clean]

    @property
    def counts(self) -> dict[str, int]:
        """Pairs of row and feature by verdict."""
        return {v: sum(f.counts[v] for f in self.features.values()) for v in VERDICTS}

    def failing_rows(self, name: str) -> pl.DataFrame:
        """The rows of a feature that are not ``ok``, with the values found and due and the rows these come from.

        Args:
            name: The feature.

        Returns:
            In the data set's order: ``row`` (from 0), the keys and the label time, ``verdict``, ``leakage`` (how long
            after the last usable instant the value became known), for each column ``{column}__found`` and
            ``{column}__due``; then, for rows of a source, ``found_feature_time``, ``found_source_row`` (from 0; with
            ``available_at`` also ``found_known_at``) and the same with ``due_``. A value found in several rows is
            given the nearest. For windows ``found_as`` says which window has the value, ``found_last_event`` and
            ``due_last_event`` when the last event became known, and happened, that counts.

        Raises:
            TimefenceValidationError: If there is no such feature.
        """
        return self[name].failing_rows

    def assert_clean(self) -> None:
        """Raise unless everything was checked and every row of every feature is ``ok``.

        Raises:
            TimefenceLeakageError: If not; it names the features, their counts and a row.
        """
        if self.clean:
            return
        leaky = self.leaky_features
        if leaky:
            what = f"Temporal leakage in {len(leaky)} of {len(self.features)} feature(s): {listing(leaky)}."
        elif not self.total_rows:
            what = "Nothing was audited: the data set has no rows."
        else:
            failing = self.failing_features
            what = f"The data set is not clean: {len(failing)} of {len(self.features)} feature(s) fail: {listing(failing)}."
        raise TimefenceLeakageError(
            message(
                what,
                where="\n".join(_failure(f) for f in self.features.values() if not f.clean),
                why="A model trained on values that are not known at prediction time looks better than it will be.",
                fix="See report.failing_rows(name); build the set again with tf.build.",
            )
        )

    def to_polars(self) -> pl.DataFrame:
        """One row for each feature: verdict counts, leak sizes, severity, look-ahead, problems."""
        rows = [
            {
                "feature": f.name,
                "clean": f.clean,
                "leaky": f.leaky,
                "severity": f.severity,
                "total_rows": f.total_rows,
                **f.counts,
                "null_rows": f.null_rows,
                "leaky_row_count": f.leaky_row_count,
                "leaky_row_pct": f.leaky_row_pct,
                "max_leakage": f.max_leakage,
                "median_leakage": f.median_leakage,
                "lookahead": None if f.lookahead is None else f.lookahead.status,
                "problems": list(f.problems),
            }
            for f in self.features.values()
        ]
        integer = any(f.integer_times for f in self.features.values())
        size: pl.DataType = pl.Int64() if integer else pl.Duration("us")
        schema: dict[str, Any] = {
            "feature": pl.String,
            "clean": pl.Boolean,
            "leaky": pl.Boolean,
            "severity": pl.String,
            **dict.fromkeys(("total_rows", *VERDICTS, "null_rows", "leaky_row_count"), pl.Int64),
            "leaky_row_pct": pl.Float64,
            "max_leakage": size,
            "median_leakage": size,
            "lookahead": pl.String,
            "problems": pl.List(pl.String),
        }
        return pl.DataFrame(rows, schema=schema)

    def to_dict(self, examples: int = 20) -> dict[str, Any]:
        """Everything as plain values.

        Args:
            examples: How many failing rows of each feature to give.

        Raises:
            TimefenceConfigError: If that is no count.
        """
        if not isinstance(examples, int) or isinstance(examples, bool) or not 0 <= examples < 1 << 32:
            raise TimefenceConfigError(
                message(f"examples={shortened(examples)} is not a count.", fix="Give 0 or more.")
            )
        return {
            "has_leakage": self.has_leakage,
            "clean": self.clean,
            "total_rows": self.total_rows,
            "mode": self.mode,
            "data": self.data,
            "rule": self.rule,
            "features": {n: _plain(f, examples) for n, f in self.features.items()},
            **({} if self.lookahead is None else {"lookahead": self.lookahead.to_dict()}),
            "unaudited_columns": list(self.unaudited_columns),
        }

    def _page(self) -> str:
        return audit_page(self)

    def __str__(self) -> str:
        return audit_text(self)

    def __repr__(self) -> str:
        word = "clean" if self.clean else "leakage" if self.has_leakage else "not clean"
        return f"AuditReport({word}, {len(self.features)} features, {self.total_rows} rows)"

    def _repr_html_(self) -> str:
        return audit_html(self)


def _failure(f: FeatureAudit) -> str:
    parts = [f"{n:,} {v}" for v, n in f.counts.items() if n and v != "ok"]
    if f.lookahead is not None and not f.lookahead.clean:
        parts.append(f"look-ahead check: {f.lookahead.status}, {f.lookahead.reason}")
    parts += f.problems
    line = f"{f.name}: {'; '.join(parts) or 'no row was checked'}"
    if f.rows.height:
        row = plain_rows(f.rows.head(1))[0]
        equal = {c for c in f.columns if _same(row.get(f"{c}__found"), row.get(f"{c}__due"))}
        left_out = {f"{c}__{side}" for c in equal for side in ("found", "due")} if len(equal) < len(f.columns) else ()
        first = {k: v for k, v in row.items() if v is not None and k not in left_out}
        line += f"\n  first: {', '.join(f'{k}={v}' for k, v in first.items())}"
    return line


def _same(found: Any, due: Any) -> bool:
    return bool(found == due or (found != found and due != due))  # noqa: PLR0124 - NaN is NaN


def _plain(f: FeatureAudit, examples: int) -> dict[str, Any]:
    def seconds(size: timedelta | int | None) -> float | int | None:
        return size.total_seconds() if isinstance(size, timedelta) else size

    largest = f.leaks.max()
    return {
        "clean": f.clean,
        "leaky": f.leaky,
        "counts": dict(f.counts),
        "leaky_row_count": f.leaky_row_count,
        "leaky_row_pct": f.leaky_row_pct,
        "max_leakage_seconds": None if f.integer_times else seconds(f.max_leakage),
        "median_leakage_seconds": None if f.integer_times else seconds(f.median_leakage),
        "max_leakage": None if largest is None else int(largest),  # type: ignore[arg-type]
        "leakage_unit": "units" if f.integer_times else "nanoseconds",
        "severity": f.severity,
        "total_rows": f.total_rows,
        "null_rows": f.null_rows,
        "columns": dict(f.columns),
        "wrong_rows": dict(f.wrong_rows),
        "bounds": f.bounds,
        "problems": list(f.problems),
        "notes": list(f.notes),
        "lookahead": None if f.lookahead is None else f.lookahead.status,
        "examples": plain_rows(f.rows.head(examples)),
    }
