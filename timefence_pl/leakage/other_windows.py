"""A feature's windows as of other times, and whether they have values that are sought.

Takes label rows with values, and bounds other than the feature's, gives these windows' columns and marks. Many of them
are the feature's own windows as of another label time, where labels and events are counted on one grid: these take one
evaluation together, since an evaluation takes far longer to prepare than to compute for a few rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import polars as pl

from timefence_pl.definitions.aggregates import uses_since_last
from timefence_pl.definitions.window import Window
from timefence_pl.leakage.equality import Tolerance, differ
from timefence_pl.leakage.origins import Sought
from timefence_pl.leakage.places import rows_at
from timefence_pl.plan.cached import cached
from timefence_pl.plan.latest import LABEL_TICK, VALID
from timefence_pl.plan.ticks import INT64_MAX, INT64_MIN, Clock
from timefence_pl.plan.time_key import ENTITY, SECOND_HASH, order_key
from timefence_pl.plan.windows import WindowBounds, WindowMatch, WindowsOver

__all__ = ["FITS", "KNOWN_AT", "LITTLE", "NUMBER", "Moved", "OtherWindows", "Variant"]

#: The number of a row; when the youngest event of its window became known, in ticks; whether the window has all values
#: that are sought in the row.
NUMBER: Final = "__tf_nth"
KNOWN_AT: Final = "__tf_known_at"
FITS: Final = "__tf_fits"

_PLACE: Final = "__tf_place"
#: More rows, and more values of them, are not computed several times over for the sake of one evaluation.
MANY, MANY_VALUES = 5_000, 1 << 24
#: Over so few events windows of all events are computed for each of so few rows: to prepare another evaluation costs more.
LITTLE, FEW_ROWS = 1 << 15, 300


@dataclass(frozen=True)
class Variant:
    """One other way to take the windows: bounds (for some or all lengths), and what it is, in words.

    Attributes:
        how: What it is.
        bounds: For all lengths, or for each.
        reaches: Whether it reaches past the last usable instant even where no event lies there.
        endless: Whether it has the same events whatever the label.
    """

    how: str
    bounds: tuple[WindowBounds, ...]
    reaches: bool = False
    endless: bool = False


@dataclass(frozen=True)
class Moved:
    """The feature's own windows as of moved label times, for some rows.

    Attributes:
        made: What :meth:`OtherWindows.evaluated` gives, all rows for each move.
        moves: The moves.
        height: How many rows there are.
    """

    made: pl.DataFrame
    moves: list[int]
    height: int

    def by(self, move: int) -> pl.DataFrame:
        """The windows of one move."""
        start = self.moves.index(move) * self.height
        return self.made[start : start + self.height]

    def fitting(self, counted: pl.Series) -> dict[int, int]:
        """How many of the rows that count fit, by move."""
        fits = self.made[FITS] & pl.concat([counted] * len(self.moves))
        return dict(zip(self.moves, fits.reshape((len(self.moves), self.height)).arr.sum(), strict=True))


@dataclass(frozen=True)
class OtherWindows:
    """Other windows of a feature.

    Attributes:
        window: The feature.
        bounds: As it was rebuilt.
        windows: Over its events.
        clock: Of the label time.
        columns: What is sought.
        tolerance: For floats.
    """

    window: Window
    bounds: WindowBounds
    windows: WindowsOver
    clock: Clock
    columns: Sequence[Sought]
    tolerance: Tolerance

    def of(self, entities: pl.Series) -> Self:
        """The same among the events of a few entities."""
        return replace(self, windows=self.windows.of(entities))

    def evaluated(
        self,
        rows: pl.DataFrame,
        variants: Sequence[Variant],
        *,
        values: bool = True,
        moved: Moved | None = None,
    ) -> list[pl.DataFrame]:
        """For each variant the windows' columns, ``KNOWN_AT``, ``NUMBER``, and ``FITS`` where columns are wanted.

        Args:
            rows: The label rows: ``NUMBER``, ``ENTITY``, ``LABEL_TICK``, ``VALID``, for hashed keys ``SECOND_HASH``,
                and what is sought.
            variants: The windows.
            values: Compute the columns, too.
            moved: What :meth:`as_of` gave for these rows, where it is at hand.
        """
        moves = {i: own for i, v in enumerate(variants) if values and (own := self.moves(v)) is not None}
        every = list(dict.fromkeys(m for own in moves.values() for m in own))
        if not every or rows.height > MANY or not self.movable(rows, every):
            moves = {}
        elif moved is None:
            (moved,) = self.as_of([(rows, every)])
        others = [v for i, v in enumerate(variants) if i not in moves]
        unmoved = iter(self._unmoved(rows, others, values=values) if others else [])
        return [
            self._of_blocks(rows, v, [moved.by(m) for m in moves[i]])
            if moved is not None and i in moves
            else next(unmoved)
            for i, v in enumerate(variants)
        ]

    def fits(self, rows: pl.DataFrame, made: pl.DataFrame) -> pl.Series:
        """Whether windows have all values that are sought in their rows.

        Args:
            rows: The rows.
            made: The windows' columns.
        """
        fits = pl.repeat(value=True, n=rows.height, eager=True, dtype=pl.Boolean)
        for c in self.columns:
            # The type of since_last() follows the clock of the time it is taken at.
            own = made[c.own].cast(c.types[1])
            fits &= ~(rows[c.wanted] & differ(rows[c.found], own, self.tolerance))
        return fits.alias(FITS)

    # -- moved label times ------------------------------------------------------------------------------------------

    def moves(self, variant: Variant) -> list[int] | None:
        """For each of a variant's bounds by how many ticks label times are moved for the feature's own windows to be these.

        None where they are not its own windows as of any times.
        """
        moves = [self._move(b) for b in variant.bounds]
        return None if None in moves else [m for m in moves if m is not None]

    def movable(self, rows: pl.DataFrame, moves: Sequence[int]) -> bool:
        """Whether there are rows whose label times can be moved, and few enough: all times of 64 bits, and not their ends."""
        far = max((abs(m) for m in moves), default=0)
        values = rows.height * len(moves) * len(self.bounds.lengths) * len(self.window.aggregates)
        if not rows.height or far >= INT64_MAX or values > MANY_VALUES:
            return False
        return bool(rows[LABEL_TICK].is_between(INT64_MIN + far + 1, INT64_MAX - far - 1).all())

    def as_of(self, asked: Sequence[tuple[pl.DataFrame, list[int]]]) -> list[Moved]:
        """The feature's own windows as of moved label times, for all rows and moves in one evaluation.

        Args:
            asked: Label rows, as for :meth:`evaluated`, and by how many ticks their times are moved; :meth:`movable`.

        Returns:
            For each frame of rows its windows.
        """
        needed = [NUMBER, ENTITY, LABEL_TICK, VALID, *(c for c in (SECOND_HASH,) if c in asked[0][0].columns)]
        # Series, which are put together in this thread: a join of a few rows would wait for threads at work on many.
        stack = pl.DataFrame(
            [
                pl.concat([part for rows, moves in asked for part in _repeated(rows[c], moves)])
                for c in dict.fromkeys([*needed, *self._sought])
            ]
        )
        made = self._in_order(stack[needed[1:]], [WindowMatch(self.window, self.bounds, known=KNOWN_AT)])
        made = self._told(stack, made, values=True)
        found, start = [], 0
        for rows, moves in asked:
            stop = start + len(moves) * rows.height
            found.append(Moved(made[start:stop], moves, rows.height))
            start = stop
        return found

    def _of_blocks(self, rows: pl.DataFrame, variant: Variant, blocks: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """One variant's windows, put together from those of its bounds."""
        if len(blocks) == 1 and len(variant.bounds[0].lengths) == len(self.bounds.lengths):
            return blocks[0]
        name, every = self.window.name, list(zip(variant.bounds, blocks, strict=True))
        columns = [block[f"{name}__{a}_{w}"] for b, block in every for w in b.lengths for a in self.window.aggregates]
        # Windows of several bounds begin together: the longest holds the youngest event of all.
        (youngest,) = (block[KNOWN_AT] for b, block in every if self.bounds.longest in b.lengths)
        return self._told(rows, pl.DataFrame([*columns, youngest]), values=True)

    def _move(self, bounds: WindowBounds) -> int | None:
        own = self.bounds
        if not self._on_one_grid or not bounds.lengths.items() <= own.lengths.items():
            return None
        # On one grid, up to and with a tick is before the next one.
        move = own.embargo - bounds.embargo + (own.strict - bounds.strict) * self.clock.size
        return None if move % self.clock.size else move // self.clock.size

    @cached
    def _on_one_grid(self) -> bool:
        """Whether other windows can be told by moving label times, at the cost of one evaluation."""
        frame, size = self.windows.frame, self.clock.size
        lengths = [n for n in self.bounds.lengths.values() if n is not None]
        return (
            not frame.bitemporal
            and self.clock.ticks_like(frame.event_clock)
            and self.clock.kind == frame.event_clock.kind
            and not any(n % size for n in (self.bounds.embargo, *lengths))
            and not self.since_last
            and self.windows.quick(self.window, self.clock)
        )

    # -- as they are ------------------------------------------------------------------------------------------------

    def _unmoved(self, rows: pl.DataFrame, variants: Sequence[Variant], *, values: bool) -> list[pl.DataFrame]:
        little = rows.height <= FEW_ROWS and self.windows.height <= LITTLE
        if self.since_last or little or not any(v.endless for v in variants):
            return self._each(rows, variants, values=values)
        entity = [c for c in (ENTITY, SECOND_HASH) if c in rows.columns]
        alone = iter(self._each(rows, [v for v in variants if not v.endless], values=values))
        # Once an entity, with all its events, not once a row.
        some = rows.unique(entity)
        once = iter(self._each(some, [v for v in variants if v.endless], values=values))
        place = rows.select(entity).join(
            some.select(*entity, pl.int_range(pl.len()).alias(_PLACE)), on=entity, how="left", maintain_order="left"
        )[_PLACE]
        return [
            self._told(rows, next(once).select(pl.all().gather(place)), values=values) if v.endless else next(alone)
            for v in variants
        ]

    def _each(self, rows: pl.DataFrame, variants: Sequence[Variant], *, values: bool) -> list[pl.DataFrame]:
        if not variants:
            return []
        name, hashed = self.window.name, [SECOND_HASH] if SECOND_HASH in rows.columns else []
        matches = [
            WindowMatch(self.window, bounds, known=f"{KNOWN_AT}/{v}/{i}", name=f"{v}/{i}", values=values)
            for v, variant in enumerate(variants)
            for i, bounds in enumerate(variant.bounds)
        ]
        made = self._in_order(rows[[ENTITY, LABEL_TICK, VALID, *hashed]], matches)
        evaluated = []
        for v, variant in enumerate(variants):
            parts = [f"{v}/{i}" for i in range(len(variant.bounds))]
            columns = [
                c.alias(f"{name}__{c.name.removeprefix(p + '__')}")
                for p in parts
                for c in made
                if c.name.startswith(p + "__")
            ]
            known = [made[f"{KNOWN_AT}/{p}"].alias(f"{i}") for i, p in enumerate(parts)]
            youngest = known[0] if len(known) == 1 else pl.DataFrame(known).max_horizontal()
            own = pl.DataFrame([*columns, youngest.alias(KNOWN_AT)])
            evaluated.append(self._told(rows, own, values=values))
        return evaluated

    def _told(self, rows: pl.DataFrame, made: pl.DataFrame, *, values: bool) -> pl.DataFrame:
        """Windows with their rows' numbers, and whether they fit."""
        columns = [c for c in made if c.name not in (FITS, NUMBER)]
        return pl.DataFrame([*columns, *([self.fits(rows, pl.DataFrame(columns))] if values else []), rows[NUMBER]])

    def _in_order(self, rows: pl.DataFrame, matches: Sequence[WindowMatch]) -> pl.DataFrame:
        """Windows for label rows in any order."""
        key = order_key(rows[ENTITY], rows[LABEL_TICK])
        if key.is_sorted():
            return self.windows.at(rows, self.clock, matches)
        order = key.arg_sort()
        made = self.windows.at(rows_at(rows, order), self.clock, matches)
        return rows_at(made, order.arg_sort())

    @property
    def since_last(self) -> bool:
        """Whether values are told from the label, so that windows of the same events may differ."""
        return any(uses_since_last(e) for e in self.window.aggregates.values())

    @property
    def _sought(self) -> list[str]:
        return [name for c in self.columns for name in (c.found, c.wanted)]


def _repeated(column: pl.Series, moves: Sequence[int]) -> list[pl.Series]:
    """A column once for each move: label times moved, others as they are."""
    return [column + m for m in moves] if column.name == LABEL_TICK else [column] * len(moves)
