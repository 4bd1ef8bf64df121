"""timefence_pl: point-in-time correct training sets, as lazy Polars.

Declare a :class:`Source` of events, :class:`Feature` expressions over it and :class:`Labels`; then
:func:`point_in_time` gives a LazyFrame in which every label row carries what was known at its label time, and
:func:`build` writes, checks and counts it.
"""

# The names are those of ``_public``, loaded when the first one is asked for: the command line answers ``--help`` and
# completes words without importing Polars, which takes half a second.

import sys as _sys
import typing as _typing
from importlib import import_module as _import
from types import ModuleType as _ModuleType

from timefence_pl._version import __version__ as __version__


class _Package(_ModuleType):
    """This module, whose functions stay what they are when modules of the same names are imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, _ModuleType) and name in ("build", "explain"):
            return  # the import system's own assignment, as for any module of a package
        super().__setattr__(name, value)


_sys.modules[__name__].__class__ = _Package

if _typing.TYPE_CHECKING:
    from timefence_pl._public import *  # noqa: F403
else:  # a type checker is not to take every name for one of ours

    def __getattr__(name: str) -> object:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        public = _import("timefence_pl._public")
        globals().update({n: getattr(public, n) for n in ("__all__", *public.__all__)})
        if name not in globals():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]

    def __dir__() -> list[str]:
        return [*__getattr__("__all__"), *(n for n, v in globals().items() if isinstance(v, _ModuleType))]
