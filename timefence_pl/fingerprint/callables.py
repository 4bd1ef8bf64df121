"""What a Python callable does, and everything it does it with.

Takes any callable, gives a fingerprint of its bytecode, constants, defaults, closure, ``partial`` arguments, instance
state, and of all functions, classes and values of the user's own modules that it refers to, however far. Installed
packages enter by name and version, Python by its minor version. Knows nothing of features, stores or files.

Comments, line numbers, file names, docstrings and the names of local variables do not matter. Values are those of the
moment: a global that is assigned later gives another fingerprint later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import polars as pl

from timefence_pl.fingerprint.files import FileHasher
from timefence_pl.fingerprint.keys import Algorithm, Fingerprint, Part, Uncacheable, hash_parts
from timefence_pl.fingerprint.origins import PYTHON, qualified_name
from timefence_pl.fingerprint.values import Ref
from timefence_pl.fingerprint.walk import Walk

__all__ = ["fingerprint_callable", "names_used", "reached_state", "read_besides"]


def fingerprint_callable(
    function: Callable[..., Any],
    *,
    lazy: bool = False,
    files: FileHasher | None = None,
    algorithm: Algorithm = "xxh3_128",
) -> Fingerprint:
    """What a callable does.

    Args:
        function: A function, method, ``partial``, class or instance with ``__call__``.
        lazy: Whether it only builds a lazy plan that is fingerprinted as well, so that ``scan_*`` and sampling are
            seen there.
        files: Hashes the files of lazy frames that it holds.
        algorithm: ``"xxh3_128"`` or ``"sha256"``.

    Raises:
        Uncacheable: If it holds what has no content (open files, locks, generators), reads the clock, chance, files,
            the network or the environment, keeps state between calls, or looks names up while it runs.

    Examples:
        >>> double = fingerprint_callable(lambda x: x * 2)
        >>> double == fingerprint_callable(lambda x: x * 2)  # on another line, with a comment
        True
        >>> double == fingerprint_callable(lambda x: x * 3)
        False
    """
    files = files or FileHasher(algorithm=algorithm)
    walk = Walk(lazy=lazy, plan_key=lambda plan: _plan_key(plan, files))
    try:
        root = walk.run(function)
    except RecursionError as error:
        raise Uncacheable(f"{qualified_name(function)} holds values nested too deeply to be hashed") from error
    nodes = [(number, part) for number, (_, part) in sorted(walk.nodes.items())]
    key = hash_parts("callable", PYTHON, root, nodes, walk.packages, algorithm=algorithm)
    parts = _parts(function, root, walk, algorithm)
    parts.update({f"package {name}": version for name, version in sorted(walk.packages.items())})
    return Fingerprint(key, {**parts, "python": PYTHON})


def names_used(function: Callable[..., Any]) -> frozenset[str]:
    """All names that a callable and the user's own functions behind it refer to: globals, attributes and imports.

    Whatever cannot be hashed is passed over, and never raises.
    """
    walk = Walk(lazy=True, plan_key=lambda _: "", tolerant=True)
    try:
        walk.run(function)
    except RecursionError:
        return frozenset(walk.names)  # what was found until here
    return frozenset(walk.names)


def read_besides(function: Callable[..., Any], *, lazy: bool = False) -> str | None:
    """What a callable and the user's own functions behind it read besides their arguments; None where nothing is seen.

    In words: ``reads files that are not inputs of its own (numpy.load)``. Whatever cannot be hashed is passed over, and
    never raises.

    Args:
        function: Any callable.
        lazy: As for :func:`fingerprint_callable`.
    """
    walk = Walk(lazy=lazy, plan_key=lambda _: "", tolerant=True)
    with contextlib.suppress(RecursionError):  # what was found until there counts
        walk.run(function)
    return walk.reads[0] if walk.reads else None


def reached_state(function: Callable[..., Any]) -> dict[str, str]:
    """What a callable and all that it reaches hold at the moment: names for people, and a hash of each.

    Where two of these differ, the callable kept something in between. Whatever cannot be hashed is passed over, and
    never raises.
    """
    walk = Walk(lazy=True, plan_key=lambda _: "", tolerant=True)
    try:
        root = walk.run(function)
    except RecursionError:
        return {}
    return _parts(function, root, walk, "xxh3_128")


def _parts(function: Callable[..., Any], root: Part, walk: Walk, algorithm: Algorithm) -> dict[str, str]:
    """A hash of each node, and of the callable itself where it is none."""
    labels: dict[int, str] = {}
    for number, (label, _) in sorted(walk.nodes.items()):
        labels[number] = _distinct(label, labels.values())
    parts = {
        labels[n]: hash_parts("node", _blind(part, labels), algorithm=algorithm)
        for n, (_, part) in sorted(walk.nodes.items())
    }
    if not parts or root != Ref.to(0):
        parts[f"state of {type(function).__name__}"] = hash_parts("node", _blind(root, labels), algorithm=algorithm)
    return parts


def _plan_key(plan: pl.LazyFrame | pl.Expr, files: FileHasher) -> str:
    from timefence_pl.fingerprint import plans  # noqa: PLC0415 - plans hold callables, and callables hold plans

    if isinstance(plan, pl.Expr):
        return plans.fingerprint_expr(plan, files).key
    return plans.fingerprint_plan(plan, files).key


def _distinct(label: str, taken: Collection[str]) -> str:
    name, copies = label, 1
    while name in taken:
        copies += 1
        name = f"{label} ({copies})"
    return name


def _blind(part: Part, labels: Mapping[int, str]) -> Part:
    """A part with names for the nodes it refers to, not their numbers, so that it changes only if it changes itself."""
    if isinstance(part, Ref):
        return ("node", labels.get(part[1], ""))
    if isinstance(part, tuple):
        return tuple(_blind(p, labels) for p in part)
    if isinstance(part, Mapping):
        return {name: _blind(p, labels) for name, p in part.items()}
    return part
