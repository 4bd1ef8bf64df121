"""Serialized plans and expressions as plain trees, the same for both.

Takes LazyFrames, gives their nodes with expressions in the form that ``Expr.meta.serialize(format="json")`` writes.
Judges nothing, and runs nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import polars as pl

from timefence_pl.fingerprint.keys import Uncacheable
from timefence_pl.fingerprint.layout import after_header, entry_of, is_reference, read_frame, variant_of
from timefence_pl.fingerprint.msgpack import UnknownLayoutError, as_bytes, unpack

__all__ = ["INPUTS", "PlanTree", "plan_tree", "shortened", "shown"]

#: The fields of a plan's nodes that hold other nodes.
INPUTS: Final = ("input", "input_left", "input_right", "inputs", "contexts", "idxs", "dsl", "relations")
_INT128: Final = 16
_LONGEST: Final = 160
#: Of Python functions in expressions.
_FLAGS: Final = {8: "RETURNS_SCALAR", 16: "OPTIONAL_RE_ENTRANT", 64: "ROW_SEPARABLE", 128: "LENGTH_PRESERVING"}


@dataclass(frozen=True)
class PlanTree:
    """A decoded plan.

    Attributes:
        root: Reference to the last step.
    """

    root: Any
    _nodes: list[Any]
    _frames: list[Any]

    def node(self, reference: Any) -> tuple[str, dict[str, Any]]:
        """A step's kind and fields, given by number or, in unions, as it is."""
        kind, fields = self._raw(reference)
        return kind, _normal(fields)

    def _raw(self, reference: Any) -> tuple[str, dict[str, Any]]:
        return variant_of(entry_of(self._nodes, reference) if is_reference(reference) else reference)

    def inputs(self, fields: Mapping[str, Any]) -> list[Any]:
        """References to what a step takes."""
        found: list[Any] = []
        for name in INPUTS:
            value = fields.get(name)
            if value is None:
                continue
            if name == "relations":
                found += [reference for _, reference in value]
            else:
                found += value if isinstance(value, list) else [value]
        return found

    def steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All steps, each once, the last first; integers of more than 64 bits as bytes."""
        seen: set[int] = set()
        waiting = [self.root]
        while waiting:
            reference = waiting.pop()
            if is_reference(reference):
                if reference["idx"] in seen:
                    continue
                seen.add(reference["idx"])
            kind, fields = self._raw(reference)
            waiting += self.inputs(fields)
            yield kind, fields

    def leaves(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The steps that take nothing: scans and frames."""
        return ((kind, fields) for kind, fields in self.steps() if not self.inputs(fields))

    def is_empty(self, fields: Mapping[str, Any]) -> bool:
        """Whether a frame in the plan has no rows."""
        (stored,) = entry_of(self._frames, fields["df"])
        return read_frame(as_bytes(stored)).is_empty()


def plan_tree(frame: pl.LazyFrame) -> PlanTree | None:
    """A plan's tree; None where its layout is not known. Frames in memory are copied."""
    try:
        data = bytes(frame.serialize() or b"")
        content, _ = unpack(data, after_header(data))
        return PlanTree(content["root"], content["dsl_plans"], content["dataframes"])
    except (pl.exceptions.PolarsError, Uncacheable, UnknownLayoutError, KeyError, IndexError, TypeError, ValueError):
        return None


def shown(tree: Any) -> str:
    """An expression as Polars prints it, shortened."""
    try:
        data = orjson.dumps(tree, default=list, option=orjson.OPT_NON_STR_KEYS)
        text = str(pl.Expr.deserialize(io.BytesIO(data), format="json"))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError, RecursionError):
        text = "an expression that cannot be shown"
    return shortened(text)


def shortened(text: str) -> str:
    """A text of a length that fits a finding."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _normal(value: Any, name: str = "") -> Any:
    """Decoded MessagePack as JSON would give it: integers and flags spelled out; bytes stay bytes."""
    if isinstance(value, dict):
        return {n: _normal(member, n) for n, member in value.items()}
    if isinstance(value, list):
        return [_normal(member) for member in value]
    if isinstance(value, bytes) and name in ("Int", "Int128") and len(value) == _INT128:
        return int.from_bytes(value, "big", signed=True)
    if name == "flags" and type(value) is int:
        return " | ".join(flag for bit, flag in _FLAGS.items() if value & bit)
    return value
