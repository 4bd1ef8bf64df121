"""Python values as plain parts: what a default argument, a closure's cell or a global holds.

Takes any object and a function that does the same for what it holds, gives a part, or raises
:class:`~timefence_pl.fingerprint.keys.Uncacheable`. Functions, classes and modules are not its business.

What has no form of its own here goes by what ``pickle`` would store of it (``__reduce_ex__``), never by its memory
address or its ``repr``.
"""

from __future__ import annotations

import collections.abc
import copyreg
import enum
import operator
import pathlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final

import polars as pl

from timefence_pl.fingerprint.frames import dtype_part, fingerprint_frame, fingerprint_series
from timefence_pl.fingerprint.keys import Part, Uncacheable, encode
from timefence_pl.fingerprint.origins import origin_of, qualified_name

__all__ = ["Ref", "instance_part", "value_part"]

_SINGLETONS: Final = {Ellipsis: "ellipsis", NotImplemented: "not implemented"}
_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes))
_PICKLING: Final = ("__reduce_ex__", "__reduce__", "__getstate__")
_USED_UP: Final = (collections.abc.Iterator, collections.abc.AsyncIterator, collections.abc.Coroutine)


class Ref(tuple[str, int]):
    """A part that stands for another node, by its number."""

    __slots__ = ()

    @classmethod
    def to(cls, number: int) -> Ref:
        """The reference to a node."""
        return cls(("node", number))


def value_part(value: Any, inner: Callable[[Any], Part]) -> Part | None:
    """Values whose content can be written down; None for what :func:`instance_part` or others must see to.

    Args:
        value: Any object.
        inner: The part of what the value holds.

    Raises:
        Uncacheable: If the value has no defined content.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value if kind is not type(None) else ("none",)
    if kind in (tuple, list):
        return (kind.__name__, tuple(inner(v) for v in value))
    if kind in (set, frozenset):
        return (kind.__name__, tuple(sorted((inner(v) for v in sorted(value, key=_rank)), key=encode)))
    if kind in (dict, types.MappingProxyType):
        return ("dict", tuple((inner(k), inner(v)) for k, v in value.items()))
    if kind in (bytearray, memoryview):
        return (kind.__name__, bytes(value))
    if kind is complex:
        return ("complex", value.real, value.imag)
    if kind is slice:
        return ("slice", inner(value.start), inner(value.stop), inner(value.step))
    if value is Ellipsis or value is NotImplemented:
        return (_SINGLETONS[value],)
    if issubclass(kind, enum.Enum):
        return ("member", inner(type(value)), value.name or inner(value.value))
    if issubclass(kind, pathlib.PurePath) and kind.__module__.startswith("pathlib"):
        return ("path", value.as_posix())
    if issubclass(kind, _USED_UP):
        raise Uncacheable(f"a {kind.__name__} is used up by reading it")
    return _polars_part(value, inner)


def _rank(member: Any) -> tuple[str, str]:
    """An order for the members of a set that does not depend on hash seeds and addresses."""
    kind = type(member)
    if kind in _PLAIN or kind is tuple:
        return kind.__name__, repr(member)
    return kind.__name__, qualified_name(member)


def _polars_part(value: Any, inner: Callable[[Any], Part]) -> Part | None:
    kind = type(value)
    if kind is pl.DataFrame:
        return ("frame", fingerprint_frame(value).key)
    if kind is pl.Series:
        return ("series", fingerprint_series(value))
    if kind is pl.Schema:
        return ("schema", tuple((name, inner(dtype)) for name, dtype in value.items()))
    if issubclass(kind, pl.DataType):
        return ("dtype", dtype_part(value))
    return None


def instance_part(value: Any, inner: Callable[[Any], Part]) -> Part:
    """Any other object: its class and its state.

    Args:
        value: The object.
        inner: The part of what the object holds.

    Raises:
        Uncacheable: If it cannot be pickled (open files, locks, connections), or only by a name that is not its own.
    """
    kind = type(value)
    try:
        known = copyreg.dispatch_table.get(kind)
        reduced: Any = value.__reduce_ex__(4) if known is None else known(value)
    except Uncacheable:
        raise
    except Exception as error:
        raise Uncacheable(f"a {kind.__module__}.{kind.__qualname__} has no content that could be hashed") from error
    is_package = origin_of(kind).kind != "own"
    if isinstance(reduced, str):
        return (*_by_name(value, reduced), inner(kind))
    make, arguments, state, members, items = (*reduced, None, None, None)[:5]
    parts: list[Part] = [
        inner(make),
        inner(tuple(arguments)),
        _state_part(state, inner),
        tuple(inner(member) for member in members or ()),
        tuple((inner(k), inner(v)) for k, v in items or ()),
    ]
    chosen = known or any(getattr(kind, n, None) is not getattr(object, n, None) for n in _PICKLING)
    if chosen and not is_package:
        # What the class chooses to pickle may be less than what its methods read.
        parts.append(_state_part(_all_state(value), inner))
    return ("object", inner(kind), tuple(parts))


def _state_part(state: Any, inner: Callable[[Any], Part]) -> Part:
    """State by attribute name: the order in which attributes were set says nothing."""
    if isinstance(state, Mapping) and all(type(k) is str for k in state):
        return ("state", {k: inner(v) for k, v in state.items()})
    if type(state) is tuple and len(state) == 2 and all(s is None or type(s) is dict for s in state):
        return ("states", *(_state_part(s, inner) for s in state))
    return inner(state)


def _all_state(value: Any) -> dict[str, Any]:
    """All attributes of an instance, those in slots included."""
    slots = [n for k in type(value).__mro__ for n, d in vars(k).items() if isinstance(d, types.MemberDescriptorType)]
    state = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**state, **getattr(value, "__dict__", {})}


def _by_name(value: Any, name: str) -> tuple[str, str, str]:
    """An object that pickles as the name of a global, such as a NumPy function."""
    kind = type(value)
    for module in (kind.__module__, getattr(value, "__module__", None)):
        try:
            found = operator.attrgetter(name)(sys.modules[str(module)])
        except (KeyError, AttributeError):
            continue
        if found is value and origin_of(sys.modules[str(module)]).kind != "own":
            return ("named", str(module), name)
    raise Uncacheable(f"the {kind.__module__}.{kind.__qualname__} {name!r} has no content that could be hashed")
