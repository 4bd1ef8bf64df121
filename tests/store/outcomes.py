"""What a build gives, as plain values that can be compared, with a store and without.

Takes definitions and options, gives frames, splits, statistics and manifest fields, or the error.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import timefence_pl as tf

# The module, not the function of the same name.
BUILD = importlib.import_module("timefence_pl.build")
#: What tells one run from another, or says where things stand.
_VOLATILE = {
    *("build_id", "created_at", "duration_seconds", "build_cache_key", "build_cache_parts", "reused"),
    *("environment", "manifest_path", "store_format", "splits"),
}
_VOLATILE_OF_FEATURES = {"cached", "cache_key", "cache_reason", "definition_hash", "source_content_hash"}


@dataclass(frozen=True)
class Inputs:
    """The arguments of one build."""

    labels: tf.Labels
    features: Any
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a build gave: frames by split (the whole under ``""``), and plain values; or the error's type."""

    frames: dict[str, pl.DataFrame]
    values: dict[str, Any]
    warned: list[str]
    error: str | None = None


def outcome(given: Inputs, output: Path | None, store: tf.Store | None = None) -> tuple[Outcome, tf.BuildResult | None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = tf.build(given.labels, given.features, output, store=store, **given.options)
        except tf.TimefenceError as error:
            return Outcome({}, {}, [], type(error).__name__), None
    frames = {"": result.frame(), **{n: pl.read_parquet(p) for n, p in result.splits.items()}}
    if output is not None:
        assert result.validate()
        assert_frame_equal(pl.read_parquet(output), frames[""])
    manifest = {k: v for k, v in result.manifest.items() if k not in _VOLATILE}
    manifest["output"] = {k: manifest["output"][k] for k in ("row_count", "column_count", "columns")}
    manifest["features"] = {
        n: {k: v for k, v in f.items() if k not in _VOLATILE_OF_FEATURES} for n, f in manifest["features"].items()
    }
    stats = {k: v for k, v in vars(result.stats).items() if k != "duration_seconds"}
    return Outcome(frames, {"manifest": manifest, "stats": stats}, sorted(str(w.message) for w in caught)), result


def assert_same(one: Outcome, other: Outcome) -> None:
    assert one.error == other.error
    assert list(one.frames) == list(other.frames)
    for name in one.frames:
        assert_frame_equal(one.frames[name], other.frames[name])
    assert one.values == other.values
    assert one.warned == other.warned


def differ(one: Outcome, other: Outcome) -> bool:
    try:
        assert_same(one, other)
    except AssertionError:
        return True
    return False


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Every build by one engine, where the inputs leave a choice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BUILD, "choose_engine", lambda *_, **__: name)
        yield
