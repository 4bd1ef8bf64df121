"""Reading feature times: how long after a row's stamp everything in the row is known.

Takes serialized expressions of times, gives a :class:`Stamp` where it can be told how they follow from the source's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from timefence_pl.leakage.lint_nodes import function_name, integer
from timefence_pl.leakage.lint_spans import DAY, duration_literal

__all__ = ["Stamp", "stamp_of"]

#: Later than anything: how far a stamp may lie ahead of its row that is not known.
_LONG: Final = 1 << 80


@dataclass(frozen=True)
class Stamp:
    """A column of times.

    Attributes:
        lag: How long after the stamp, at most, the row is known; below zero where the stamp comes later than it could.
        exact: Whether it is the row's own event time.
        date: Whether it is a Date, known at its day's end.
        lead: How long after the row's event time the stamp stands, at most.
    """

    lag: int = 0
    exact: bool = True
    date: bool = False
    lead: int = 0

    def moved(self, lag: int, lead: int) -> Stamp:
        """The stamp earlier by up to ``lag``, or later by up to ``lead``; either may be below zero."""
        return replace(self, lag=self.lag + lag, lead=self.lead + lead, exact=False)


def stamp_of(tree: Any, stamps: Mapping[str, Stamp], *, at_end: bool) -> Stamp | None:
    """The stamp that an expression of stamps is.

    Args:
        tree: The expression.
        stamps: Of the columns that are times.
        at_end: Whether a Date is known at its day's end.
    """
    if not isinstance(tree, dict) or len(tree) != 1:
        return None
    ((kind, body),) = tree.items()
    if kind == "Column":
        return stamps.get(body)
    if kind == "Alias":
        return stamp_of(body[0], stamps, at_end=at_end)
    if kind in ("KeepName", "RenameAlias"):
        return stamp_of(body["expr"] if kind == "RenameAlias" else body, stamps, at_end=at_end)
    if kind == "Cast":
        inner = stamp_of(body["expr"], stamps, at_end=at_end)
        return None if inner is None else _cast(inner, body["dtype"], at_end=at_end)
    if kind == "BinaryExpr":
        return _arithmetic(body, stamps, at_end=at_end)
    if kind == "Ternary":
        both = [stamp_of(body[b], stamps, at_end=at_end) for b in ("truthy", "falsy")]
        return _latest([s for s in both if s is not None]) if None not in both else None
    if kind == "Function":
        return _function(body["function"], body["input"], stamps, at_end=at_end)
    return None


def _latest(stamps: list[Stamp]) -> Stamp | None:
    """One stamp or the other: as late known as either may be."""
    if not stamps or len({s.date for s in stamps}) > 1:
        return None
    return Stamp(max(s.lag for s in stamps), exact=False, date=stamps[0].date, lead=max(s.lead for s in stamps))


def _cast(inner: Stamp, dtype: Any, *, at_end: bool) -> Stamp | None:
    literal = dtype.get("Literal") if isinstance(dtype, dict) else None
    if literal == "Date":
        return inner if inner.date else _as_date(inner, at_end=at_end)
    if isinstance(literal, dict) and "Datetime" in literal:
        midnight = DAY if inner.date and at_end else 0
        return replace(inner.moved(midnight, -midnight), date=False)
    if isinstance(literal, str) and literal.startswith(("Int", "UInt")) and not inner.date:
        return inner
    return None


def _as_date(inner: Stamp, *, at_end: bool) -> Stamp:
    return replace(inner.moved(0, DAY) if at_end else inner.moved(DAY, 0), date=True)


def _arithmetic(body: Any, stamps: Mapping[str, Stamp], *, at_end: bool) -> Stamp | None:
    left, op, right = body["left"], body["op"], body["right"]
    inner = stamp_of(left, stamps, at_end=at_end)
    if inner is not None and op in ("Plus", "Minus"):
        length = duration_literal(right)
        length = integer(right) if length is None else length
        if length is not None:
            return inner.moved(-length, length) if op == "Plus" else inner.moved(length, -length)
        bucket = _remainder_of(right, stamps, at_end=at_end)
        return inner.moved(bucket, 0) if op == "Minus" and bucket else None
    if op == "Multiply":
        length = integer(right)
        return None if length is None else _quotient(left, stamps, length, at_end=at_end)
    return None


def _remainder_of(tree: Any, stamps: Mapping[str, Stamp], *, at_end: bool) -> int:
    """``k`` where the expression is ``time % k``; else 0."""
    body = tree.get("BinaryExpr") if isinstance(tree, dict) else None
    if body is None or body["op"] != "Modulus" or stamp_of(body["left"], stamps, at_end=at_end) is None:
        return 0
    return integer(body["right"]) or 0


def _quotient(tree: Any, stamps: Mapping[str, Stamp], length: int, *, at_end: bool) -> Stamp | None:
    """``time // k``, or that plus a number, in units of ``k``."""
    body = tree.get("BinaryExpr") if isinstance(tree, dict) else None
    if body is None:
        return None
    if body["op"] == "FloorDivide" and integer(body["right"]) == length:
        inner = stamp_of(body["left"], stamps, at_end=at_end)
        return None if inner is None else inner.moved(length, 0)
    steps = integer(body["right"])
    if body["op"] == "Plus" and steps is not None:
        inner = _quotient(body["left"], stamps, length, at_end=at_end)
        return None if inner is None else inner.moved(-steps * length, steps * length)
    return None


def _function(function: Any, inputs: list[Any], stamps: Mapping[str, Stamp], *, at_end: bool) -> Stamp | None:
    inner = stamp_of(inputs[0], stamps, at_end=at_end) if inputs else None
    if function == "MaxHorizontal":
        found = [s for s in (stamp_of(i, stamps, at_end=at_end) for i in inputs) if s is not None]
        return Stamp(min(s.lag for s in found), exact=False, date=found[0].date, lead=_LONG) if found else None
    if function == "Coalesce":
        several = [stamp_of(i, stamps, at_end=at_end) for i in inputs]
        return _latest([s for s in several if s is not None]) if None not in several else None
    if inner is None:
        return None
    if function_name(function) == "SetSortedFlag":
        return inner
    method = function.get("TemporalExpr") if isinstance(function, dict) else None
    named = method if isinstance(method, str) or method is None else next(iter(method))
    if named == "Date":
        return inner if inner.date else _as_date(inner, at_end=at_end)
    if named in ("Truncate", "Round", "OffsetBy") and len(inputs) > 1:
        return _by_length(str(named), inner, inputs[1])
    if named == "MonthStart":
        return inner.moved(31 * DAY, 0)
    if named == "MonthEnd":
        return inner.moved(0, 31 * DAY)
    if named == "Combine":
        return replace(inner.moved(DAY, DAY), date=False)
    if named == "CastTimeUnit":
        return inner.moved(0, 0)
    return inner if named == "ConvertTimeZone" else None


def _by_length(method: str, inner: Stamp, length: Any) -> Stamp | None:
    longest, shortest = duration_literal(length), duration_literal(length, shortest=True)
    if longest is None or shortest is None:
        return None
    if method == "Truncate":
        return inner.moved(longest, 0)
    if method == "Round":
        return inner.moved((longest + 1) // 2, (longest + 1) // 2)
    return inner.moved(-shortest, longest) if longest >= 0 else inner.moved(-longest, shortest)
