"""Feature recipes as data, and what they give, computed in loops.

Takes a recipe and the events in match order, gives each event's feature values. Must not know: the package, Polars.
``program`` writes the same recipes as Polars expressions, transforms and SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracle.match import Row


@dataclass(frozen=True)
class Output:
    """One feature column.

    Attributes:
        name: The column's name.
        kind: A key of :data:`KINDS`.
        column: The source column it reads.
        argument: What the kind makes of it: a number to add, a number of rows, a span in ticks.
        over: The columns it is computed within; empty for the whole source.
    """

    name: str
    kind: str
    column: str
    argument: int = 0
    over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """What a feature computes.

    Attributes:
        mode: ``columns``, ``renamed``, ``expressions``, ``transform`` or ``sql``.
        outputs: The columns, in order.
        where: For transforms and SQL: keep rows whose ``(column, threshold)`` holds ``column >= threshold``.
    """

    mode: str
    outputs: tuple[Output, ...]
    where: tuple[str, int] | None = None


def derive(recipe: Recipe, rows: Sequence[Row], timestamp: str) -> list[Row | None]:
    """Gives each row's values by output name, ``None`` for the rows that the recipe drops."""
    kept = [recipe.where is None or _at_least(row[recipe.where[0]], recipe.where[1]) for row in rows]
    result: list[Row | None] = [{} if keep else None for keep in kept]
    for output in recipe.outputs:
        groups: dict[tuple[Any, ...], list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(tuple(row[key] for key in output.over), []).append(index)
        for indices in groups.values():
            values = [rows[index][output.column] for index in indices]
            stamps = [rows[index][timestamp] for index in indices]
            for index, value in zip(indices, KINDS[output.kind](values, stamps, output.argument), strict=True):
                into = result[index]
                if into is not None:
                    into[output.name] = value
    return result


def _at_least(value: int | None, threshold: int) -> bool:
    return value is not None and value >= threshold


Values = Sequence[Any]


def _each(function: Callable[[Any, int], Any]) -> Callable[[Values, Values, int], Values]:
    def apply(values: Values, _stamps: Values, argument: int) -> Values:
        return [None if value is None else function(value, argument) for value in values]

    return apply


def _is_null(values: Values, _stamps: Values, _argument: int) -> Values:
    return [value is None for value in values]


def _literal(values: Values, _stamps: Values, argument: int) -> Values:
    return [argument for _ in values]


def _shift(values: Values, _stamps: Values, argument: int) -> Values:
    return [values[index - argument] if index >= argument else None for index in range(len(values))]


def _forward_fill(values: Values, _stamps: Values, _argument: int) -> Values:
    filled: list[Any] = []
    for value in values:
        filled.append(filled[-1] if value is None and filled else value)
    return filled


def _cum_sum(values: Values, _stamps: Values, _argument: int) -> Values:
    return [
        None if value is None else sum(seen for seen in values[: index + 1] if seen is not None)
        for index, value in enumerate(values)
    ]


def _cum_count(values: Values, _stamps: Values, _argument: int) -> Values:
    return [sum(seen is not None for seen in values[: index + 1]) for index in range(len(values))]


def _rolling_sum(values: Values, _stamps: Values, argument: int) -> Values:
    result = []
    for index in range(len(values)):
        window = [value for value in values[max(0, index + 1 - argument) : index + 1] if value is not None]
        result.append(sum(window) if window else None)
    return result


def _rolling_max_by(values: Values, stamps: Values, argument: int) -> Values:
    result = []
    for at in stamps:
        window = [
            value
            for value, stamp in zip(values, stamps, strict=True)
            if at - argument < stamp <= at and value is not None
        ]
        result.append(max(window) if window else None)
    return result


#: kind -> (values of one group in match order, their stamps, the argument) -> one result per row.
KINDS: dict[str, Callable[[Values, Values, int], Values]] = {
    "identity": _each(lambda value, _: value),
    "plus": _each(lambda value, argument: value + argument),
    "suffix": _each(lambda value, _: value + "!"),
    "is_null": _is_null,
    "literal": _literal,
    "shift": _shift,
    "forward_fill": _forward_fill,
    "cum_sum": _cum_sum,
    "cum_count": _cum_count,
    "rolling_sum": _rolling_sum,
    "rolling_max_by": _rolling_max_by,
}

#: Kinds that read more than their own row.
ACROSS_ROWS = ("shift", "forward_fill", "cum_sum", "cum_count", "rolling_sum", "rolling_max_by")
