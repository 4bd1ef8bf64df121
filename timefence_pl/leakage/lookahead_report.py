"""What a look-ahead check found.

Takes findings per feature, gives values that print, and can be written as JSON, HTML or a frame. Checks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import polars as pl

from timefence_pl.errors import (
    TimefenceLeakageError,
    listing,
    message,
)
from timefence_pl.leakage.feature_report import FeatureReport
from timefence_pl.leakage.lookahead_spans import shown_span
from timefence_pl.printing import plain_rows
from timefence_pl.reports.lookahead import lookahead_html, lookahead_page, lookahead_text

__all__ = ["FeatureLookahead", "LookaheadReport", "Status"]

#: ``clean``: equal at every cutoff. ``needs_embargo``: rows differ, all within the feature's embargo before a cutoff.
#: ``leaky``: rows differ beyond it. ``nondeterministic``: two equal runs differ. ``unchecked``: not to be told.
Status = Literal["clean", "needs_embargo", "leaky", "nondeterministic", "unchecked"]

_INT64_MAX: Final = (1 << 63) - 1
_ORDER: Final = ("leaky", "nondeterministic", "unchecked", "needs_embargo", "clean")


@dataclass(frozen=True)
class FeatureLookahead:
    """What the check found of one feature.

    Attributes:
        name: The feature.
        source: Its source's name.
        status: ``"clean"``, ``"needs_embargo"``, ``"leaky"``, ``"nondeterministic"`` or ``"unchecked"``.
        reason: Why it is that, in words; empty where it is clean.
        covered: What was covered, in words: rows, entities and cutoffs.
        embargo: The feature's embargo, shown; empty without one.
        embargo_at: Where it lies among the bins of ``distances``, if it does.
        reach: How far before a cutoff the earliest differing row lies: a feature stamped this much later would be
            free of look-ahead, if it ever would. Nanoseconds, or units where times are integers; None where none
            differs.
        integer_times: Whether times are integers.
        rows_compared: Rows known before a cutoff, all cutoffs together.
        rows_differing: Of these, how many differ, missing and extra rows included.
        rows_within_embargo: Of the differing ones, how many lie within the embargo before their cutoff.
        cutoffs: One row for each cutoff: ``cutoff``, ``rows_compared``, ``rows_differing``, ``rows_within_embargo``.
        examples: The first differing rows of each cutoff: ``cutoff``, ``difference`` (``"changed"``, ``"missing"`` before
            the cutoff, ``"extra"`` before the cutoff), keys, ``feature_time`` (and ``known_at``), then for each column
            ``{column}__all_rows`` and ``{column}__before_cutoff``.
        distances: How many differing rows became known how long before their cutoff: ``from``, ``to`` (in words),
            ``rows``; one row for each of equally long spans.
    """

    name: str
    source: str
    status: Status
    reason: str
    covered: str
    embargo: str
    embargo_at: float | None
    reach: int | None
    integer_times: bool
    rows_compared: int
    rows_differing: int
    rows_within_embargo: int
    cutoffs: pl.DataFrame = field(repr=False)
    examples: pl.DataFrame = field(repr=False)
    distances: pl.DataFrame = field(repr=False)

    @property
    def clean(self) -> bool:
        """Whether nothing differs that the feature's embargo does not cover."""
        return self.status in ("clean", "needs_embargo")

    @property
    def shown_reach(self) -> str:
        """:attr:`reach` in words; empty where there is none."""
        if self.reach is None:
            return ""
        return f"{self.reach:,}" if self.integer_times else shown_span(self.reach)


@dataclass(frozen=True, repr=False)
class LookaheadReport(FeatureReport[FeatureLookahead]):
    """Whether features look ahead: each recomputed from sources truncated at cutoffs, and compared.

    Attributes:
        features: What was found, by feature.
    """

    features: Mapping[str, FeatureLookahead]

    @property
    def has_lookahead(self) -> bool:
        """Whether a feature is leaky. Features that could not be checked are told by :meth:`assert_clean`."""
        return bool(self.leaky_features)

    @property
    def leaky_features(self) -> list[str]:
        """Features whose rows before a cutoff change with what comes after it."""
        return self._with("leaky")

    @property
    def clean_features(self) -> list[str]:
        """Features whose rows are the same at every cutoff."""
        return self._with("clean")

    @property
    def needs_embargo_features(self) -> list[str]:
        """Features that look ahead, but no further than their embargo."""
        return self._with("needs_embargo")

    @property
    def nondeterministic_features(self) -> list[str]:
        """Features that differ between two equal runs."""
        return self._with("nondeterministic")

    @property
    def unchecked_features(self) -> list[str]:
        """Features of which the check cannot tell."""
        return self._with("unchecked")

    def assert_clean(self) -> None:
        """Raise unless every feature is clean, or covered by its embargo.

        Raises:
            TimefenceLeakageError: If a feature is leaky, does not repeat itself, or could not be checked.
        """
        failing = [f for f in self.features.values() if not f.clean]
        if not failing:
            return
        leaky = self.leaky_features
        what = f"Look-ahead in {len(leaky)} feature(s): {listing(leaky)}." if leaky else "Not all features are clean."
        raise TimefenceLeakageError(
            message(
                what,
                where="\n".join(f"{f.name}: {f.status}, {f.reason}" for f in failing),
                why="A value that depends on later rows is not known at its feature time, and never at prediction time.",
                fix="See .examples of a feature for rows with both values; tf.lint(features) names the expression.",
            )
        )

    def to_polars(self) -> pl.DataFrame:
        """One row for each feature: name, source, status, counts, reach, embargo, reason, covered."""
        rows = [
            {
                "feature": f.name,
                "source": f.source,
                "status": f.status,
                "rows_compared": f.rows_compared,
                "rows_differing": f.rows_differing,
                "rows_within_embargo": f.rows_within_embargo,
                "reach": None if f.reach is None else min(f.reach, _INT64_MAX),
                "embargo": f.embargo,
                "reason": f.reason,
                "covered": f.covered,
            }
            for f in self.features.values()
        ]
        schema = {
            **dict.fromkeys(("feature", "source", "status"), pl.String()),
            **dict.fromkeys(("rows_compared", "rows_differing", "rows_within_embargo", "reach"), pl.Int64()),
            **dict.fromkeys(("embargo", "reason", "covered"), pl.String()),
        }
        return pl.DataFrame(rows, schema=schema)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values that JSON can hold."""
        return {
            "has_lookahead": self.has_lookahead,
            "clean": all(f.clean for f in self.features.values()),
            "features": {
                f.name: {
                    "source": f.source,
                    "status": f.status,
                    "reason": f.reason,
                    "covered": f.covered,
                    "embargo": f.embargo,
                    "reach": f.reach,
                    "reach_unit": "units" if f.integer_times else "nanoseconds",
                    "rows_compared": f.rows_compared,
                    "rows_differing": f.rows_differing,
                    "rows_within_embargo": f.rows_within_embargo,
                    "cutoffs": plain_rows(f.cutoffs),
                    "examples": plain_rows(f.examples),
                    "distances": f.distances.to_dicts(),
                }
                for f in self.features.values()
            },
        }

    def _page(self) -> str:
        return lookahead_page(self)

    def __str__(self) -> str:
        return lookahead_text(self)

    def __repr__(self) -> str:
        counts = {s: len(self._with(s)) for s in _ORDER}
        return f"LookaheadReport({', '.join(f'{n} {s}' for s, n in counts.items() if n)})"

    def _repr_html_(self) -> str:
        return lookahead_html(self)

    def _with(self, status: str) -> list[str]:
        return [f.name for f in self.features.values() if f.status == status]
