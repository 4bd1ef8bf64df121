"""Where wrong values of one feature's rows came from, as the judgement tells it.

Takes the wrong rows of a compared feature, gives for each whether a row known too late or one known in time has its
values, when that row became known, and which row of the source it is. Finds candidates by the audit's own code.

Most rows that leak have the values of a row that stands close to the one due. So of many wrong rows those are looked at
first, and the whole history only for the rest, and for a sample: where a value is found on both sides, the verdict goes
by the side that more rows of the feature show alone, which the rest and the sample decide or everything is searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from timefence_pl.leakage.equality import Tolerance, comparable, equal
from timefence_pl.leakage.history import SOURCE_NUMBER, History, entity_of, history, instant, source_numbers
from timefence_pl.leakage.origins import (
    FUTURE_ROW,
    KNOWN_INSTANT,
    LIMIT,
    NEVER,
    PAST_ROW,
    Sought,
    in_match_order,
    origins,
)
from timefence_pl.leakage.places import in_row_order
from timefence_pl.leakage.rebuilt import DUE_KNOWN, DUE_ROW, DUE_TIME, Rebuilt
from timefence_pl.leakage.value_keys import ID, KEY, one_key
from timefence_pl.leakage.verdicts import FOUND_IN_FUTURE, FOUND_IN_PAST
from timefence_pl.plan.latest import LABEL_TICK, VALID, Bounds, Probe
from timefence_pl.plan.neighbours import MatchOrder
from timefence_pl.plan.prepare import EVENT_TICK, KNOWN, ROW, SortedFrame
from timefence_pl.plan.ticks import Clock
from timefence_pl.plan.time_key import ENTITY

__all__ = ["DUE_NUMBER", "EVENT_OF", "INSTANT_OF", "NUMBER_OF", "row_origins"]

#: Of the row found too late (``future``) or in time (``past``): when it became known, its event tick, its number in the
#: source.
INSTANT_OF: Final = "__tf_{}_instant"
EVENT_OF: Final = "__tf_{}_event"
NUMBER_OF: Final = "__tf_{}_number"
#: The number of the row due in the source.
DUE_NUMBER: Final = "__tf_due_number"

_SIDES: Final = ((FUTURE_ROW, FOUND_IN_FUTURE, "future"), (PAST_ROW, FOUND_IN_PAST, "past"))
_NTH: Final = "__tf_nth"
_PLACE: Final = "__tf_place"
_OWN: Final = "__tf_own_{}"
#: Of more wrong rows than these the neighbours of the row due are looked at first.
_MANY: Final = 5_000
#: So many on either side.
_NEAR: Final = 3
#: The rows of a sample that the whole history is searched for, besides twice those that no neighbour explains.
_SAMPLE: Final = 200
#: Of more than this share of all the whole history is searched for all.
_MOST: Final = 0.5


def row_origins(
    wrong: pl.DataFrame, rebuilt: Rebuilt, clock: Clock, columns: Sequence[Sought], tolerance: Tolerance
) -> pl.DataFrame:
    """Look for the rows that wrong values came from, those with the same wrong columns together.

    Args:
        wrong: The rows: the entity's columns, ``LABEL_TICK``, ``VALID``, ``LIMIT``, the values found, which are sought,
            and what the rebuild tells of the row due.
        rebuilt: The feature.
        clock: Of the label time.
        columns: What may be sought.
        tolerance: For floats.

    Returns:
        One row per row of ``wrong``, in order: ``FOUND_IN_FUTURE`` and ``FOUND_IN_PAST``, :data:`INSTANT_OF`,
        :data:`EVENT_OF` and :data:`NUMBER_OF` of either side, and :data:`DUE_NUMBER`.
    """
    assert isinstance(rebuilt.joined.frame, SortedFrame)  # noqa: S101 - windows have events
    wrong = wrong.with_row_index(_NTH)
    if wrong.height > _MANY and _have_neighbours(wrong, rebuilt.joined.frame, columns):
        found = _Neighbours(wrong, rebuilt, clock, columns, tolerance).origins()
        if found is not None:
            return found
    entity = entity_of(rebuilt.joined.frame)
    past = history(rebuilt.joined, wrong[ENTITY])
    found = _searched(wrong, past.rows, entity, columns, tolerance, rebuilt.joined.frame.order)
    due = _numbers_told(wrong, past, rebuilt.joined.frame)
    due = _numbers_sought(wrong, past.rows, entity, rebuilt.joined.frame) if due is None else due
    return found.drop(_NTH).with_columns(due.alias(DUE_NUMBER))


def _groups(wrong: pl.DataFrame, columns: Sequence[Sought]) -> Iterator[tuple[list[Sought], pl.DataFrame]]:
    """The rows by what is sought in them."""
    for flags, group in wrong.group_by([c.wanted for c in columns], maintain_order=True):
        yield [c for c, flag in zip(columns, flags, strict=True) if flag], group


def _searched(
    wrong: pl.DataFrame,
    rows: pl.DataFrame,
    entity: Sequence[str],
    columns: Sequence[Sought],
    tolerance: Tolerance,
    order: Sequence[str],
) -> pl.DataFrame:
    """Values sought among all rows of their entities: ``_NTH``, and what :func:`row_origins` gives but the row due."""
    sought = wrong.select(_NTH, *entity, LIMIT, *(n for c in columns for n in (c.found, c.wanted)))
    parts = []
    for wanted, group in _groups(sought, columns):
        found = origins(group, rows, entity, wanted, tolerance, order)
        part = [group[_NTH]]
        for row, flag, side in _SIDES:
            at = found[row]
            part += [
                at.is_not_null().alias(flag),
                rows[KNOWN_INSTANT].gather(at).cast(pl.Int128).alias(INSTANT_OF.format(side)),
                rows[EVENT_TICK].gather(at).alias(EVENT_OF.format(side)),
                rows[SOURCE_NUMBER].gather(at).alias(NUMBER_OF.format(side)),
            ]
        parts.append(pl.DataFrame(part))
    return parts[0] if len(parts) == 1 else pl.concat(parts).sort(_NTH)


# -- neighbours ---------------------------------------------------------------------------------------------------------


def _have_neighbours(wrong: pl.DataFrame, frame: SortedFrame, columns: Sequence[Sought]) -> bool:
    """Whether the rows beside those due can be told, and compared."""
    plain = all(comparable(*c.types) and not any(t.is_nested() for t in c.types) for c in columns)
    return plain and DUE_ROW in wrong.columns and MatchOrder.told_by(frame)


class _Neighbours:
    """The rows that stand beside those due.

    Args:
        wrong: As for :func:`row_origins`, numbered.
        rebuilt: The feature.
        clock: Of the label time.
        columns: What may be sought.
        tolerance: For floats.
    """

    def __init__(
        self, wrong: pl.DataFrame, rebuilt: Rebuilt, clock: Clock, columns: Sequence[Sought], tolerance: Tolerance
    ) -> None:
        frame = rebuilt.joined.frame
        assert isinstance(frame, SortedFrame)  # noqa: S101 - windows have events
        assert frame.values is not None  # noqa: S101 - MatchOrder asks for it
        assert isinstance(rebuilt.joined.bounds, Bounds)  # noqa: S101
        self._wrong, self._columns, self._tolerance = wrong, columns, tolerance
        self._values, self._event_clock = frame.values, frame.event_clock
        self._order = MatchOrder(frame)
        self._numbers = source_numbers(rebuilt.joined)
        probe = Probe(wrong.lazy().select(ENTITY, LABEL_TICK, VALID), clock)
        self._behind = self._order.behind(probe, rebuilt.joined.bounds).cast(pl.Int64)

    def origins(self) -> pl.DataFrame | None:
        """What :func:`row_origins` gives; None where neighbours do not decide it."""
        if not self._order.height or not self._order.single:
            return None
        wrong, beside = self._wrong, self._beside()
        side = 0 if beside[0].height >= beside[1].height else 1
        sought = int(wrong.select(pl.any_horizontal(c.wanted for c in self._columns).sum()).item())
        rest = sought - beside[side].height
        every = max(beside[side].height // (2 * rest + _SAMPLE), 1)
        alone = beside[side].filter(pl.int_range(pl.len()) % every != 0)
        if sought - alone.height > _MOST * sought:
            return None
        marked = pl.repeat(value=True, n=wrong.height, eager=True, dtype=pl.Boolean)
        looked = wrong.filter(marked.scatter(alone[_NTH], values=False))
        found = _searched(looked, self._rows(looked[ENTITY]), [ENTITY], self._columns, self._tolerance, ())
        # The rest have values on this side. Those of the other side alone are thus all known, and if more of this side
        # alone are known too, a value found on both counts for this side: nothing else is asked of the rest.
        (_, this, _), (_, that, _) = _SIDES[side], _SIDES[1 - side]
        more = int((found[this] & ~found[that]).sum()) - int((found[that] & ~found[this]).sum())
        if more < side:  # the future counts on a tie
            return None
        whole = pl.concat([found, self._told(alone, side).select(found.columns)])
        whole = in_row_order(whole, whole[_NTH], wrong.height)
        tick = wrong.select(self._event_clock.ticks(pl.col(DUE_TIME))).to_series()
        return whole.drop(_NTH).with_columns(self._number(wrong[DUE_ROW], tick).alias(DUE_NUMBER))

    def _beside(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The wrong rows that have the values of a near later row, and the others that have those of a near earlier one.

        Both are ``_NTH`` and ``_PLACE``, that of the nearest such row.
        """
        sought = self._wrong.select(_NTH, ENTITY, LIMIT, *(n for c in self._columns for n in (c.found, c.wanted)))
        sides: tuple[list[pl.DataFrame], list[pl.DataFrame]] = ([], [])
        for wanted, group in _groups(sought, self._columns):
            left = group if wanted else group.clear()
            for found, later in zip(sides, (True, False), strict=True):
                for step in range(_NEAR):
                    places = self._behind[left[_NTH]] + (step if later else -1 - step)
                    fits = self._fits(left, places, wanted, later=later)
                    here = pl.DataFrame([left[_NTH], places.cast(pl.UInt32, strict=False).alias(_PLACE)])
                    found.append(here.filter(fits))
                    left = left.filter(~fits)
        nothing = pl.DataFrame(schema={_NTH: pl.UInt32, _PLACE: pl.UInt32})
        ahead, back = (pl.concat([nothing, *found]).sort(_NTH) for found in sides)
        return ahead, back

    def _fits(self, group: pl.DataFrame, places: pl.Series, wanted: Sequence[Sought], *, later: bool) -> pl.Series:
        """Whether the row at a place is of the wrong row's entity, on this side of its limit, and has all its values."""
        inside = places.is_between(0, self._order.height - 1)
        some = places if inside.all() else places.zip_with(inside, pl.Series([0]))
        beside = self._order.at(some.cast(pl.UInt32))
        late = instant(pl.lit(beside[EVENT_TICK]), self._event_clock) > pl.col(LIMIT)
        own = [self._values.get_column(c.own)[beside[ROW]].alias(_OWN.format(i)) for i, c in enumerate(wanted)]
        return (
            group.hstack(own)
            .select(
                pl.all_horizontal(
                    pl.lit(inside),
                    pl.col(ENTITY) == pl.lit(beside[ENTITY]),
                    late if later else ~late,
                    *(
                        equal(pl.col(c.found), pl.col(_OWN.format(i)), c.types, self._tolerance)
                        for i, c in enumerate(wanted)
                    ),
                ).alias("fits")
            )
            .to_series()
        )

    def _rows(self, entities: pl.Series) -> pl.DataFrame:
        """All rows of some entities, as :func:`history` gives them."""
        rows = self._order.at(self._order.of(entities))
        values = self._values.select(pl.col(c.own).gather(rows[ROW]) for c in self._columns)
        number = self._number(rows[ROW], rows[EVENT_TICK])
        known = instant(pl.col(EVENT_TICK), self._event_clock).alias(KNOWN_INSTANT)
        return rows.select(ENTITY, EVENT_TICK, known, number.alias(SOURCE_NUMBER)).hstack(values)

    def _told(self, found: pl.DataFrame, side: int) -> pl.DataFrame:
        """What :func:`_searched` gives, of rows that have values on one side, and perhaps on the other."""
        rows = self._order.at(found[_PLACE])
        known = rows.select(instant(pl.col(EVENT_TICK), self._event_clock)).to_series()
        told = [found[_NTH]]
        for i, (_, flag, name) in enumerate(_SIDES):
            here, nothing = i == side, pl.repeat(None, found.height, eager=True)
            told += [
                pl.repeat(here, found.height, eager=True, dtype=pl.Boolean).alias(flag),
                (known if here else nothing.cast(pl.Int128)).alias(INSTANT_OF.format(name)),
                (rows[EVENT_TICK] if here else nothing.cast(pl.Int64)).alias(EVENT_OF.format(name)),
                (self._number(rows[ROW], rows[EVENT_TICK]) if here else nothing.cast(pl.UInt32)).alias(
                    NUMBER_OF.format(name)
                ),
            ]
        return pl.DataFrame(told)

    def _number(self, rows: pl.Series, ticks: pl.Series) -> pl.Series:
        """The numbers in the source of a feature's rows; null if these are not of the same times, or no source rows."""
        numbers = self._numbers
        if numbers is None or numbers.height != self._values.height:
            return pl.repeat(None, len(rows), dtype=pl.UInt32, eager=True)
        if not (numbers[EVENT_TICK].gather(rows) == ticks).all():  # a lazy frame may give another order each time
            return pl.repeat(None, len(rows), dtype=pl.UInt32, eager=True)
        return numbers[SOURCE_NUMBER].gather(rows)


# -- the row due --------------------------------------------------------------------------------------------------------


def _numbers_told(valid: pl.DataFrame, past: History, frame: SortedFrame) -> pl.Series | None:
    """The numbers of the source rows due, where the rebuild told which they are and these are of the times due."""
    if DUE_ROW not in valid.columns:
        return None
    at, usable = valid[DUE_ROW], past.usable
    if usable.height <= int(at.max() or 0):  # type: ignore[arg-type]
        return None
    tick = valid.select(frame.event_clock.ticks(pl.col(DUE_TIME))).to_series()
    same = (usable[ENTITY].gather(at) == valid[ENTITY]) & (usable[EVENT_TICK].gather(at) == tick)
    return usable[SOURCE_NUMBER].gather(at) if (same | at.is_null()).all() else None


def _numbers_sought(valid: pl.DataFrame, rows: pl.DataFrame, entity: Sequence[str], frame: SortedFrame) -> pl.Series:
    """The numbers of the source rows due: the last in match order of those with their times."""
    event = frame.event_clock.ticks(pl.col(DUE_TIME)).alias(EVENT_TICK)
    known = [pl.col(DUE_KNOWN).alias(KNOWN)] if frame.bitemporal else []
    keys = [*entity, EVENT_TICK, *([KNOWN] if known else [])]
    key = one_key([pl.col(k) for k in keys])
    asked = (
        valid.select(*entity, event, *known)
        .with_row_index(ID)
        .filter(pl.col(EVENT_TICK).is_not_null())
        .with_columns(key)
    )
    near = rows.select(*dict.fromkeys([*keys, KNOWN_INSTANT, *frame.order, SOURCE_NUMBER]), key)
    near = near.filter(near[KEY].is_in(asked[KEY].implode()) & (near[KNOWN_INSTANT].cast(pl.Int128) < NEVER))
    if near[KEY].n_unique() < near.height:
        near, _ = in_match_order(near, near[KNOWN_INSTANT], entity, frame.order)
        near = near.unique(keys, keep="last", maintain_order=True)
    due = asked.join(near, on=KEY)
    same = pl.all_horizontal(pl.col(k) == pl.col(f"{k}_right") for k in keys)
    due = due.filter(same)
    nothing = pl.repeat(None, valid.height, dtype=pl.UInt32, eager=True)
    return nothing.scatter(due[ID], due[SOURCE_NUMBER])
