"""timefence_pl: point-in-time correct training sets, as lazy Polars.

Declare a :class:`Source` of events, :class:`Feature` expressions over it and :class:`Labels`; then
:func:`point_in_time` gives a LazyFrame in which every label row carries what was known at its label time, and
:func:`build` writes, checks and counts it.
"""

# Each name is loaded from its module when it is asked for: the command line answers ``--help`` and completes words
# without importing Polars, and a build loads no audit. Type checkers see the names in ``_public``.

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

_HOMES = {
    "build": ("build",),
    "definitions.aggregates": ("since_last",),
    "definitions.feature": ("INHERIT", "Feature"),
    "definitions.feature_set": ("FeatureSet",),
    "definitions.labels": ("Labels",),
    "definitions.source": ("CSVSource", "ParquetSource", "Source"),
    "definitions.sql_source": ("SQLSource",),
    "definitions.window": ("Window",),
    "errors": (
        "AliasConflictError",
        "DvcMismatchError",
        "DvcUnsupportedHashError",
        "IntegrityError",
        "InUseError",
        "InvalidNameError",
        "NotFoundError",
        "TagExistsError",
        "TimefenceConfigError",
        "TimefenceDuplicateError",
        "TimefenceError",
        "TimefenceLeakageError",
        "TimefenceSchemaError",
        "TimefenceStoreError",
        "TimefenceTimezoneError",
        "TimefenceValidationError",
    ),
    "explain": ("ExplainResult",),
    "joins": ("explain", "point_in_time"),
    "leakage.audit": ("audit",),
    "leakage.audit_report": ("AuditReport", "FeatureAudit"),
    "leakage.diff": ("diff",),
    "leakage.diff_result": ("DiffResult",),
    "leakage.lint": ("Finding", "lint"),
    "leakage.lookahead": ("check_lookahead",),
    "leakage.lookahead_report": ("FeatureLookahead", "LookaheadReport"),
    "result": ("BuildResult", "BuildStats"),
    "tracking.lineage": ("Lineage",),
    "tracking.run": ("Run",),
    "tracking.run_records": ("RunRecord",),
    "tracking.store": ("Store",),
    "tracking.tracker": ("Tracker", "get_tracker"),
    "tracking.versions": ("FeatureSetVersion",),
}
_MODULES = {_name: _module for _module, _names in _HOMES.items() for _name in _names}

if _typing.TYPE_CHECKING:
    from timefence_pl._public import *  # noqa: F403
else:  # a type checker is not to take every name for one of this package's
    __all__ = sorted([*_MODULES, "__version__"])  # noqa: PLE0605 - names, sorted

    def __getattr__(name: str) -> object:
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(_import(f"timefence_pl.{module}"), name)
        globals()[name] = value
        _import("timefence_pl.namespace")  # LazyFrame.timefence is there as soon as anything of ours is
        return value

    def __dir__() -> list[str]:
        return [*__all__, *(n for n, v in globals().items() if isinstance(v, _ModuleType))]
