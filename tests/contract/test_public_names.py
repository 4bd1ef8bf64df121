"""The names that users may rely on. A name is added here on purpose, and never lost by accident."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import polars as pl
import pytest

import timefence_pl as tf
from timefence_pl import errors

NAMES = {
    "get_tracker",
    "Tracker",
    "Lineage",
    "RunRecord",
    "Run",
    "FeatureSetVersion",
    "TagExistsError",
    "NotFoundError",
    "InvalidNameError",
    "IntegrityError",
    "InUseError",
    "DvcUnsupportedHashError",
    "DvcMismatchError",
    "AliasConflictError",
    "INHERIT",
    "AuditReport",
    "BuildResult",
    "BuildStats",
    "CSVSource",
    "DiffResult",
    "ExplainResult",
    "Feature",
    "FeatureAudit",
    "FeatureLookahead",
    "FeatureSet",
    "Finding",
    "Labels",
    "LookaheadReport",
    "ParquetSource",
    "SQLSource",
    "Source",
    "Store",
    "TimefenceConfigError",
    "TimefenceDuplicateError",
    "TimefenceError",
    "TimefenceLeakageError",
    "TimefenceSchemaError",
    "TimefenceStoreError",
    "TimefenceTimezoneError",
    "TimefenceValidationError",
    "Window",
    "__version__",
    "audit",
    "build",
    "check_lookahead",
    "diff",
    "explain",
    "lint",
    "point_in_time",
    "since_last",
}

SOURCE = (
    "data path df keys timestamp name available_at tie_breaker date_known_at format delimiter timestamp_format schema "
    "hive_partitioning storage_options"
)
JOIN = "max_lookback max_staleness join on_missing flatten_columns feature_times"
PARAMETERS = {
    "Source": SOURCE,
    "Labels": "data path df keys label_time target format delimiter timestamp_format schema hive_partitioning storage_options",
    "Feature": (
        "source exprs columns sql dialect transform name embargo max_lookback max_staleness key_mapping on_duplicate"
    ),
    "FeatureSet": "name features",
    "point_in_time": f"labels features {JOIN} checks",
    "build": f"labels features output {JOIN} splits purge store progress compression check_lookahead",
    "explain": f"labels features {JOIN} store",
    "check_lookahead": "features cutoffs sample",
    "lint": "features",
    "audit": (
        "data features keys label_time feature_time_columns columns target max_lookback max_staleness join embargo "
        "date_known_at timestamp_format atol rtol check_lookahead"
    ),
    "diff": "old new keys label_time atol rtol timestamp_format parts",
    "Window": "source aggregates windows name embargo where key_mapping",
}
DEFAULTS = {
    ("point_in_time", "max_lookback"): "365d",
    ("point_in_time", "max_staleness"): None,
    ("point_in_time", "join"): "strict",
    ("point_in_time", "on_missing"): "null",
    ("point_in_time", "checks"): True,
    ("build", "output"): None,
    ("build", "max_lookback"): "365d",
    ("build", "join"): "strict",
    ("build", "compression"): "zstd",
    ("build", "check_lookahead"): False,
    ("Feature", "on_duplicate"): "error",
    ("Feature", "embargo"): None,
    ("Feature", "max_lookback"): tf.INHERIT,
    ("Source", "date_known_at"): "end",
}


def test_the_public_names_are_these() -> None:
    assert set(tf.__all__) == NAMES
    assert len(tf.__all__) == len(set(tf.__all__))


def test_everything_else_in_the_package_is_a_module() -> None:
    code = (
        "import timefence_pl as tf\n"
        "print([n for n in dir(tf) if not n.startswith('_') and n not in tf.__all__ "
        "and type(getattr(tf, n)).__name__ != 'module'])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("name", sorted(NAMES - {"INHERIT", "__version__"}))
def test_every_public_name_is_documented(name: str) -> None:
    assert len(inspect.getdoc(getattr(tf, name)) or "") > 20


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_parameters_keep_their_names_and_order(name: str, parameters: str) -> None:
    found = [p for p in inspect.signature(getattr(tf, name)).parameters if p != "self"]
    assert [p for p in found if p in parameters.split()] == parameters.split()


@pytest.mark.parametrize(("place", "value"), DEFAULTS.items(), ids=[" of ".join(p[::-1]) for p in DEFAULTS])
def test_defaults_stay(place: tuple[str, str], value: Any) -> None:
    name, parameter = place
    assert inspect.signature(getattr(tf, name)).parameters[parameter].default == value


@pytest.mark.parametrize("name", ["point_in_time", "build", "explain"])
def test_options_are_keyword_only(name: str) -> None:
    parameters = inspect.signature(getattr(tf, name)).parameters.values()
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert positional == ["labels", "features", "output"][: 3 if name == "build" else 2]


def test_every_error_of_the_tree_is_public() -> None:
    kinds = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, tf.TimefenceError)}
    assert kinds <= NAMES


def test_the_namespace_is_registered() -> None:
    assert hasattr(pl.LazyFrame().timefence, "join")  # type: ignore[attr-defined]


def test_the_version_is_the_distributions() -> None:
    parts = tf.__version__.split(".")
    assert len(parts) >= 3
    assert parts[0].isdigit()
