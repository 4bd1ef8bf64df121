"""What a code object does, apart from where it stands.

Takes code objects, gives plain values (instructions with their constants and names, no line numbers, file names, local
names, docstrings) and what they refer to: global names with the attributes read off them, imports, attribute names.
Resolves nothing.
"""

from __future__ import annotations

import dis
import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from timefence_pl.fingerprint.keys import Part, encode

__all__ = ["Imported", "References", "code_part", "constant_part", "references_of"]

# Left out: they stand for line numbers, or for nothing.
_SILENT: Final = frozenset(("NOP", "EXTENDED_ARG", "CACHE"))
# Set by the compiler in the body of a class; they say where it stands and how it is documented.
_NOTES: Final = frozenset(("__doc__", "__firstlineno__", "__static_attributes__", "__qualname__", "__module__"))
_GLOBALS: Final = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_FREE: Final = frozenset(("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"))
_LOCALS: Final = frozenset(("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"))
_ATTRIBUTES: Final = frozenset(("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"))
# What sets an attribute or an item, and how far before it the object stands.
_FILLING: Final = {"STORE_ATTR": 1, "DELETE_ATTR": 1, "STORE_SUBSCR": 2, "DELETE_SUBSCR": 2}


@dataclass(frozen=True)
class Imported:
    """``from .module import name``: the module, how many dots, and the names."""

    module: str
    level: int
    names: tuple[str, ...]


@dataclass
class References:
    """What code refers to by name.

    Attributes:
        chains: Global names, each with the attributes that are read off it at once (``("np", "log1p")``), in order.
        free: The same for names of enclosing functions.
        imports: Imports inside the code.
        attributes: All attribute names that it reads.
        written: Global names, and names of enclosing functions, that it assigns.
        texts: Its text constants.
        filled: Global names, and names of enclosing functions, on which it sets items or attributes.
        filled_locals: The same for its own names.
        read_locals: Its own names, each with an attribute that is read off it.
    """

    chains: dict[tuple[str, ...], None] = field(default_factory=dict)
    free: dict[tuple[str, ...], None] = field(default_factory=dict)
    imports: dict[Imported, None] = field(default_factory=dict)
    attributes: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)
    filled_locals: set[str] = field(default_factory=set)
    read_locals: set[tuple[str, str]] = field(default_factory=set)


def code_part(code: types.CodeType) -> Part:
    """The code as plain values, nested functions included."""
    instructions = list(dis.get_instructions(code))
    kept = [i for i in instructions if i.opname not in _SILENT]
    place, at = {}, 0
    for instruction in instructions:
        place[instruction.offset] = at
        at += instruction.opname not in _SILENT
    notes = _note_positions(kept)
    listing: list[Part] = []
    for position, instruction in enumerate(kept):
        name, value = instruction.opname, instruction.argval
        if position in notes:
            continue
        if instruction.opcode in dis.hasconst:
            # Not argval: Python 3.11 knows no constant of KW_NAMES.
            listing.append((name, constant_part(code.co_consts[instruction.arg or 0])))
        elif instruction.opcode in dis.hasname:
            listing.append((name, instruction.argrepr))
        elif instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            listing.append((name, place.get(value, -1)))
        else:
            listing.append((name, instruction.arg))
    arguments = code.co_argcount + code.co_kwonlyargcount
    flags = code.co_flags & ~getattr(inspect, "CO_HAS_DOCSTRING", 0x4000000)
    return (
        "code",
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, flags),
        (code.co_varnames[:arguments], code.co_cellvars, code.co_freevars, code.co_nlocals),
        tuple(listing),
        # Byte offsets: these move with the instructions left out above, which at worst costs a needless miss.
        code.co_exceptiontable,
    )


def constant_part(value: Any) -> Part:
    """A constant of a code object as plain values; sets in an order of their own, not in that of their hashes."""
    if isinstance(value, types.CodeType):
        return code_part(value)
    if isinstance(value, tuple):
        return ("tuple", tuple(constant_part(v) for v in value))
    if isinstance(value, frozenset):
        return ("frozenset", tuple(sorted((constant_part(v) for v in value), key=encode)))
    if isinstance(value, complex):
        return ("complex", value.real, value.imag)
    if isinstance(value, slice):
        return ("slice", constant_part(value.start), constant_part(value.stop), constant_part(value.step))
    if value is Ellipsis:
        return ("ellipsis",)
    return value


def references_of(code: types.CodeType) -> References:
    """What a code object refers to, nested functions and classes included."""
    found = References()
    _collect(code, found, frozenset(code.co_freevars))
    return found


def _collect(code: types.CodeType, found: References, free: frozenset[str]) -> None:
    inner_free = free - set(code.co_cellvars)
    instructions = [i for i in dis.get_instructions(code) if i.opname not in _SILENT]
    for position, instruction in enumerate(instructions):
        name, value = instruction.opname, instruction.argval
        if name in _GLOBALS:
            found.chains.setdefault((value, *_read_off(instructions, position)))
        elif name in _FREE and value in inner_free:
            found.free.setdefault((value, *_read_off(instructions, position)))
        elif name == "IMPORT_NAME":
            found.imports.setdefault(_imported(instructions, position))
        elif name in _ATTRIBUTES:
            found.attributes.add(value)
            if instructions[position - 1].opname in _LOCALS:
                found.read_locals.add((instructions[position - 1].argval, value))
        elif name in _FILLING:
            _add_filled(instructions, position - _FILLING[name], found, inner_free)
        elif name in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
            name in ("STORE_DEREF", "DELETE_DEREF") and value in inner_free
        ):
            found.written.add(value)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _collect(constant, found, inner_free)
        elif isinstance(constant, str):
            found.texts.add(constant)


def _add_filled(
    instructions: list[dis.Instruction], position: int, found: References, inner_free: frozenset[str]
) -> None:
    """The name that leads to the object on which something is set, as far as it stands right before."""
    while position > 0 and instructions[position].opname in _ATTRIBUTES:
        position -= 1
    name, value = instructions[position].opname, instructions[position].argval
    if name in _GLOBALS or (name in _FREE and value in inner_free):
        found.filled.add(value)
    elif name in _LOCALS:
        found.filled_locals.add(value)


def _read_off(instructions: list[dis.Instruction], position: int) -> Iterator[str]:
    for instruction in instructions[position + 1 :]:
        if instruction.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
            return
        yield instruction.argval


def _imported(instructions: list[dis.Instruction], position: int) -> Imported:
    """An import is compiled to: level, names, IMPORT_NAME."""
    level, names = instructions[position - 2].argval, instructions[position - 1].argval
    return Imported(
        instructions[position].argval,
        level if isinstance(level, int) else 0,
        tuple(names) if isinstance(names, tuple) else (),
    )


def _note_positions(instructions: list[dis.Instruction]) -> set[int]:
    """Where the body of a class stores what says nothing of what it does."""
    found = set()
    for position, instruction in enumerate(instructions):
        if instruction.opname == "STORE_NAME" and instruction.argval in _NOTES and position:
            found |= {position - 1, position}
    return found
