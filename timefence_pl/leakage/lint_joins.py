"""Reading joins of a source's rows with themselves and with others.

Takes what is known of both sides and the step's fields, gives what is known of the joined rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from timefence_pl.leakage.lint_expressions import Report
from timefence_pl.leakage.lint_rows import NO_ORDER, Rows
from timefence_pl.leakage.lint_stamps import Stamp

__all__ = ["joined"]


def joined(left: Rows, right: Rows, fields: Mapping[str, Any], report: Report) -> Rows:
    """The rows of a join.

    Args:
        left: Of the left side.
        right: Of the right side.
        fields: The step's.
        report: Told of what is found.
    """
    args = fields["options"]["args"]
    how, suffix = args["how"], args["suffix"]
    order = left.order if how in ("Left", "Semi", "Anti") or isinstance(how, dict) else NO_ORDER
    if args["maintain_order"] in ("Left", "LeftRight"):
        order = left.order
    stamps = {**{n if n not in left.stamps else f"{n}{suffix}": s for n, s in right.stamps.items()}, **left.stamps}
    rows = Rows(stamps, order, left.other or right.other, left.lasting and right.lasting)
    if left.other or right.other:
        return replace(rows, stamps=left.stamps if right.other else stamps)
    if isinstance(how, dict) and "AsOf" in how:
        return _as_of(rows, left, right, fields, report)
    if "Equi" in fields["condition"]:
        return _equal(rows, left, right, fields["condition"]["Equi"], how, report)
    return _compared(rows, left, right, fields["condition"], suffix, report)


def _as_of(rows: Rows, left: Rows, right: Rows, fields: Mapping[str, Any], report: Report) -> Rows:
    options = fields["options"]["args"]["how"]["AsOf"]
    on = fields["condition"]["Equi"]
    one, other = (_column(on[side][0]) for side in ("left_on", "right_on"))
    if one not in left.stamps or other not in right.stamps:
        report("other-index", ".join_asof(...)", by="other columns")
    elif options["strategy"] != "Backward":
        report("forward-join", f".join_asof(strategy={options['strategy'].lower()!r})")
    else:
        return replace(rows, stamps=_later(rows.stamps, left, str(one), right.stamps[str(other)].lag))
    return rows


def _equal(rows: Rows, left: Rows, right: Rows, on: Mapping[str, Any], how: Any, report: Report) -> Rows:
    names = [(_column(i), _column(j)) for i, j in zip(on["left_on"], on["right_on"], strict=False)]
    stamps = dict(rows.stamps)
    timed = [(i, j) for i, j in names if i in left.stamps and j in right.stamps]
    for i, j in timed:
        stamps = _later(stamps, left, str(i), right.stamps[str(j)].lag)
    if timed:
        return replace(rows, stamps=stamps)
    # What is known from a group's first row on is known at each of its rows: where these are joined by the same key.
    same = bool(names) and all(i == j and i is not None for i, j in names)
    if not (same and (right.lasting or left.lasting)) or how == "Anti":
        report("self-join", f".join(..., how={str(how).lower()!r})")
    return rows


def _compared(rows: Rows, left: Rows, right: Rows, condition: Mapping[str, Any], suffix: str, report: Report) -> Rows:
    """``join_where``: pairs in which the right side's time is not later than the left side's."""
    predicates = condition.get("NonEqui", {}).get("predicates", [])
    for predicate in predicates:
        body = predicate.get("BinaryExpr") if isinstance(predicate, dict) else None
        if body is None or body["op"] not in ("Gt", "GtEq", "Lt", "LtEq"):
            continue
        sides = [_column(body["left"]), _column(body["right"])]
        later, earlier = sides if body["op"].startswith("Gt") else sides[::-1]
        other = None if earlier in left.stamps else right.stamps.get(str(earlier).removesuffix(suffix))
        if later in left.stamps and other is not None:
            return replace(rows, stamps=_later(rows.stamps, left, str(later), other.lag))
    report("self-join", ".join_where(...)")
    return rows


def _later(stamps: Mapping[str, Stamp], left: Rows, by: str, lag: int) -> dict[str, Stamp]:
    """Stamps of rows that hold, too, what was known this long after one of the left side's stamps."""
    lead = left.stamps[by].lead
    found = dict(stamps)
    for name, stamp in left.stamps.items():
        late = lag if name == by else stamp.lag + lead + lag
        found[name] = replace(stamps[name], lag=max(stamps[name].lag, late))
    return found


def _column(tree: Any) -> str | None:
    return str(tree["Column"]) if isinstance(tree, dict) and "Column" in tree else None
