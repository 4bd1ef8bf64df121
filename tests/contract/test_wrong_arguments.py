"""Every wrong value of every parameter of every public function: a valid result or an error of ours, and no file.

A call is its function, arguments that are right, and what a user would do with the result. One argument at a time is
replaced by each of :func:`wrong_values`. Whatever comes of it, it is never another library's or the system's error; the
error of ours says how to mend it; and where there was an error, no file was made or changed.
"""

from __future__ import annotations

import inspect
import itertools
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import timefence_pl as tf
from tests.unit.tables import EVENTS, LABELS, feature, labels, source


def wrong_values() -> list[Any]:
    """Values of every kind; most of them are wrong for most parameters, and some are right."""
    return [
        *(None, True, False, 0, -1, 3, 1.5, float("nan"), float("inf"), 10**30, 2**63, -(2**63)),
        *("", " ", "x", "nope", "a\0b", "a" * 5_000, "../../x", "/nonexistent/folder/f.parquet", "folder", "e.csv"),
        *("__tf_x", "^x$", "*", "x\ny", "é", "1mo", "-1d", "1d", "9" * 400 + "d"),
        *(b"", b"x", object(), int, pl.Int64, ..., ValueError("x"), lambda *_: 1),
        *([], [None], [""], ["k", "k"], ["nope"], [object()], (), set(), {"k"}, range(3), iter(["x"])),
        *({}, {"a": 1}, {1: 2}, {"k": "k"}, {"": ""}, {"x": pl.col("x")}),
        *(pl.col("x"), pl.col("nope"), pl.all(), pl.DataFrame(), pl.LazyFrame(), pl.Series([1, 2])),
        *(np.array([1, 2]), np.float64(1.5), np.int64(3), Decimal(1)),
        *(datetime(2024, 1, 1), date(2024, 1, 1), timedelta(1), timedelta(-1)),
        *(Path("/nowhere"), Path("folder"), Path("e.parquet")),
    ]


@dataclass
class Call:
    """A call of a public function.

    Attributes:
        function: It.
        right: Arguments that are right.
        use: What a user does with the result.
        only: The parameters to try; all by default.
        writes: Whether the call, when it is right, may write where the arguments say.
    """

    function: Callable[..., Any]
    right: dict[str, Any]
    use: Callable[[Any], object] = str
    only: tuple[str, ...] = ()
    writes: bool = False

    @property
    def parameters(self) -> list[str]:
        if self.only:
            return list(self.only)
        return [n for n, p in inspect.signature(self.function).parameters.items() if p.kind not in (2, 4)]


def _use_source(one: tf.Source) -> None:
    repr(one)
    _ = one.schema
    tf.build(labels(), tf.Feature(one, columns="x", name="f"))


def _use_labels(one: tf.Labels) -> None:
    repr(one)
    tf.build(one, feature(), feature_times=True)


def _use_feature(one: tf.Feature | tf.Window) -> None:
    repr(one)
    tf.build(labels(), one)


def _use_result(result: tf.BuildResult) -> None:
    result.frame()
    str(result)
    result._repr_html_()


def _use_explanation(result: tf.ExplainResult) -> None:
    str(result)
    result._repr_html_()


def _expressions(source: Any, exprs: Any, name: Any = "f") -> tf.Feature:
    return tf.Feature(source, exprs, name=name)


def _join(features: Any, keys: Any = "k", label_time: Any = "at", **options: Any) -> pl.LazyFrame:
    return LABELS.lazy().timefence.join(features, keys=keys, label_time=label_time, **options)  # type: ignore[attr-defined]


_READING = ("format", "delimiter", "timestamp_format", "schema", "hive_partitioning", "storage_options")
_NUMBERS = itertools.count()


def _folder() -> str:
    """A folder of its own, outside the folder that is watched."""
    return f"../kept/{next(_NUMBERS)}"


def _definitions() -> dict[str, Call]:
    of_source = {"data": EVENTS, "keys": "k", "timestamp": "t", "name": "e"}
    query = {"query": "SELECT * FROM e", "keys": "k", "timestamp": "t", "name": "s", "tables": {"e": EVENTS}}
    return {
        "Source": Call(tf.Source, of_source, _use_source),
        "Source of a file": Call(tf.Source, {**of_source, "data": "e.csv"}, _use_source, _READING),
        "ParquetSource": Call(
            tf.ParquetSource, {"path": "e.parquet", "keys": "k", "timestamp": "t"}, _use_source, ("path", *_READING[1:])
        ),
        "CSVSource": Call(
            tf.CSVSource, {"path": "e.csv", "keys": "k", "timestamp": "t"}, _use_source, ("path", "delimiter")
        ),
        "SQLSource": Call(tf.SQLSource, query, _use_source),
        "Labels": Call(tf.Labels, {"data": LABELS, "keys": "k", "label_time": "at", "target": "y"}, _use_labels),
        "Labels of a file": Call(tf.Labels, {"data": "e.csv", "keys": "k", "label_time": "t"}, _use_labels, _READING),
        "Feature": Call(tf.Feature, {"source": source(), "columns": "x", "name": "f"}, _use_feature),
        "Feature of expressions": Call(_expressions, {"source": source(), "exprs": pl.col("x")}, _use_feature),
        "Feature of SQL": Call(
            tf.Feature,
            {"source": source(), "sql": "SELECT * FROM {source}", "name": "f"},
            _use_feature,
            ("sql", "dialect"),
        ),
        "Feature of a transform": Call(
            tf.Feature, {"source": source(), "transform": lambda e: e, "name": "f"}, _use_feature, ("transform", "name")
        ),
        "Window": Call(
            tf.Window, {"source": source(), "aggregates": {"n": pl.len()}, "windows": [3], "name": "w"}, _use_feature
        ),
        "FeatureSet": Call(tf.FeatureSet, {"name": "all", "features": [feature()]}),
        "since_last": Call(tf.since_last, {}),
    }


def _runs() -> dict[str, Call]:
    both = {"labels": labels(), "features": [feature()]}
    joins = ("features", "keys", "label_time", "max_lookback", "max_staleness", "join", "on_missing", "checks")
    built = tf.build(labels(), feature(), feature_times=True)
    rebuilt = {
        "data": built.frame(),
        "features": [feature()],
        "keys": "k",
        "label_time": "at",
        "check_lookahead": False,
    }
    timed = {
        "data": built.frame(),
        "keys": "k",
        "label_time": "at",
        "feature_time_columns": {"f__x": "f__feature_time"},
    }
    store = tf.Store(_folder())
    return {
        "point_in_time": Call(tf.point_in_time, both, lambda lf: lf.collect()),
        "timefence.join": Call(_join, {"features": [feature()]}, lambda lf: lf.collect(), joins),
        "build": Call(tf.build, both, _use_result, writes=True),
        "build with a store": Call(
            tf.build,
            {**both, "store": store, "output": "../o.parquet"},
            _use_result,
            ("splits", "output", "store"),
            writes=True,
        ),
        "explain": Call(tf.explain, both, _use_explanation),
        "ExplainResult.row": Call(tf.explain(labels(), feature()).row, {"row": 0}),
        "audit": Call(tf.audit, rebuilt, lambda r: (str(r), r.to_polars())),
        "audit by time": Call(
            tf.audit,
            timed,
            str,
            ("data", "keys", "label_time", "feature_time_columns", "embargo", "date_known_at", "max_lookback"),
        ),
        "diff": Call(tf.diff, {"old": LABELS, "new": LABELS, "keys": "k", "label_time": "at"}),
        "check_lookahead": Call(tf.check_lookahead, {"features": [feature()]}),
        "lint": Call(tf.lint, {"features": [feature()]}),
    }


def _reports() -> dict[str, Call]:
    built = tf.build(labels(), feature())
    audited = tf.audit(built.frame(), feature(), keys="k", label_time="at")
    looked = tf.check_lookahead(feature())
    return {
        "AuditReport.failing_rows": Call(audited.failing_rows, {"name": "f"}),
        "AuditReport[]": Call(audited.__getitem__, {"name": "f"}),
        "AuditReport.to_dict": Call(audited.to_dict, {}),
        "AuditReport.to_html": Call(audited.to_html, {}, writes=True),
        "AuditReport.to_json": Call(audited.to_json, {}, writes=True),
        "LookaheadReport[]": Call(looked.__getitem__, {"name": "f"}),
        "LookaheadReport.to_html": Call(looked.to_html, {}, writes=True),
        "LookaheadReport.to_json": Call(looked.to_json, {}, writes=True),
        "BuildResult.explain": Call(built.explain, {}),
        "BuildResult.frame": Call(built.frame, {}),
        "BuildResult.scan": Call(built.scan, {}),
        "BuildResult.validate": Call(built.validate, {}),
        "BuildResult.to_html": Call(built.to_html, {}, writes=True),
        "BuildResult.to_json": Call(built.to_json, {}, writes=True),
        "BuildResult.to_polars": Call(built.to_polars, {}),
        **{
            f"DiffResult.{n}": Call(f, {}, writes=n.startswith("to_"))
            for n, f in inspect.getmembers(tf.diff(LABELS, LABELS, keys="k", label_time="at"), inspect.ismethod)
            if not n.startswith("_")
        },
    }


def _store() -> dict[str, Call]:
    store = tf.Store(_folder())
    tf.build(labels(), feature(), "../built.parquet", store=store)
    version = store.publish("set", EVENTS, keys="k", timestamp="t")
    with store.start_run("study") as done:
        done.use("set:latest")
    run = store.start_run("live")
    _OPEN.append(run)
    ended: dict[str, Any] = {"run_id": done.run_id}
    methods = {
        "cache_info": {},
        "check": {"ref": "set:latest"},
        "content_hash": {"path": "e.csv"},
        "create_tag": {"ref": "set:latest", "tag": "kept"},
        "delete": {"ref": "set:v99"},
        "delete_experiment": {"name": "nope"},
        "delete_run": {"run_id": "nope"},
        "experiments": {},
        "feature_sets": {},
        "find_runs": {"tags": {"a": 1}},
        "gc": {},
        "get": {"ref": "set:latest"},
        "get_build": {"build_id": "nope"},
        "history": {"name": "set"},
        "import_runelog": {"path": "folder"},
        "lineage": {"ref": "set:latest"},
        "list_builds": {},
        "open_run": ended,
        "publish": {"name": "other", "data": EVENTS, "keys": "k"},
        "rebuild": {"ref": "set:latest"},
        "remove_alias": {"name": "set", "alias": "nope"},
        "run": ended,
        "runs": {},
        "save_build": {"manifest": {}},
        "set_alias": {"ref": "set:latest", "alias": "best"},
        "start_run": {"experiment": "study"},
        "verify": {},
        "versions": {"name": "set"},
    }
    of_version = {"check": {}, "frame": {}, "lineage": {}, "scan": {}, "to_dict": {}, "verify": {}}
    of_run = {
        "download_artifact": {"name": "nope", "dest": "../down"},
        "log_artifact": {"path": "e.csv"},
        "log_dataset": {"data": EVENTS, "name": "d"},
        "log_dvc_input": {"path": "e.csv", "name": "d"},
        "log_input_run": {"name": "n", **ended},
        "log_metric": {"name": "m", "value": 1.0},
        "log_metrics": {"metrics": {"m": 1.0}},
        "log_model": {"model": {"a": 1}, "name": "m"},
        "log_output": {"version": version},
        "log_param": {"name": "p", "value": 1},
        "log_params": {"params": {"p": 1}},
        "publish": {"name": "third", "data": EVENTS, "keys": "k"},
        "record": {},
        "set_tags": {"tags": {"a": 1}},
        "use": {"ref": "set:latest"},
    }
    calls = {f"Store.{n}": Call(getattr(store, n), right) for n, right in methods.items()}
    calls |= {f"FeatureSetVersion.{n}": Call(getattr(version, n), right) for n, right in of_version.items()}
    calls |= {f"Run.{n}": Call(getattr(run, n), right) for n, right in of_run.items()}
    calls["Run.publish"].only = ("name", "data")
    calls["Store.save_build"].use = repr
    calls["Run.end"] = Call(lambda **o: store.start_run("ends").end(**o), {}, only=("status", "error"))
    calls["Store"] = Call(tf.Store, {"path": _folder()}, lambda s: s.list_builds())
    calls["get_tracker"] = Call(tf.get_tracker, {"path": _folder()}, only=("path",))
    return calls


def _tracker() -> dict[str, Call]:
    tracker = tf.get_tracker(_folder())
    _OPEN.append(tracker.start_run())
    _OPEN[-1].__enter__()

    right: dict[str, dict[str, Any]] = {
        "log_param": {"key": "k", "value": 1},
        "log_metric": {"key": "k", "value": 1.0, "step": 1},
        "log_artifact": {"local_path": "e.csv"},
        "log_dataset": {"data_path": "e.csv", "name": "d"},
        "log_model": {"model": b"x", "name": "m"},
        "log_dvc_input": {"data_path": "e.csv", "name": "d"},
        "log_input_run": {"name": "n", "run_id": "r", "artifact_name": "a"},
        "set_run_tags": {"tags": {"a": 1}},
        "load_results": {"experiment_name_or_id": "default-experiment", "sort_by": None, "ascending": True},
        "download_artifact": {"run_id": "r", "artifact_name": "a", "destination_path": "../down"},
    }
    calls = {f"Tracker.{n}": Call(getattr(tracker, n), args) for n, args in right.items()}

    def start(experiment_name: Any) -> None:
        with tracker.start_run(experiment_name):
            pass

    calls["Tracker.start_run"] = Call(start, {"experiment_name": "e"})
    return calls


#: Made once the working directory is ready.
MAKERS = (_definitions, _runs, _reports, _store, _tracker)
_MADE: dict[str, Call] = {}
#: Ended with the module.
_OPEN: list[Any] = []
#: What a user gets but never makes, with the methods that are tried above.
GIVEN = (
    "AuditReport",
    "BuildResult",
    "DiffResult",
    "ExplainResult",
    "FeatureSetVersion",
    "LookaheadReport",
    "Run",
    "Store",
)
#: Records without arguments of their own, and methods whose arguments are other packages'.
NOT_TRIED = {
    *("BuildResult.provenance", "Store.hasher", "FeatureSetVersion.to_mlflow", "FeatureSetVersion.log_to_mlflow"),
    *("AuditReport.assert_clean", "LookaheadReport.assert_clean", "AuditReport.to_polars", "LookaheadReport.to_polars"),
    *("LookaheadReport.to_dict", "Store.compare_runs"),
}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Call]]:
    """All calls, in a folder of their own with a file of each kind."""
    root = tmp_path_factory.mktemp("wrong")
    before = Path.cwd()
    (root / "watched" / "folder").mkdir(parents=True)
    os.chdir(root / "watched")
    try:
        EVENTS.write_parquet("e.parquet")
        EVENTS.write_csv("e.csv")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for make in MAKERS:
                _MADE.update(make())
        yield _MADE
    finally:
        for run in _OPEN:
            run.__exit__(None, None, None)
        os.chdir(before)


def _names() -> list[str]:
    """The names of all calls, known before anything is made."""
    return [
        *("Source", "Source of a file", "ParquetSource", "CSVSource", "SQLSource", "Labels", "Labels of a file"),
        *("Feature", "Feature of expressions", "Feature of SQL", "Feature of a transform", "Window", "FeatureSet"),
        *("point_in_time", "timefence.join", "build", "build with a store", "explain", "ExplainResult.row"),
        *("audit", "audit by time", "diff", "check_lookahead", "lint"),
        *("reports", "store", "versions and runs", "tracker"),
    ]


def _group(calls: Mapping[str, Call], name: str) -> dict[str, Call]:
    if name in calls:
        return {name: calls[name]}
    parts = {
        "reports": ("AuditReport", "LookaheadReport", "BuildResult", "DiffResult"),
        "store": ("Store", "get_tracker"),
        "versions and runs": ("FeatureSetVersion.", "Run."),
        "tracker": ("Tracker.",),
    }[name]
    return {n: c for n, c in calls.items() if n.startswith(parts)}


def _files() -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in Path().rglob("*")}


def _put_back(before: Mapping[str, object]) -> None:
    for name in sorted(set(_files()) - set(before), reverse=True):
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
    EVENTS.write_parquet("e.parquet")
    EVENTS.write_csv("e.csv")


def _tried(name: str) -> list[Any]:
    """The values; of good paths one is enough where each costs a page with charts."""
    if ".to_" not in name:
        return wrong_values()
    good = ("nope", "../../x", "e.csv", "__tf_x", "^x$", "*", "é", "1mo", "-1d", "1d", " ", "x\ny")
    return [v for v in wrong_values() if not (isinstance(v, str) and v in good)]


def _faults(name: str, call: Call) -> Iterator[str]:
    before = _files()
    for parameter in call.parameters:
        for value in _tried(name):
            said = f"{name}({parameter}={_shown(value)})"
            failed = False
            try:
                call.use(call.function(**{**call.right, parameter: value}))
            except tf.TimefenceError as error:
                failed = True
                if "Fix" not in str(error):
                    yield f"{said} does not say how to mend it: {error}"
            except Exception as error:  # or a panic of Polars', which is no Exception: it fails the test by itself
                yield f"{said} raises {type(error).__module__}.{type(error).__name__}: {str(error)[:200]}"
            if _files() != before:
                if failed or not call.writes:
                    yield f"{said} leaves {sorted(set(_files()) - set(before)) or 'a changed file'}"
                _put_back(before)
                before = _files()


def _shown(value: object) -> str:
    return repr(value)[:60]


@pytest.mark.parametrize("name", _names())
@pytest.mark.filterwarnings("ignore")
def test_a_wrong_argument_is_told(calls: dict[str, Call], name: str) -> None:
    found = [fault for each, call in _group(calls, name).items() for fault in _faults(each, call)]
    assert not found, f"{len(found)}:\n" + "\n".join(found[:25])


def test_every_public_function_and_parameter_is_tried(calls: dict[str, Call]) -> None:
    tried: dict[str, set[str]] = {}
    for name, call in calls.items():
        tried.setdefault(name.split(" ")[0], set()).update(call.parameters)
    missing = []
    for name in tf.__all__:
        value = getattr(tf, name)
        if not callable(value) or name in ("INHERIT", "Tracker"):
            continue
        if name in GIVEN:
            methods = [f"{name}.{m}" for m, _ in inspect.getmembers(value, inspect.isfunction) if not m.startswith("_")]
            missing += [m for m in methods if m not in calls and m not in NOT_TRIED]
        if inspect.isclass(value) and (issubclass(value, BaseException) or name not in calls):
            continue
        parameters = {n for n, p in inspect.signature(value).parameters.items() if p.kind not in (2, 4)}
        missing += [f"{name}({n})" for n in parameters - tried.get(name, set()) - {"self"}]
    assert not missing


def test_a_missing_or_unknown_argument_is_a_plain_type_error() -> None:
    for call in (tf.Source, tf.Labels, tf.build, tf.point_in_time, tf.Window, tf.SQLSource):
        with pytest.raises(TypeError):
            call()  # type: ignore[call-arg, operator]
        with pytest.raises(TypeError, match="no_such_option"):
            call(no_such_option=1)  # type: ignore[call-arg, operator]
    with pytest.raises(TypeError, match="no_such_option"):
        _join([feature()], no_such_option=1)


#: Columns of every type, three values each; none is a time and a key at once but integers and dates.
_TYPES: dict[str, pl.Series] = {
    "null": pl.Series([None] * 3),
    "boolean": pl.Series([True, False, None]),
    "int8": pl.Series([1, 1, 2], dtype=pl.Int8),
    "uint64": pl.Series([1, 2**64 - 1, None], dtype=pl.UInt64),
    "int128": pl.Series([1, 2**100, None], dtype=pl.Int128),
    "float": pl.Series([1.0, float("nan"), None]),
    "decimal": pl.Series([Decimal("1.10"), Decimal("2.20"), None]),
    "text": pl.Series(["1", "", None]),
    "binary": pl.Series([b"1", b"", None]),
    "category": pl.Series(["a", "b", None], dtype=pl.Categorical),
    "enum": pl.Series(["a", "b", None], dtype=pl.Enum(["b", "a"])),
    "date": pl.Series([date(1, 1, 1), date(9999, 12, 31), None]),
    "time": pl.Series([datetime(2024, 1, 1).time(), None, None]),
    "datetime": pl.Series([datetime(2024, 1, 1), datetime(2262, 1, 1), None]),
    "far": pl.Series([-(2**63), 2**63 - 1, None], dtype=pl.Int64).cast(pl.Datetime("ms")),
    "aware": pl.Series([datetime(2024, 1, 1), None, None]).dt.replace_time_zone("Europe/Berlin"),
    "duration": pl.Series([timedelta(1), None, None]),
    "list": pl.Series([[1], [], None]),
    "array": pl.Series([[1, 2], [3, 4], None], dtype=pl.Array(pl.Int64, 2)),
    "struct": pl.Series([{"a": 1}, {"a": None}, None]),
    "object": pl.Series([object(), None, object()], dtype=pl.Object),
}


def _of_types(column: str, other: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for kind, series in _TYPES.items():
        for rows, part in (("", other.head(3)), (" without rows", other.head(0)), (" of one row", other.head(1))):
            yield f"{column} is {kind}{rows}", part.with_columns(series.head(part.height).alias(column))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("column", ["k", "t", "x"])
def test_a_source_of_any_types_works_or_is_told(column: str) -> None:
    found = []
    for said, frame in _of_types(column, EVENTS):
        makers: dict[str, Callable[[], Any]] = {
            "column": lambda one: tf.Feature(one, columns="x", name="f"),
            "expression": lambda one: tf.Feature(one, pl.col("x").shift(1).over("k").alias("x"), name="f"),
            "window": lambda one: tf.Window(one, {"n": pl.len(), "last": pl.col("x").last()}, windows=[None], name="f"),
        }
        for way, make in makers.items():
            for options in ({}, {"available_at": "x"}, {"tie_breaker": "x"}):
                found += _fault(
                    f"{way} {options}, {said}", lambda m=make, o=options, f=frame: tf.build(labels(), m(source(f, **o)))
                )
    assert not found, f"{len(found)}:\n" + "\n".join(found[:25])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("column", ["k", "at", "y"])
def test_labels_of_any_types_work_or_are_told(column: str) -> None:
    found = []
    for said, frame in _of_types(column, LABELS):
        found += _fault(said, lambda f=frame: tf.build(labels(f, target="y"), feature()).frame())
        found += _fault(f"{said}, split", lambda f=frame: tf.build(labels(f), feature(), splits={"a": (0, 5)}))
    assert not found, f"{len(found)}:\n" + "\n".join(found[:25])


def _fault(said: str, run: Callable[[], object]) -> list[str]:
    try:
        run()
    except tf.TimefenceError as error:
        return [] if "Fix" in str(error) else [f"{said} does not say how to mend it: {error}"]
    except (Exception, pl.exceptions.PanicException) as error:
        return [f"{said} raises {type(error).__module__}.{type(error).__name__}: {str(error)[:200]}"]
    return []
