"""Python functions inside serialized expressions and plans.

Takes trees, gives the user's functions and whether each is given one value at a time. Runs none of them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from timefence_pl.fingerprint.keys import Uncacheable
from timefence_pl.fingerprint.msgpack import as_bytes
from timefence_pl.fingerprint.pickled import column_function, holds_function, plain_function

__all__ = ["PythonPart", "python_parts"]

_COLUMN: Final = b"PLPYFN"
#: Fields in which Polars keeps functions.
_FIELDS: Final = ("function", "callback", "Map", "apply")
#: Polars' own functions that hand the user's one value at a time, or only print.
_ONE_VALUE: Final = ("Expr.map_elements.", "Expr.inspect.")


@dataclass(frozen=True)
class PythonPart:
    """One Python function of an expression.

    Attributes:
        functions: The user's functions; empty where it is Polars' own alone, or cannot be loaded.
        each_value: Whether it is given one value at a time.
    """

    functions: tuple[Callable[..., Any], ...]
    each_value: bool


def python_parts(tree: Any) -> list[PythonPart]:
    """The Python functions in a tree, in its order."""
    return [_part(blob) for blob in _blobs(tree)]


def _blobs(node: Any) -> Iterator[bytes]:
    """Serialized functions: bytes, or what JSON makes of them."""
    if isinstance(node, dict):
        for name, value in node.items():
            data = as_bytes(value) if name in _FIELDS else None
            if data is not None and holds_function(data):
                yield data
            else:
                yield from _blobs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _blobs(value)


def _part(blob: bytes) -> PythonPart:
    try:
        whole = column_function(blob)[0] if blob.startswith(_COLUMN) else plain_function(blob)
    except Uncacheable:
        return PythonPart((), each_value=False)  # what cannot be loaded cannot be judged
    functions: list[Callable[..., Any]] = []
    names: list[str] = []
    _unwrap(whole, functions, names, set())
    return PythonPart(tuple(functions), any(n.startswith(_ONE_VALUE) for n in names))


def _unwrap(value: Any, functions: list[Callable[..., Any]], names: list[str], seen: set[int]) -> None:
    """Follow Polars' own wrappers down to code that is not Polars'."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inner: list[Any] = []
    if isinstance(value, types.FunctionType) and str(value.__module__).startswith("polars"):
        names.append(value.__qualname__)
        inner = [c.cell_contents for c in value.__closure__ or ()]
    elif str(type(value).__module__).startswith("polars"):
        inner = list(getattr(value, "__dict__", {}).values())
    elif callable(value) and not isinstance(value, type):
        functions.append(value)
    for item in inner:
        _unwrap(item, functions, names, seen)
