"""The difference of two data sets, row by row and column by column.

Takes two data sets, gives a :class:`DiffResult`. What does not fit in memory is sorted, by a hash of its keys, in
runs in a temporary folder, which are merged range by range.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import polars.selectors as cs

from timefence_pl.errors import (
    TimefenceConfigError,
    TimefenceSchemaError,
    TimefenceStoreError,
    TimefenceValidationError,
    message,
)
from timefence_pl.leakage.data import DataSet
from timefence_pl.leakage.diff_columns import LARGEST, ColumnChanges
from timefence_pl.leakage.diff_result import DiffResult
from timefence_pl.leakage.diff_rows import HASH, ROW, pair_rows
from timefence_pl.leakage.diff_runs import RowOrder, SortedRuns
from timefence_pl.leakage.equality import Tolerance, comparable, exact_form, is_float_like, tolerance_of
from timefence_pl.memory import free_memory
from timefence_pl.plan.compatibility import comparable as check_times
from timefence_pl.plan.ticks import clock_of
from timefence_pl.plan.time_key import key_column

__all__ = ["diff"]

_ID: Final = "__tf_id{}"
_SHOWN: Final = "__tf_shown{}"
_VALUE: Final = "__tf_value{}"
#: Bytes that a byte of a compressed file, or of rows in memory, takes at most while it is compared, and the share of the
#: free memory that is used.
_GROWTH, _WORK, _SHARE = 16, 3, 0.3
_MOST: Final = 4_096


@dataclass(frozen=True)
class _Columns:
    """Which columns are compared, and under what names they travel."""

    identity: tuple[str, ...]
    common: tuple[str, ...]
    schemas: tuple[pl.Schema, pl.Schema]

    @property
    def ids(self) -> list[str]:
        return [_ID.format(i) for i in range(len(self.identity))]

    def types(self, column: str) -> tuple[pl.DataType, pl.DataType]:
        return self.schemas[0][column], self.schemas[1][column]

    def prepared(self, frame: pl.LazyFrame, side: int) -> pl.LazyFrame:
        """Identity in forms that compare, as it is shown, the position, a hash of the values, and these."""
        names = {n: _SHOWN.format(i) for i, n in enumerate(self.identity)}
        names |= {n: _VALUE.format(i) for i, n in enumerate(self.common)}
        taken = frame.select(cs.by_name(list(names))).rename(names).with_row_index(ROW)
        ids = [
            _form(pl.col(_SHOWN.format(i)), self.types(n), side).alias(_ID.format(i))
            for i, n in enumerate(self.identity)
        ]
        values = [_form(pl.col(_VALUE.format(i)), self.types(n), side) for i, n in enumerate(self.common)]
        named = [v.alias(f"{i}") for i, v in enumerate(values)]
        whole = pl.struct(named).hash(0) if named else pl.lit(0, dtype=pl.UInt64)
        return taken.with_columns(*ids, whole.alias(HASH))


def _form(column: pl.Expr, types: tuple[pl.DataType, pl.DataType], side: int) -> pl.Expr:
    own, other = types[side], types[1 - side]
    if own in (pl.String, pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if is_float_like(*types) or is_float_like(*reversed(types)):
        return column.cast(pl.Float64)
    return exact_form(column, own, other)


def diff(
    old: object,
    new: object,
    *,
    keys: str | Sequence[str] | None = None,
    label_time: str | None = None,
    atol: float = 1e-10,
    rtol: float = 1e-7,
    timestamp_format: str | None = None,
    parts: int | None = None,
) -> DiffResult:
    """Compare two data sets.

    Rows are the same where keys and label time are equal, null to null; where several of one data set are, they are
    paired one by one, equal rows first, then in order. Of the rows both have, every column both have is compared: null
    equals null, NaN equals NaN, floats within ``atol + rtol * |new|``, everything else exactly, across integer widths,
    time units and kinds of text. Columns of types that do not compare count as changed wherever one is not null.

    Args:
        old: A path, a frame, a :class:`BuildResult`, or anything with the Arrow PyCapsule interface.
        new: The same.
        keys: The entity key columns; a build's own by default.
        label_time: The label time column; a build's own by default.
        atol: The absolute part of how far floats may differ, ``atol + rtol * |new|``.
        rtol: The relative part.
        timestamp_format: The format of String label times.
        parts: In how many parts to compare, one after the other, each held in memory; by default as many as memory
            asks for. Unless there is one, all rows are sorted into files in a temporary folder first, which takes
            about as much room as the rows. Rows of equal keys and label time are in one part.

    Raises:
        TimefenceError: If columns are missing, keys or times do not compare, or data cannot be read.

    Examples:
        >>> import polars as pl
        >>> import timefence_pl as tf
        >>> old = pl.DataFrame({"k": [1, 2], "at": [5, 5], "x": [1.0, None]})
        >>> new = pl.DataFrame({"k": [1, 3], "at": [5, 5], "x": [1.5, 2.0], "y": [0, 0]})
        >>> result = tf.diff(old, new, keys="k", label_time="at")
        >>> result.matched_rows, result.removed_rows, result.added_rows, result.value_changes["x"]["max_delta"]
        (1, 1, 1, 0.5)
    """
    tolerance = tolerance_of(atol, rtol)
    sets = tuple(
        DataSet(r, d, timestamp_format=timestamp_format) for r, d in (("old data set", old), ("new data set", new))
    )
    known, time = _roles(sets, keys, label_time)
    identity = tuple(dict.fromkeys((*known, time)))
    scans = tuple(s.scan(time) for s in sets)
    schemas = tuple(
        s.schema if s.timestamp_format is None else f.collect_schema() for s, f in zip(sets, scans, strict=True)
    )
    _check_identity(sets, schemas, known, time)
    common = tuple(sorted(c for c in schemas[0] if c in schemas[1] and c not in identity))
    columns = _Columns(identity, common, (schemas[0], schemas[1]))
    if parts is not None and (isinstance(parts, bool) or not isinstance(parts, int) or not 1 <= parts <= _MOST):
        raise TimefenceConfigError(message(f"parts={parts!r} is not a number of parts.", fix=f"Use 1 to {_MOST:,}."))
    if parts is None and _fits(sets):
        parts = 1
    try:
        with tempfile.TemporaryDirectory(prefix="timefence-diff-") as folder:
            found = _Found(columns, tolerance, RowOrder(None if parts == 1 else Path(folder) / "pairs"))
            for one, other in _pieces(columns, scans, parts, Path(folder)):
                found.add(one, other)
            return found.result((sets[0].described(), sets[1].described()), known, time)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error) from error


def _roles(
    sets: Sequence[DataSet], keys: str | Sequence[str] | None, label_time: str | None
) -> tuple[tuple[str, ...], str]:
    known = next((k for k in (s.keys(keys) for s in sets) if k is not None), None)
    time = next((t for t in (s.label_time(label_time) for s in sets) if t is not None), None)
    if known is None or time is None:
        raise TimefenceValidationError(
            message(
                "diff needs keys and label_time.",
                why="They say which rows of the two data sets are the same.",
                fix="Name them, as in keys='user_id', label_time='label_time'.",
            )
        )
    for s in sets:
        s.require("keys=", known)
        s.require("label_time=", [time])
    return known, time


def _check_identity(sets: Sequence[DataSet], schemas: Sequence[pl.Schema], keys: Sequence[str], time: str) -> None:
    for name in keys:
        sides = [key_column(s[name]) for s in schemas]
        where = "\n".join(f"{d.role}: {s[name]}" for d, s in zip(sets, schemas, strict=True))
        if any(side is None for side in sides):
            raise TimefenceSchemaError(
                message(
                    f"The key {name!r} cannot be a key.",
                    where=where,
                    why="Rounded numbers and nested values do not identify a row.",
                    fix="Cast it to an integer or a string in both data sets.",
                )
            )
        null = any(s[name] == pl.Null for s in schemas)
        if not null and not sides[0].fits(sides[1]):  # type: ignore[union-attr, arg-type]
            raise TimefenceSchemaError(
                message(
                    f"The key {name!r} of the two data sets does not compare.",
                    where=where,
                    why="Values of different kinds would be equal by accident, or never.",
                    fix=f"Cast one of them, as in pl.col({name!r}).cast(pl.{schemas[0][name]}).",
                )
            )
    if time in keys:
        raise TimefenceConfigError(message(f"{time!r} is both a key and the label time.", fix="Name it once."))
    clocks = [clock_of(s[time]) for s in schemas]
    for dataset, schema, clock in zip(sets, schemas, clocks, strict=True):
        if clock is None and schema[time] != pl.Null:
            raise TimefenceSchemaError(
                message(
                    f"The label time {time!r} of the {dataset.role} is {schema[time]}, not a time type.",
                    fix="Give timestamp_format= for strings, or convert it to Datetime, Date or an integer.",
                )
            )
    if clocks[0] is not None and clocks[1] is not None:
        check_times((f"{sets[0].role} {time!r}", clocks[0]), (f"{sets[1].role} {time!r}", clocks[1]))


def _fits(sets: Sequence[DataSet]) -> bool:
    """Whether the data is known to be small enough to be compared in one part."""
    needed = 0
    for table in (d.table for d in sets):
        if table.in_memory:
            continue  # parts of it would not free any
        if not table.size_known():
            return False
        needed += sum(Path(f).stat().st_size for f in table.local_files())
    return needed * _GROWTH <= free_memory() * _SHARE


def _pieces(
    columns: _Columns, scans: Sequence[pl.LazyFrame], parts: int | None, folder: Path
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The two data sets, part by part; equal identities are in the same part."""
    prepared = [columns.prepared(scan, side) for side, scan in enumerate(scans)]
    if parts == 1:
        yield prepared[0].collect(engine="streaming"), prepared[1].collect(engine="streaming")
        return
    runs = [SortedRuns(folder / n, p, columns.ids) for n, p in zip(("old", "new"), prepared, strict=True)]
    if parts is None:
        work, room = sum(r.size for r in runs) * _WORK, max(int(free_memory() * _SHARE), 1)
        parts = min(max(-(-work // room), 1), _MOST)
    for number in range(parts):
        yield runs[0].part(number, parts), runs[1].part(number, parts)


class _Found:
    """What was found so far."""

    def __init__(self, columns: _Columns, tolerance: Tolerance, order: RowOrder) -> None:
        self._columns = columns
        self._order = order
        self._changes = {c: ColumnChanges(c, columns.types(c), tolerance) for c in columns.common}
        self._rows = [0, 0]
        self._matched = 0
        self._duplicates = [0, 0]
        self._alone = [0, 0]
        self._examples: list[list[pl.DataFrame]] = [[], []]

    def add(self, old: pl.DataFrame, new: pl.DataFrame) -> None:
        """Compare one part."""
        paired = pair_rows(old, new, self._columns.ids)
        for side, frame in enumerate((old, new)):
            alone = (paired.removed, paired.added)[side]
            self._rows[side] += frame.height
            self._duplicates[side] += paired.duplicates[side]
            self._alone[side] += len(alone)
            self._examples[side].append(frame.select(ROW, *self._shown()).select(pl.all().gather(alone.head(LARGEST))))
        self._matched += paired.pairs.height
        self._order.add(old[ROW].gather(paired.pairs["old"]), new[ROW].gather(paired.pairs["new"]))
        identity = new.select(pl.col(self._shown()).gather(paired.pairs["new"]))
        identity = identity.with_columns(old[ROW].gather(paired.pairs["old"]))
        for i, column in enumerate(self._columns.common):
            values = (
                old[_VALUE.format(i)].gather(paired.pairs["old"]),
                new[_VALUE.format(i)].gather(paired.pairs["new"]),
            )
            self._changes[column].add(*values, identity)

    def result(self, described: tuple[str, str], keys: tuple[str, ...], time: str) -> DiffResult:
        """All that was found."""
        names = {_SHOWN.format(i): n for i, n in enumerate(self._columns.identity)}
        changed = {c: self._changes[c] for c in self._columns.common if self._changes[c].changed}
        alone = [
            pl.concat(parts).sort(ROW).head(LARGEST).select(list(names)).rename(names)
            if parts
            else pl.DataFrame(schema={n: self._columns.schemas[side][n] for n in self._columns.identity})
            for side, parts in enumerate(self._examples)
        ]
        return DiffResult(
            old=described[0],
            new=described[1],
            keys=keys,
            label_time=time,
            old_rows=self._rows[0],
            new_rows=self._rows[1],
            matched_rows=self._matched,
            removed_rows=self._alone[0],
            added_rows=self._alone[1],
            old_duplicates=self._duplicates[0],
            new_duplicates=self._duplicates[1],
            reordered=not self._order.kept(),
            schema_changes=self._schema_changes(),
            value_changes={c: found.plain(self._matched) for c, found in changed.items()},
            removed=alone[0],
            added=alone[1],
            _largest={c: _readable(found.shown(), names) for c, found in changed.items()},
        )

    def _shown(self) -> list[str]:
        return [_SHOWN.format(i) for i in range(len(self._columns.identity))]

    def _schema_changes(self) -> list[dict[str, str]]:
        one, other = self._columns.schemas
        changes = [
            {"type": "+", "column": c, "detail": f"(new column, {other[c]})"} for c in sorted(set(other) - set(one))
        ]
        changes += [{"type": "-", "column": c, "detail": f"(removed, {one[c]})"} for c in sorted(set(one) - set(other))]
        for column in (*self._columns.identity, *self._columns.common):
            types = self._columns.types(column)
            found = self._changes.get(column)
            details = []
            if types[0] != types[1]:
                details.append(f"{types[0]} -> {types[1]}")
                if not comparable(*types):
                    details.append("types that do not compare")
            if found is not None and found.changed:
                values = f"{found.changed:,} value{'' if found.changed == 1 else 's'}"
                details.append(f"{values} changed ({found.changed / self._matched:.1%})")
            if column in self._columns.common or details:
                changes.append(
                    {"type": "~" if details else "=", "column": column, "detail": "; ".join(details) or "unchanged"}
                )
        return changes


def _readable(largest: pl.DataFrame, names: dict[str, str]) -> pl.DataFrame:
    found = largest.select(*names, "old", "new", *(["change"] if "change" in largest.columns else []))
    clashing = {n for n in names.values() if n in ("old", "new", "change")}
    return found.rename({k: f"key_{n}" if n in clashing else n for k, n in names.items()})


def _unreadable(error: Exception) -> TimefenceStoreError | TimefenceValidationError:
    text = str(error).strip()[:600]
    if "No space" in text:  # a full disk is an error of Parquet's, too
        return TimefenceStoreError(
            message(
                "The data sets cannot be spread over temporary files.",
                where=text,
                fix="Free space in the temporary folder, or name another with TMPDIR.",
            )
        )
    return TimefenceValidationError(
        message("The data sets cannot be compared.", where=text, fix="Check the files and the columns' types.")
    )
