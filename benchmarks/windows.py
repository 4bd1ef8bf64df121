"""Windows at label time, against everything else that computes them on one machine.

500k labels x 5M events over a year, sum, count and mean over 1, 7, 30 and 90 days. Each contestant runs in a process of
its own, from Parquet files to a Parquet file ("files") or between tables in memory, sorted where it can use that
("memory"). Outputs are compared first: counts exactly, floats to 1e-9. DuckDB's better way of three counts: one range
join for the longest window with filtered aggregates, one range join a window, and window functions over the union of
labels and events. Beside them, uncounted: its as-of join over running totals (our own algorithm), Polars' rolling
aggregates over the union, and what a rolling feature at the events gives when joined to labels (the ancestor's way),
with the share of rows in which it differs.

Usage:
    ``python -m benchmarks.windows --entities 10000 100000 --runs 3 [--json out.json]``

    ``python -m benchmarks.windows --growth`` shows the cost as labels, events and windows grow tenfold, and the memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.generate import Shape, generate

DAYS = (1, 7, 30, 90)
KINDS = ("spend", "n", "mean")
KEY, TIME, VALUE, AT = "user_id", "updated_at", "val_0", "label_time"
TOLERANCE = 1e-9
#: DuckDB's ways that count for the bars.
COUNTED = ("duckdb_join", "duckdb_joins", "duckdb_windows")
BARS = {"files": 5.0, "memory": 25.0, "cached": 12.0}
GROWTH_BAR = 12.0


@dataclass(frozen=True)
class Task:
    """What a contestant is given.

    Attributes:
        labels: Parquet file: ``user_id``, ``label_time``.
        events: Parquet file: ``user_id``, ``updated_at``, ``val_0``.
        output: Parquet file to write: ``row``, then ``{kind}_{days}d`` for each window.
        days: Lengths of the windows.
        threads: Threads to use.
    """

    labels: str
    events: str
    output: str
    days: tuple[int, ...]
    threads: int


#: Prepares, and returns what is timed and a function that writes the result afterwards.
Contestant = Callable[[Task], tuple[Callable[[], Any], Callable[[Any], None]]]


def _nothing(_result: Any) -> None:
    """The timed part wrote the output itself."""


# -- ours -----------------------------------------------------------------------------------------------------------


def _feature(task: Task) -> tuple[Any, Any]:
    import timefence_pl as tf  # noqa: PLC0415 - its import is not timed, and peers do without

    events = tf.Source(task.events, keys=KEY, timestamp=TIME)
    aggregates = {"spend": pl.col(VALUE).sum(), "n": pl.len(), "mean": pl.col(VALUE).mean()}
    window = tf.Window(events, aggregates, windows=[f"{d}d" for d in task.days], name="w")
    return tf.Labels(task.labels, keys=KEY, label_time=AT), window


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    values = [c for c in frame.columns if c.startswith("w__")]
    return frame.select(pl.int_range(pl.len()).alias("row"), *(pl.col(c).alias(c.removeprefix("w__")) for c in values))


def ours_files(task: Task) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """One ``build``."""
    from timefence_pl import build  # noqa: PLC0415 - loaded before, as peers are

    labels, window = _feature(task)

    def work() -> None:
        build(labels, window, output=task.output)

    def write(_result: Any) -> None:
        _named(pl.read_parquet(task.output)).write_parquet(task.output)

    return work, write


def ours_cached(task: Task) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """One ``build`` that finds the sorted events of other labels' build in its store."""
    from timefence_pl import Labels, Store, build  # noqa: PLC0415

    labels, window = _feature(task)
    store = Store(f"{task.output}.store")
    few = Labels(pl.scan_parquet(task.labels).head(1), keys=KEY, label_time=AT)
    build(few, window, store=store)

    def work() -> None:
        build(labels, window, output=task.output, store=store)

    def write(_result: Any) -> None:
        _named(pl.read_parquet(task.output)).write_parquet(task.output)

    return work, write


def ours_memory(task: Task) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """The windows alone, on sorted labels and events in memory: the columns, as peers give them.

    As ``point_in_time`` computes them; what a build's manifest tells of each label beside is not among them.
    """
    from timefence_pl.plan.options import join_options  # noqa: PLC0415
    from timefence_pl.plan.training_set import prepare_all, training_set  # noqa: PLC0415

    labels, window = _feature(task)
    options = join_options(max_lookback=None)
    plan = training_set(labels, [window], prepare_all([window]), options)
    (alignment,) = plan.alignments
    numbered = plan.numbered.collect()
    rows = alignment.at_once(numbered)
    (merge,) = alignment.merges
    ready = merge.on(merge.frame.at_once(alignment.facts(numbered).shape)).without_marks()

    def work() -> pl.DataFrame:
        return ready.at_once(rows.probe)

    def write(result: pl.DataFrame) -> None:
        _named(result.with_columns(rows.rows.alias("row")).sort("row").drop("row")).write_parquet(task.output)

    return work, write


# -- DuckDB ---------------------------------------------------------------------------------------------------------


def _aggregates(days: int, condition: str = "") -> str:
    """Sum, count and mean of one window, over the rows of a condition; an empty sum is 0, as in Polars."""
    where = f" FILTER (WHERE {condition})" if condition else ""
    return (
        f"coalesce(sum(e.{VALUE}){where}, 0.0) AS spend_{days}d, "
        f"count(e.{TIME}){where}::UINTEGER AS n_{days}d, avg(e.{VALUE}){where} AS mean_{days}d"
    )


def _within(days: int) -> str:
    return f"e.{TIME} >= l.{AT} - INTERVAL {days} DAY"


def _join(days: int, aggregates: str) -> str:
    return (
        f"SELECT l.row, {aggregates} FROM labels l LEFT JOIN events e "
        f"ON l.{KEY} = e.{KEY} AND e.{TIME} < l.{AT} AND {_within(days)} GROUP BY l.row"
    )


def duckdb_join(days: tuple[int, ...]) -> str:
    """One range join over the longest window; the shorter ones filter."""
    return _join(max(days), ", ".join(_aggregates(d, _within(d)) for d in days))


def duckdb_joins(days: tuple[int, ...]) -> str:
    """One range join a window."""
    parts = [f"({_join(d, _aggregates(d))}) w{d}" for d in days]
    columns = ", ".join(f"w{d}.* EXCLUDE (row)" for d in days)
    first = parts[0]
    others = "".join(f" JOIN {p} ON w{days[0]}.row = w{d}.row" for p, d in zip(parts[1:], days[1:], strict=True))
    return f"SELECT w{days[0]}.row, {columns} FROM {first}{others}"


def duckdb_windows(days: tuple[int, ...]) -> str:
    """Window functions over the union of labels and events."""
    union = (
        f"SELECT {KEY}, {TIME} AS moment, {VALUE}, NULL::BIGINT AS row FROM events "
        f"UNION ALL SELECT {KEY}, {AT}, NULL, row FROM labels"
    )
    columns = ", ".join(
        f"coalesce(sum({VALUE}) OVER w{d}, 0.0) AS spend_{d}d, count({VALUE}) OVER w{d}::UINTEGER AS n_{d}d, "
        f"avg({VALUE}) OVER w{d} AS mean_{d}d"
        for d in days
    )
    frames = ", ".join(
        f"w{d} AS (PARTITION BY {KEY} ORDER BY moment RANGE BETWEEN INTERVAL {d} DAY PRECEDING "
        "AND INTERVAL 1 MICROSECOND PRECEDING)"
        for d in days
    )
    inner = f"SELECT row, {columns} FROM ({union}) WINDOW {frames}"
    return f"SELECT * FROM ({inner}) WHERE row IS NOT NULL"


def duckdb_totals(days: tuple[int, ...]) -> str:
    """As-of joins over running totals: our own algorithm, with float totals that cancel."""
    totals = (
        f"SELECT {KEY}, {TIME} AS moment, sum({VALUE}) OVER w AS s, count({VALUE}) OVER w AS c FROM events "
        f"WINDOW w AS (PARTITION BY {KEY} ORDER BY {TIME} ROWS UNBOUNDED PRECEDING)"
    )
    joins, columns = ["ASOF LEFT JOIN totals t ON l.user_id = t.user_id AND l.label_time > t.moment"], []
    for d in days:
        bound = f"l.{AT} - INTERVAL {d} DAY"
        joins.append(f"ASOF LEFT JOIN totals t{d} ON l.{KEY} = t{d}.{KEY} AND {bound} > t{d}.moment")
        spend = f"coalesce(t.s, 0.0) - coalesce(t{d}.s, 0.0)"
        n = f"coalesce(t.c, 0) - coalesce(t{d}.c, 0)"
        columns.append(f"{spend} AS spend_{d}d, ({n})::UINTEGER AS n_{d}d, ({spend}) / nullif({n}, 0) AS mean_{d}d")
    return f"WITH totals AS MATERIALIZED ({totals}) SELECT l.row, {', '.join(columns)} FROM labels l {' '.join(joins)}"


def ancestor(days: tuple[int, ...]) -> str:
    """The ancestor's rolling SQL feature: windows as of the entity's last event, joined as-of to the labels."""
    columns = ", ".join(
        f"sum({VALUE}) OVER w{d} AS spend_{d}d, count({VALUE}) OVER w{d}::UINTEGER AS n_{d}d, "
        f"avg({VALUE}) OVER w{d} AS mean_{d}d"
        for d in days
    )
    frames = ", ".join(
        f"w{d} AS (PARTITION BY {KEY} ORDER BY {TIME} RANGE BETWEEN INTERVAL {d} DAY PRECEDING AND CURRENT ROW)"
        for d in days
    )
    feature = f"SELECT {KEY}, {TIME} AS moment, {columns} FROM events WINDOW {frames}"
    return (
        f"WITH f AS MATERIALIZED ({feature}) SELECT l.row, f.* EXCLUDE ({KEY}, moment) FROM labels l "
        f"ASOF LEFT JOIN f ON l.{KEY} = f.{KEY} AND l.{AT} > f.moment"
    )


def _duckdb(query: Callable[[tuple[int, ...]], str], *, memory: bool) -> Contestant:
    def contestant(task: Task) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        import duckdb  # noqa: PLC0415

        connection = duckdb.connect(config={"threads": task.threads})
        connection.execute("SET preserve_insertion_order = false")
        kind = "TABLE" if memory else "VIEW"
        order = f" ORDER BY {KEY}, {{}}" if memory else ""
        labels = f"SELECT file_row_number AS row, {KEY}, {AT} FROM read_parquet('{task.labels}', file_row_number=true)"
        events = f"SELECT {KEY}, {TIME}, {VALUE} FROM read_parquet('{task.events}')"
        connection.execute(f"CREATE {kind} labels AS {labels}{order.format(AT)}")
        connection.execute(f"CREATE {kind} events AS {events}{order.format(TIME)}")
        text = query(task.days)
        copy = f"TO '{task.output}' (FORMAT PARQUET, COMPRESSION zstd)"
        if not memory:
            return lambda: connection.execute(f"COPY ({text}) {copy}"), _nothing

        def write(_result: Any) -> None:
            connection.execute(f"COPY result {copy}")

        return lambda: connection.execute(f"CREATE TABLE result AS {text}"), write

    return contestant


# -- Polars ---------------------------------------------------------------------------------------------------------


def polars_rolling(task: Task) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Rolling aggregates over the union of labels and events, sorted by time."""
    events = pl.scan_parquet(task.events).select(KEY, pl.col(TIME).alias("at"), VALUE, pl.lit(1).alias("one"))
    labels = pl.scan_parquet(task.labels, row_index_name="row").select(KEY, pl.col(AT).alias("at"), "row")
    union = pl.concat([events, labels], how="diagonal").sort("at")
    columns = []
    for d in task.days:
        window: dict[str, Any] = {"by": "at", "window_size": f"{d}d", "closed": "left"}
        spend = pl.col(VALUE).rolling_sum_by(**window).over(KEY).fill_null(0.0)
        n = pl.col("one").rolling_sum_by(**window).over(KEY).fill_null(0)
        mean = pl.col(VALUE).rolling_mean_by(**window).over(KEY)
        columns += [spend.alias(f"spend_{d}d"), n.cast(pl.UInt32).alias(f"n_{d}d"), mean.alias(f"mean_{d}d")]

    def work() -> None:
        found = union.with_columns(columns).filter(pl.col("row").is_not_null()).drop(KEY, "at", VALUE, "one")
        found.collect().write_parquet(task.output)

    return work, _nothing


CONTESTANTS: dict[str, dict[str, Contestant]] = {
    "files": {
        "ours": ours_files,
        "ours_cached": ours_cached,
        "duckdb_join": _duckdb(duckdb_join, memory=False),
        "duckdb_joins": _duckdb(duckdb_joins, memory=False),
        "duckdb_windows": _duckdb(duckdb_windows, memory=False),
        "duckdb_totals": _duckdb(duckdb_totals, memory=False),
        "polars_rolling": polars_rolling,
        "ancestor": _duckdb(ancestor, memory=False),
    },
    "memory": {
        "ours": ours_memory,
        "duckdb_join": _duckdb(duckdb_join, memory=True),
        "duckdb_joins": _duckdb(duckdb_joins, memory=True),
        "duckdb_windows": _duckdb(duckdb_windows, memory=True),
        "duckdb_totals": _duckdb(duckdb_totals, memory=True),
    },
}
#: Timed even where they differ: the ancestor is wrong at label time, and Polars' rolling sums lose digits.
BESIDE = ("ancestor", "polars_rolling")


# -- running --------------------------------------------------------------------------------------------------------


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1_024 for line in lines if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run_here(mode: str, name: str, task: Task) -> dict[str, float]:
    """Runs a contestant in this process: seconds of its main part, the process's peak, the bytes of a frame it gives."""
    work, write = CONTESTANTS[mode][name](task)
    wall, cpu = time.perf_counter(), _cpu()
    result = work()
    measured = {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu, "peak": float(_peak())}
    if isinstance(result, pl.DataFrame):
        measured["output"] = float(result.estimated_size())
    write(result)
    return measured


def run_apart(mode: str, name: str, task: Task, limit: float) -> dict[str, float] | None:
    """The same in a process of its own; None past the time limit."""
    given = json.dumps({"mode": mode, "name": name, **vars(task)})
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment = {**compiled, "POLARS_MAX_THREADS": str(task.threads)}
    command = [sys.executable, "-m", "benchmarks.windows", "--run", given]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        message = f"{mode} {name}: {done.stderr.strip()[-600:]}"
        raise RuntimeError(message)
    measured: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def difference(ours: Path, theirs: Path) -> tuple[str | None, float]:
    """What differs between two outputs, or None; and the share of rows in which something does."""
    one, other = (pl.read_parquet(p).sort("row") for p in (ours, theirs))
    columns = [c for c in one.columns if c != "row"]
    if one.height != other.height:
        return f"{one.height} rows / {other.height} rows", 1.0
    unequal = []
    for c in columns:
        a, b = one[c].fill_null(-1), other[c].cast(one[c].dtype).fill_null(-1)
        unequal.append(((a - b).abs() > TOLERANCE * b.abs()) if a.dtype.is_float() else a != b)
    apart = pl.DataFrame([u.alias(c) for u, c in zip(unequal, columns, strict=True)])
    share = apart.select(pl.any_horizontal(pl.all()).mean()).item()
    worst = max(columns, key=lambda c: apart[c].sum())
    return (f"{worst} in {apart[worst].sum()} rows" if share else None), share


def contest(mode: str, task: Task, runs: int, limit: float, folder: Path) -> dict[str, Any]:
    """Compares outputs, then times those that agree in turns; medians, and ratios to ours."""
    results: dict[str, Any] = {}
    reference = folder / "ours.parquet"
    ready = []
    for name in CONTESTANTS[mode]:
        output = reference if name == "ours" else folder / f"{name}.parquet"
        own = Task(**{**vars(task), "output": str(output)})
        first = run_apart(mode, name, own, limit)
        if first is None:
            results[name] = {"status": f"over {limit:.0f} s"}
            continue
        found, share = (None, 0.0) if name == "ours" else difference(reference, output)
        results[name] = {"status": "ok" if found is None else f"differs: {found}", "share": share, "runs": [first]}
        if found is None or name in BESIDE:
            ready.append((name, own))
    for number in range(runs):
        for name, own in ready[:: -1 if number % 2 else 1]:
            measured = run_apart(mode, name, own, limit)
            if measured is not None:
                results[name]["runs"].append(measured)
    for result in results.values():
        if "runs" in result:
            timed = result["runs"][1:] or result["runs"]
            result.update({k: statistics.median(r[k] for r in timed) for k in ("wall", "cpu", "peak")})
    return results


def growth(folder: Path, threads: int, runs: int) -> dict[str, Any]:
    """Our cost on sorted frames in memory, as labels, events and windows grow tenfold."""
    shapes = {
        "base: 50k labels x 500k events x 4 windows": (50_000, 500_000, 4),
        "labels x 10": (500_000, 500_000, 4),
        "events x 10": (50_000, 5_000_000, 4),
        "windows x 10": (50_000, 500_000, 40),
    }
    found: dict[str, Any] = {}
    for name, (labels, events, windows) in shapes.items():
        data = generate(Shape(labels=labels, events=events, entities=10_000, interleaved=True), folder, sources=1)
        days = tuple(2 * (i + 1) for i in range(windows))
        task = _task(data, folder / "growth.parquet", days, threads)
        timed = [run_apart("memory", "ours", task, 600) for _ in range(runs)]
        best = {k: min(t[k] for t in timed if t) for k in ("wall", "cpu", "peak", "output")}
        base = found.get("base: 50k labels x 500k events x 4 windows", best)
        found[name] = {**best, "times": best["cpu"] / base["cpu"]}
    return found


def _task(data: Path, output: Path, days: tuple[int, ...], threads: int) -> Task:
    return Task(str(data / "labels.parquet"), str(data / "feature_0.parquet"), str(output), days, threads)


def _table(mode: str, results: dict[str, Any]) -> list[str]:
    ours = results["ours"]
    lines = [f"{'':16}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'x ours':>9}{'x CPU':>8}  status"]
    for name, r in results.items():
        if "wall" not in r:
            lines.append(f"{name:16}{'':>44}  {r['status']}")
            continue
        status = r["status"] if name not in BESIDE else f"{r['share']:.3%} of rows differ"
        lines.append(
            f"{name:16}{r['wall']:9.3f}{r['cpu']:9.3f}{r['peak'] / 1e6:9.0f}"
            f"{r['wall'] / ours['wall']:9.1f}{r['cpu'] / ours['cpu']:8.1f}  {status}"
        )
    counted = [n for n in COUNTED if "wall" in results.get(n, {})]
    for name, bar in (("ours", BARS[mode]), ("ours_cached", BARS["cached"])):
        if counted and "wall" in results.get(name, {}):
            best = min(counted, key=lambda n: results[n]["wall"])
            wall, cpu = (results[best][k] / results[name][k] for k in ("wall", "cpu"))
            verdict = "ok" if wall >= bar else "NOT MET"
            lines.append(f"  {best} / {name}: {wall:.1f} by wall, {cpu:.1f} by CPU, bar {bar:.0f}: {verdict}")
    return lines


def main() -> int:
    """Runs the contests; 1 where an output that should agree differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=500_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--entities", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--modes", nargs="+", choices=list(CONTESTANTS), default=["files", "memory"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit", type=float, default=180.0, help="seconds a run may take")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "timefence-pl-benchmarks")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        given = json.loads(options.run)
        mode, name = given.pop("mode"), given.pop("name")
        print(json.dumps(run_here(mode, name, Task(**{**given, "days": tuple(given["days"])}))))
        return 0
    options.cache.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {}
    failed = False
    if options.growth:
        document["growth"] = growth(options.cache, options.threads, options.runs)
        for name, r in document["growth"].items():
            verdict = "ok" if r["times"] <= GROWTH_BAR else "NOT MET"
            print(
                f"{name:46}{r['wall']:8.3f} s {r['cpu']:8.3f} CPU s  x{r['times']:.1f} {verdict}"
                f"{r['peak'] / 1e6:8.0f} MB, {(r['peak'] - r['output']) / 1e6:.0f} beyond the output"
            )
    else:
        for entities in options.entities:
            shape = Shape(labels=options.labels, events=options.events, entities=entities, interleaved=True)
            data = generate(shape, options.cache, sources=1)
            with tempfile.TemporaryDirectory(dir=options.cache, prefix="windows-") as work:
                for mode in options.modes:
                    task = _task(data, Path(work) / "out.parquet", DAYS, options.threads)
                    results = contest(mode, task, options.runs, options.limit, Path(work))
                    document[f"{mode}, {entities} entities"] = results
                    print(f"\n{mode}: {options.labels:,} labels x {options.events:,} events, {entities:,} entities")
                    print("\n".join(_table(mode, results)))
                    failed |= any(r["status"].startswith("differs") for n, r in results.items() if n not in BESIDE)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
