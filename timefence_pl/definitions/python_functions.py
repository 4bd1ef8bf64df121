"""Python functions inside expressions, and what they do besides computing.

Takes an expression's tree, gives its functions and a word on each that cannot be relied on. Judges by reading code:
it finds what plainly writes, prints or depends on chance, and cannot find everything.
"""

from __future__ import annotations

import builtins
import dis
import pickle
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

__all__ = ["effect_of", "functions_in"]

_PICKLE: Final = b"\x80\x05"
_MUTABLE: Final = (list, dict, set, bytearray)
_MUTATING: Final = frozenset(
    {
        *("append", "add", "update", "extend", "insert", "pop", "popitem", "remove", "discard", "clear"),
        *("setdefault", "write", "writelines", "send", "put"),
    }
)
_EFFECTS: Final = frozenset({"print", "open", "input", "exec", "eval", "setattr", "delattr", "breakpoint"})
_CHANCE: Final = frozenset({"random", "secrets", "uuid", "time"})


def functions_in(tree: Any) -> list[Callable[..., Any]]:
    """The user's Python functions in an expression's tree."""
    found: list[Callable[..., Any]] = []
    for blob in _blobs(tree):
        start = blob.find(_PICKLE)
        try:
            found += _unwrapped(pickle.loads(blob[start:]), set())  # noqa: S301 - made by this process
        except Exception:  # noqa: BLE001, S112 - what cannot be read cannot be judged
            continue
    return found


def effect_of(function: Callable[..., Any]) -> str | None:
    """What a function does that an aggregate must not, in words; None where nothing of the kind is seen."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType):
        return None
    outside = _outside(function, code)
    for part in _codes(code):
        for step in dis.get_instructions(part):
            if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                return f"writes the global {step.argval!r}"
            if step.opname == "STORE_DEREF" and step.argval in code.co_freevars:
                return f"writes {step.argval!r} outside itself"
            if step.opname == "LOAD_GLOBAL" and step.argval in _EFFECTS and hasattr(builtins, step.argval):
                return f"calls {step.argval}()"
            if step.opname in ("LOAD_GLOBAL", "LOAD_DEREF"):
                value = outside.get(step.argval)
                name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
                if str(name).split(".")[0] in _CHANCE:
                    return f"uses {step.argval!r}, which depends on chance or the clock"
        if _mutates(part) and any(isinstance(v, _MUTABLE) for v in outside.values()):
            name = next(n for n, v in outside.items() if isinstance(v, _MUTABLE))
            return f"may change {name!r} outside itself"
    return None


def _blobs(node: Any) -> Iterator[bytes]:
    """Serialized functions: what Polars writes down as lists of byte values."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("function", "callback") and isinstance(value, list) and value:
                yield bytes(value)
            else:
                yield from _blobs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _blobs(value)


def _unwrapped(value: Any, seen: set[int]) -> list[Callable[..., Any]]:
    """The functions inside Polars' own wrappers: attributes and closures, down to code that is not Polars'."""
    if id(value) in seen:
        return []
    seen.add(id(value))
    inner: list[Any] = []
    if isinstance(value, types.FunctionType):
        if not str(value.__module__).startswith("polars"):
            return [value]
        inner = [c.cell_contents for c in value.__closure__ or ()]
    elif str(type(value).__module__).startswith("polars"):
        inner = list(getattr(value, "__dict__", {}).values())
    return [f for item in inner for f in _unwrapped(item, seen)]


def _outside(function: Callable[..., Any], code: types.CodeType) -> dict[str, Any]:
    """What the function refers to and did not make itself."""
    cells = dict(zip(code.co_freevars, getattr(function, "__closure__", None) or (), strict=False))
    known: dict[str, Any] = {name: cell.cell_contents for name, cell in cells.items()}
    names = {name for part in _codes(code) for name in part.co_names}
    known.update({n: v for n, v in getattr(function, "__globals__", {}).items() if n in names})
    return known


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _mutates(code: types.CodeType) -> bool:
    steps = {step.opname for step in dis.get_instructions(code)}
    return bool(_MUTATING & set(code.co_names)) or bool(
        steps & {"STORE_SUBSCR", "DELETE_SUBSCR", "STORE_ATTR", "DELETE_ATTR"}
    )
