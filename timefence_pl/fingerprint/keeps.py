"""What code keeps from one call to the next: items and attributes that it sets on what outlives the call.

Takes functions, held objects and the names their code refers to, gives a reason in words, or None. Goes by the code
alone, so that it also tells of values that were kept before anybody looked. Runs nothing and hashes nothing.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Collection
from typing import Any, Final

from timefence_pl.fingerprint.code import References, references_of
from timefence_pl.fingerprint.origins import is_module, origin_of

__all__ = ["kept_by_function", "kept_by_object"]

_CONTAINERS: Final = (list, dict, set, bytearray, collections.deque)
_FIXED: Final = (type(None), bool, int, float, complex, str, bytes, tuple, frozenset)
_FILLING: Final = frozenset(("add", "append", "appendleft", "extend", "insert", "setdefault", "update"))
_FITTING: Final = frozenset(("fit", "fit_transform", "partial_fit"))
#: Methods that run once an object, or before anything is asked of it.
_MAKING: Final = frozenset(("__init__", "__new__", "__post_init__", "__set_name__", "__setstate__"))


def kept_by_function(function: types.FunctionType, found: References) -> str | None:
    """Why a function may read what an earlier call of it left behind, or None."""
    outer, defaults = _outer(function), _defaults(function)
    for names, values in ((found.filled, outer), (found.filled_locals, defaults)):
        for name in sorted(names & values.keys()):
            if not is_module(values[name]) and not _is(values[name], _FIXED):
                return _reason(name)
    chains = [(chain[0], chain[1]) for chain in (*found.chains, *found.free) if chain[1:]]
    for reads, values in ((chains, outer), (found.read_locals, defaults)):
        for name, method in sorted(reads):
            value = values.get(name)
            if method in _FILLING and _is(value, _CONTAINERS):
                return _reason(name)
            if method in _FITTING and not (_is(value, (*_FIXED, type)) or is_module(value)):
                return _reason(name)
    return None


def kept_by_object(value: Any, attributes: Collection[str]) -> str | None:
    """Why a held object's methods may read what an earlier call of one left behind, or None.

    Args:
        value: The object.
        attributes: All that code reads off anything: other methods, but for those that Python calls, are not called.
    """
    for kind in type(value).__mro__:
        for name, member in vars(kind).items():
            if name in _MAKING or not (name in attributes or name.startswith("__")):
                continue
            if type(member) is not types.FunctionType or origin_of(member).kind != "own":
                continue
            found, own = references_of(member.__code__), member.__code__.co_varnames[:1]
            if found.filled_locals.intersection(own):
                return _reason(f"attributes of {type(value).__qualname__}")
    return None


def _is(value: Any, kinds: tuple[type, ...]) -> bool:
    """``isinstance``, which believes what pretends to be another, and fails where that is not ready."""
    return issubclass(type(value), kinds)


def _reason(name: str) -> str:
    return f"keeps values from call to call ({name})"


def _outer(function: types.FunctionType) -> dict[str, Any]:
    """What the names of its module and of enclosing functions lead to."""
    found = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def _defaults(function: types.FunctionType) -> dict[str, Any]:
    """Its defaults by the names of its arguments."""
    names, defaults = function.__code__.co_varnames[: function.__code__.co_argcount], function.__defaults__ or ()
    given = zip(names[len(names) - len(defaults) :], defaults, strict=True)
    return {**dict(given), **(function.__kwdefaults__ or {})}
