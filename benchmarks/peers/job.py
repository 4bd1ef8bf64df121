"""The job a peer is given, and how its main part is measured."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_KIB = 1_024

Compression = Literal["zstd", "lz4", "snappy"]


def duration(text: str) -> timedelta:
    """Reads a duration as ``1d12h``."""
    parts = re.findall(r"(\d+)([wdhms])", text)
    return timedelta(seconds=sum(int(count) * _SECONDS[unit] for count, unit in parts))


@dataclass(frozen=True, kw_only=True)
class FeatureJob:
    """Columns of one file, joined as one feature named ``name``."""

    name: str
    path: str
    keys: list[str]
    time: str
    columns: list[str]
    embargo: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training set to build, the same for every peer.

    Attributes:
        labels: Parquet file of the labels: keys, label time, target, nothing else.
        label_keys: Entity key columns, named alike in labels and sources.
        label_time: Label time column.
        target: Target column.
        features: What to join.
        max_lookback: Lower bound, closed.
        max_staleness: Age past which a value is null.
        splits: Name to half-open interval of label times; one more file each.
        output: Parquet file to write, ``{feature}__{column}`` after the label columns.
        compression: Parquet codec.
        compression_level: Its level, where the peer can be told.
        threads: Threads the peer may use.
        store: Folder of the store, for peers that have one.
    """

    labels: str
    label_keys: list[str]
    label_time: str
    target: str
    features: list[FeatureJob]
    max_lookback: str
    max_staleness: str | None
    splits: dict[str, list[str]]
    output: str
    compression: Compression
    compression_level: int
    threads: int
    store: str | None = None

    @classmethod
    def load(cls, path: str | Path) -> Job:
        """Reads a job written by :meth:`save`."""
        fields = json.loads(Path(path).read_text(encoding="utf-8"))
        features = [FeatureJob(**feature) for feature in fields.pop("features")]
        return cls(features=features, **fields)

    def save(self, path: Path) -> None:
        """Writes the job as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    def oldest(self) -> timedelta:
        """The greatest usable age: without staleness statistics, one lower bound is enough."""
        bounds = [self.max_lookback, *([self.max_staleness] if self.max_staleness else [])]
        return min(map(duration, bounds))

    def joins(self) -> list[list[FeatureJob]]:
        """The features by what one hand-written join can serve: file, keys, time, embargo."""
        groups: dict[tuple[str, ...], list[FeatureJob]] = {}
        for feature in self.features:
            key = (feature.path, *feature.keys, feature.time, feature.embargo)
            groups.setdefault(key, []).append(feature)
        return list(groups.values())

    def split_path(self, name: str) -> str:
        """The file of one split, beside the output."""
        output = Path(self.output)
        return str(output.with_name(f"{output.stem}_{name}{output.suffix}"))


def _peak_bytes() -> int:
    """The process's peak resident set: VmHWM, not inherited from the parent as ``ru_maxrss`` is."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run(work: Callable[[Job], None], *, version: str) -> None:
    """Does the job named on the command line and prints its measurements.

    Wall and CPU seconds are those of ``work`` alone; the peak is the process's, imports included.

    Args:
        work: Builds the training set.
        version: The peer's version, for the record.
    """
    job = Job.load(sys.argv[1])
    imported = _peak_bytes()
    cpu, wall = _cpu_seconds(), time.perf_counter()
    work(job)
    measured: dict[str, Any] = {
        "wall": time.perf_counter() - wall,
        "cpu": _cpu_seconds() - cpu,
        "peak": _peak_bytes(),
        "peak_imported": imported,
        "version": version,
    }
    print(json.dumps(measured))
