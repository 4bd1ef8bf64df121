"""All public names, imported: what :mod:`timefence_pl` gives once one of them is asked for.

Takes names from the modules that define them, gives ``__all__``. A new public name is added here, in both places.
"""

from timefence_pl._version import __version__
from timefence_pl.build import build
from timefence_pl.definitions.aggregates import since_last
from timefence_pl.definitions.feature import INHERIT, Feature
from timefence_pl.definitions.feature_set import FeatureSet
from timefence_pl.definitions.labels import Labels
from timefence_pl.definitions.source import CSVSource, ParquetSource, Source
from timefence_pl.definitions.sql_source import SQLSource
from timefence_pl.definitions.window import Window
from timefence_pl.errors import (
    AliasConflictError,
    DvcMismatchError,
    DvcUnsupportedHashError,
    IntegrityError,
    InUseError,
    InvalidNameError,
    NotFoundError,
    TagExistsError,
    TimefenceConfigError,
    TimefenceDuplicateError,
    TimefenceError,
    TimefenceLeakageError,
    TimefenceSchemaError,
    TimefenceStoreError,
    TimefenceTimezoneError,
    TimefenceValidationError,
)
from timefence_pl.explain import ExplainResult
from timefence_pl.joins import explain, point_in_time
from timefence_pl.leakage.audit import audit
from timefence_pl.leakage.audit_report import AuditReport, FeatureAudit
from timefence_pl.leakage.diff import diff
from timefence_pl.leakage.diff_result import DiffResult
from timefence_pl.leakage.lint import Finding, lint
from timefence_pl.leakage.lookahead import check_lookahead
from timefence_pl.leakage.lookahead_report import FeatureLookahead, LookaheadReport
from timefence_pl.namespace import TimefenceNamespace as _TimefenceNamespace
from timefence_pl.result import BuildResult, BuildStats
from timefence_pl.tracking.lineage import Lineage
from timefence_pl.tracking.run import Run
from timefence_pl.tracking.run_records import RunRecord
from timefence_pl.tracking.store import Store
from timefence_pl.tracking.tracker import Tracker, get_tracker
from timefence_pl.tracking.versions import FeatureSetVersion

__all__ = [
    "INHERIT",
    "AliasConflictError",
    "AuditReport",
    "BuildResult",
    "BuildStats",
    "CSVSource",
    "DiffResult",
    "DvcMismatchError",
    "DvcUnsupportedHashError",
    "ExplainResult",
    "Feature",
    "FeatureAudit",
    "FeatureLookahead",
    "FeatureSet",
    "FeatureSetVersion",
    "Finding",
    "InUseError",
    "IntegrityError",
    "InvalidNameError",
    "Labels",
    "Lineage",
    "LookaheadReport",
    "NotFoundError",
    "ParquetSource",
    "Run",
    "RunRecord",
    "SQLSource",
    "Source",
    "Store",
    "TagExistsError",
    "TimefenceConfigError",
    "TimefenceDuplicateError",
    "TimefenceError",
    "TimefenceLeakageError",
    "TimefenceSchemaError",
    "TimefenceStoreError",
    "TimefenceTimezoneError",
    "TimefenceValidationError",
    "Tracker",
    "Window",
    "__version__",
    "audit",
    "build",
    "check_lookahead",
    "diff",
    "explain",
    "get_tracker",
    "lint",
    "point_in_time",
    "since_last",
]

del _TimefenceNamespace
