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
    one, other = (_stamp(on[side][0], of) for side, of in (("left_on", left), ("right_on", right)))
    if one is None or other is None:
        report("other-index", ".join_asof(...)", by="other columns")
    elif options["strategy"] != "Backward":
        report("forward-join", f".join_asof(strategy={options['strategy'].lower()!r})")
    else:
        return replace(rows, stamps=_later(rows.stamps, left, other.lag))
    return rows


def _equal(rows: Rows, left: Rows, right: Rows, on: Mapping[str, Any], how: Any, report: Report) -> Rows:
    pairs = [
        (a, b)
        for a, b in ((_stamp(i, left), _stamp(j, right)) for i, j in zip(on["left_on"], on["right_on"], strict=False))
        if a is not None and b is not None
    ]
    if pairs:
        return replace(rows, stamps=_later(rows.stamps, left, max(b.lag for _, b in pairs)))
    if not (right.lasting or left.lasting) or how == "Anti":
        report("self-join", f".join(..., how={str(how).lower()!r})")
    return rows


def _compared(rows: Rows, left: Rows, right: Rows, condition: Mapping[str, Any], suffix: str, report: Report) -> Rows:
    """``join_where``: pairs in which the right side's time is not later than the left side's."""
    predicates = condition.get("NonEqui", {}).get("predicates", [])
    for predicate in predicates:
        body = predicate.get("BinaryExpr") if isinstance(predicate, dict) else None
        if body is None or body["op"] not in ("Gt", "GtEq", "Lt", "LtEq"):
            continue
        sides = [body["left"], body["right"]]
        later, earlier = sides if body["op"].startswith("Gt") else sides[::-1]
        one = _stamp(later, left)
        column = earlier.get("Column") if isinstance(earlier, dict) else None
        other = right.stamps.get(str(column).removesuffix(suffix)) if column not in left.stamps else None
        if one is not None and other is not None:
            return replace(rows, stamps=_later(rows.stamps, left, other.lag))
    report("self-join", ".join_where(...)")
    return rows


def _later(stamps: Mapping[str, Stamp], left: Rows, lag: int) -> dict[str, Stamp]:
    """Stamps of rows that hold what was known this long after the left side's time."""
    return {n: replace(s, lag=max(s.lag, lag)) if n in left.stamps else s for n, s in stamps.items()}


def _stamp(tree: Any, rows: Rows) -> Stamp | None:
    return rows.stamps.get(tree["Column"]) if isinstance(tree, dict) and "Column" in tree else None
