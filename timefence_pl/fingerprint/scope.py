"""What the names in a function lead to: globals, closure cells, imports, and attributes of modules.

Takes a function and the names its code refers to, gives the objects. Imports the user's own modules that the function
would import; hashes nothing.
"""

from __future__ import annotations

import builtins
import enum
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from timefence_pl.fingerprint.code import Imported, References
from timefence_pl.fingerprint.origins import Origin, is_module, origin_of, origin_of_module

__all__ = ["MISSING", "Reached", "cells_of", "class_members", "globals_of", "imports_of", "members_of", "reach"]

#: The value of a name that leads to nothing (yet).
MISSING: Final = type("Missing", (), {})()


# What Python itself writes into a class, and what follows from the rest of it.
_CLASS_NOTES: Final = frozenset(
    (
        *("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__classcell__", "__orig_bases__"),
        *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__type_params__"),
        *("__firstlineno__", "__static_attributes__", "__parameters__", "__abstractmethods__", "_abc_impl"),
    )
)
# The members of an enum once more, and what follows from them.
_ENUM_NOTES: Final = frozenset(
    (
        *("_member_map_", "_member_names_", "_value2member_map_", "_hashable_values_", "_unhashable_values_"),
        *("_unhashable_values_map_", "_member_type_", "_use_args_", "_value_repr_", "_boundary_", "_flag_mask_"),
        *("_singles_mask_", "_all_bits_", "_inverted_", "_sort_order_"),
    )
)


@dataclass(frozen=True)
class Reached:
    """What a name leads to.

    Attributes:
        value: The object, or :data:`MISSING`.
        module: The module in which it was found; empty for closure cells.
        name: Its name there.
        space: The own module's dictionary that holds it, or None where it is not a global of the user's.
        packages: The installed packages on the way.
    """

    value: Any
    module: str = ""
    name: str = ""
    space: dict[str, Any] | None = field(default=None, hash=False, compare=False)
    packages: tuple[Origin, ...] = ()


def reach(value: Any, attributes: tuple[str, ...]) -> Reached:
    """Follow attributes as long as they are read off modules; what they are read off next is hashed as a whole."""
    reached = Reached(value)
    for attribute in attributes:
        home = reached.value
        if not is_module(home):
            break
        origin = origin_of(home)
        packages = (*reached.packages, origin) if origin.kind == "package" else reached.packages
        space = vars(home) if origin.kind == "own" and attribute in vars(home) else None
        reached = Reached(getattr(home, attribute, MISSING), home.__name__, attribute, space, packages)
    return reached


def globals_of(function: types.FunctionType, found: References) -> Iterator[Reached]:
    """What each chain of global name and attributes leads to, in order."""
    space = function.__globals__
    for name, *attributes in found.chains:
        if name in space:
            value = space[name]
            if is_module(value):
                yield reach(value, tuple(attributes))
            else:
                yield Reached(value, str(space.get("__name__", "")), name, space)
        else:
            yield reach(builtins, (name, *attributes))


def cells_of(function: types.FunctionType, found: References) -> Iterator[tuple[str, Reached]]:
    """What each name of an enclosing function leads to, in order."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:
            yield name, Reached(MISSING)
            continue
        rests = [rest for first, *rest in found.free if first == name]
        if is_module(content) and rests:
            for rest in rests:
                yield name, reach(content, tuple(rest))
        else:
            yield name, Reached(content)


def imports_of(function: types.FunctionType, found: References) -> Iterator[tuple[str, Reached]]:
    """What the imports inside a function lead to, in order."""
    package = str(function.__globals__.get("__package__") or "")
    for imported in found.imports:
        try:
            yield from _import(imported, package)
        except Exception:  # noqa: BLE001 - whatever a module raises when imported, the name is not defined
            yield imported.module, Reached(MISSING)


def members_of(module: types.ModuleType) -> Iterator[tuple[str, Reached]]:
    """Everything in an own module, by name; other modules that it imports count where its functions use them."""
    for name in sorted(n for n in vars(module) if not (n.startswith("__") and n.endswith("__"))):
        reached = reach(module, (name,))
        if not (is_module(reached.value) and origin_of(reached.value).kind != "own"):
            yield name, reached


def class_members(kind: type) -> dict[str, Any]:
    """What a class defines itself, by name; the members of an enum aside."""
    members = {name: value for name, value in vars(kind).items() if name not in _CLASS_NOTES}
    if issubclass(kind, enum.Enum):
        members = {n: v for n, v in members.items() if n not in kind.__members__ and n not in _ENUM_NOTES}
    return dict(sorted(members.items()))


def _import(imported: Imported, package: str) -> Iterator[tuple[str, Reached]]:
    name = importlib.util.resolve_name("." * imported.level + imported.module, package)
    origin = origin_of_module(name)
    if origin.kind != "own" and name not in sys.modules:
        # Named, not imported: the package may be large, and its version says what it does.
        yield name, Reached(MISSING, name, "", None, (origin,) if origin.kind == "package" else ())
        return
    module = importlib.import_module(name)
    for each in imported.names:
        if not hasattr(module, each):
            importlib.import_module(f"{name}.{each}")
        yield f"{name}.{each}", reach(module, (each,))
    if not imported.names:
        yield name, Reached(module)
        top = name.partition(".")[0]
        if top != name:  # the name that is bound, unless it is an alias
            yield top, Reached(importlib.import_module(top))
