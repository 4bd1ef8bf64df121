"""Where code comes from: the user's own modules, an installed distribution, or Python.

Takes modules, functions and classes, gives an :class:`Origin`. Reads the metadata of installed distributions and, for
those installed from a folder or a repository, their lists of file hashes. Imports nothing, and knows no bytecode.
"""

from __future__ import annotations

import builtins
import functools
import importlib.metadata
import importlib.util
import json
import os
import sys
import sysconfig
import types
from dataclasses import dataclass
from typing import Any, Final, Literal

from timefence_pl.fingerprint.keys import FORMAT_VERSION, hash_parts

__all__ = [
    "PYTHON",
    "Origin",
    "is_class",
    "is_module",
    "module_name",
    "named_origin",
    "origin_of",
    "origin_of_file",
    "origin_of_module",
    "own_name",
    "qualified_name",
]

#: Bytecode is that of one minor version of one implementation.
PYTHON: Final = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"
_OURS: Final = __name__.partition(".")[0]
_INSTALLED: Final = frozenset(("site-packages", "dist-packages"))


@dataclass(frozen=True)
class Origin:
    """Where a piece of code comes from.

    Attributes:
        kind: ``"own"`` (hashed by what it does), ``"package"`` or ``"python"`` (known by name and version).
        name: The distribution; empty for the others.
        version: Its version.
    """

    kind: Literal["own", "package", "python"]
    name: str = ""
    version: str = ""


_OWN: Final = Origin("own")
_PYTHON: Final = Origin("python")


def origin_of(thing: Any) -> Origin:
    """Where a module, function, class or other object is defined."""
    if type(thing) is types.FunctionType:
        # functools.wraps copies __module__, but not the globals that the code runs in.
        space = thing.__globals__
        name = space.get("__name__")
        if isinstance(name, str):
            return _origin(name, space.get("__file__"))
    name = module_name(thing)
    return _origin(name, getattr(sys.modules.get(name), "__file__", None))


def origin_of_module(name: str) -> Origin:
    """Where a module comes from that may not be imported yet; only its top-level package is looked for."""
    top = name.partition(".")[0]
    if name in sys.modules or top in sys.modules:
        return origin_of(sys.modules.get(name) or sys.modules[top])
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return _OWN
    return _origin(top, spec.origin if spec.has_location else next(iter(spec.submodule_search_locations or ()), None))


def origin_of_file(path: str) -> Origin:
    """Where a file that holds code (a shared library) comes from."""
    parts = os.path.abspath(path).replace(os.sep, "/").split("/")  # noqa: PTH100
    for i, part in enumerate(parts[:-1]):
        if part in _INSTALLED:
            return _distribution(parts[i + 1].partition(".")[0])
    return _OWN


def module_name(thing: Any) -> str:
    """The name of the module in which something is defined; empty if it does not say."""
    name = thing.__name__ if is_module(thing) else getattr(thing, "__module__", None)
    if name is None and is_module(getattr(thing, "__self__", None)):
        name = thing.__self__.__name__
    return name if isinstance(name, str) else ""


def qualified_name(thing: Any) -> str:
    """``module.Class.method`` of something named, the main script's module left out."""
    name = own_name(thing) or type(thing).__name__
    module = module_name(thing)
    return f"{name}" if module in ("", "__main__", "builtins") else f"{module}.{name}"


def is_class(thing: Any) -> bool:
    """Whether something is a class; ``isinstance`` believes what pretends to be one (``list[int]``, proxies)."""
    return issubclass(type(thing), type)


def is_module(thing: Any) -> bool:
    """Whether something is a module, and does not only pretend to be one."""
    return issubclass(type(thing), types.ModuleType)


def own_name(thing: Any) -> str:
    """The qualified name that an object bears; empty if it has none, or invents attributes (``pl.col``)."""
    for attribute in ("__qualname__", "__name__"):
        name = getattr(thing, attribute, None)
        if isinstance(name, str):
            return name
    return ""


def named_origin(thing: Any) -> Origin | None:
    """The origin of what its name and a version say all of: installed, and what ``module.qualname`` leads to.

    A wrapper that installed code puts around the user's function bears the function's name, and is not.
    """
    name = module_name(thing)
    origin = _origin(name, getattr(sys.modules.get(name), "__file__", None))
    found: Any = sys.modules.get(name)
    for part in own_name(thing).split("."):
        found = getattr(found, part, None)
    return origin if found is thing and origin.kind != "own" else None


def _origin(name: str, file: str | None) -> Origin:
    top = name.partition(".")[0]
    if top == _OURS:
        return Origin("package", _OURS, f"format {FORMAT_VERSION}")
    if name == builtins.__name__:
        return _PYTHON
    if file is None:
        known = top in sys.stdlib_module_names or top in sys.builtin_module_names
        return _PYTHON if known else _distribution(top)
    path = os.path.abspath(file).replace(os.sep, "/")  # noqa: PTH100
    if _INSTALLED.intersection(path.split("/")):
        return _distribution(top)
    if top in sys.stdlib_module_names and any(path.startswith(folder) for folder in _python_folders()):
        return _PYTHON
    return _OWN


@functools.cache
def _python_folders() -> tuple[str, ...]:
    found = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    found |= {os.path.realpath(folder) for folder in found}
    found.add(os.path.dirname(os.path.abspath(os.__file__)))  # noqa: PTH100, PTH120
    return tuple(f"{folder.replace(os.sep, '/')}/" for folder in sorted(found) if folder)


@functools.cache
def _distribution(top: str) -> Origin:
    """The distribution of a top-level module; what has none (a lone file, a dynamic module) is the user's own."""
    names = [top] if _provides(top) else sorted(set(_modules().get(top, ())))
    if not names:
        return _OWN
    return Origin("package", "+".join(names), "+".join(_version(name) for name in names))


def _provides(name: str) -> bool:
    """Whether the distribution of a name has the package of this name: spares listing all that is installed."""
    try:
        record = importlib.metadata.distribution(name).read_text("RECORD") or ""
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
    return f"\n{name}/__init__.py," in f"\n{record}"


@functools.cache
def _modules() -> dict[str, list[str]]:
    return {name: list(found) for name, found in importlib.metadata.packages_distributions().items()}


def _version(name: str) -> str:
    """The version; with the code's hash where it was installed from a folder or a repository, whose versions linger."""
    found = importlib.metadata.distribution(name)
    direct = found.read_text("direct_url.json")
    if direct is None:
        return found.version
    try:
        editable = bool(json.loads(direct).get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        editable = False
    files = (
        []
        if editable
        else sorted(
            (f.as_posix(), f.hash.value)
            for f in found.files or ()
            if f.hash is not None and not f.parts[0].endswith((".dist-info", ".egg-info", "..")) and f.suffix != ".pyc"
        )
    )
    return f"{found.version} ({hash_parts('files of a distribution', files)})" if files else found.version
