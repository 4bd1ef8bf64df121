"""What a build gives back.

Takes the run's plain values and plan, gives the frame, the file, statistics, checks and explanations. Builds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from timefence_pl.errors import TimefenceError, TimefenceValidationError, message
from timefence_pl.execution.output import OutputFile
from timefence_pl.fingerprint import FileHasher
from timefence_pl.reports import build_html, build_text
from timefence_pl.reports.build import PARTS, build_page
from timefence_pl.reports.charts import LEFT_OUT, drawn
from timefence_pl.reports.output import json_text, written
from timefence_pl.store.files import has_hash

if TYPE_CHECKING:
    from timefence_pl.explain import ExplainResult

__all__ = ["BuildResult", "BuildStats"]


@dataclass(frozen=True)
class BuildStats:
    """Figures of a build.

    Attributes:
        row_count: Rows of the output.
        column_count: Columns of the output.
        duration_seconds: Wall time.
        feature_stats: Per feature: ``matched`` and ``missing``, and the partition of all label rows (before any
            skip) into ``matched_value``, ``null_value`` (matched, every column null), ``stale``, ``too_old`` and
            ``no_history``; ``duplicates`` (matched rows chosen among duplicates), ``dropped_source_rows`` (null key,
            time or availability), ``youngest_value`` (the least age of a used value).
        label_count: Label rows.
        split_rows: Rows of each split.
        purged_rows: Rows the purge dropped.
        unassigned_rows: Rows in no split.
        incomplete_labels: Label rows with a null key or a null label time; features joined by it find no row for them.
    """

    row_count: int
    column_count: int
    duration_seconds: float
    feature_stats: Mapping[str, Mapping[str, Any]]
    label_count: int = 0
    split_rows: Mapping[str, int] = field(default_factory=dict)
    purged_rows: int = 0
    unassigned_rows: int = 0
    incomplete_labels: int = 0


@dataclass(frozen=True, repr=False)
class BuildResult:
    """A finished build.

    Attributes:
        output_path: Where the output was written, as it was asked for; None without an output.
        splits: Path of each split's file; empty without an output.
        stats: Figures.
        manifest: What went in and came out, JSON-ready.
        plan: The main output as one lazy frame over the sources, or over what the store has of them. A run in memory
            computes the same piece by piece.
    """

    output_path: str | None
    splits: Mapping[str, Path]
    stats: BuildStats
    manifest: Mapping[str, Any]
    plan: pl.LazyFrame
    _output: OutputFile | None
    _frame: pl.DataFrame | None
    _explain: Callable[[], ExplainResult]
    _provenance: Callable[[FileHasher], Mapping[str, Any]] = field(default=lambda _: {})
    _profile: Callable[[], Mapping[str, Any]] = field(default=dict)

    def scan(self) -> pl.LazyFrame:
        """The output, lazily: label columns, then feature columns, in label order."""
        if self._output is not None:
            return self._output.scan()
        return self._kept().lazy()

    def frame(self) -> pl.DataFrame:
        """The output in memory."""
        return self._kept() if self._output is None else self.scan().collect(engine="streaming")

    def validate(self) -> bool:
        """Whether the written files are, now, what the manifest says: size and hash of the output and every split.

        Raises:
            TimefenceValidationError: If the build wrote no file.
        """
        if self._output is None:
            raise TimefenceValidationError(
                message("The build wrote no file to validate.", fix="Build with output='train.parquet'.")
            )
        records = [self.manifest["output"], *self.manifest["splits"]]
        return all(
            Path(r["path"]).is_file()
            and Path(r["path"]).stat().st_size == r["file_size_bytes"]
            and has_hash(Path(r["path"]), r["content_hash"])
            for r in records
        )

    def explain(self) -> ExplainResult:
        """How each feature was joined; ``.row(n)`` shows which source row a label got, and why."""
        return self._explain()

    def provenance(self, hasher: FileHasher) -> Mapping[str, Any]:
        """What it was made from, for the record of what is published: files, frames and definitions with their hashes.

        Args:
            hasher: Hashes the files, and says with which algorithm.
        """
        return self._provenance(hasher)

    def to_polars(self) -> pl.DataFrame:
        """One row for each feature: ``feature``, then its figures as in ``stats.feature_stats``."""
        rows = [{"feature": name, **figures} for name, figures in self.stats.feature_stats.items()]
        return pl.DataFrame(rows, infer_schema_length=None)

    def to_json(self, path: str | Path | None = None) -> str:
        """The manifest as JSON; written to ``path`` too, if given.

        Raises:
            TimefenceStoreError: If the file cannot be written.
        """
        return written(lambda: json_text(dict(self.manifest)), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """The build as a page of its own, without scripts or network; written to ``path`` too, if given.

        Its charts (ages of the values, missing values over time) are drawn from the labels and sources as they are now,
        joined once more; where these have changed since, a line says so instead. They need the extra ``report``.

        Raises:
            TimefenceStoreError: If the file cannot be written.
        """
        return written(lambda: build_page(self.output_path, self.stats, self.manifest, *self._charts()), path)

    def _charts(self) -> tuple[dict[str, Any], str]:
        """What charts are drawn from, by feature, or why there are none."""
        if not drawn():
            return {}, LEFT_OUT
        try:
            profile = self._profile()
        except (TimefenceError, pl.exceptions.PolarsError, OSError) as error:
            return (
                {},
                f"Charts are left out: the labels and features cannot be joined again. {str(error).splitlines()[0]}",
            )
        for name, figures in self.stats.feature_stats.items():
            if name not in profile or any(profile[name].counts.get(p, 0) != figures[p] for p in PARTS):
                return {}, "Charts are left out: the labels or sources have changed since the build."
        return {name: p.charts for name, p in profile.items()}, ""

    def __str__(self) -> str:
        return build_text(self.output_path, self.stats, self.manifest)

    def __repr__(self) -> str:
        return (
            f"BuildResult({self.stats.row_count} rows, {self.stats.column_count} columns, output={self.output_path!r})"
        )

    def _repr_html_(self) -> str:
        return build_html(self.output_path, self.stats, self.manifest)

    def _kept(self) -> pl.DataFrame:
        assert self._frame is not None  # noqa: S101 - kept whenever nothing was written
        return self._frame.clone()  # frames change in place; this is cheap
