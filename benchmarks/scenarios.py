"""The scenarios, and the bars that `run.py` prints beside what it measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from benchmarks.generate import Shape
from benchmarks.peers.job import FeatureJob, Job

if TYPE_CHECKING:
    from pathlib import Path

OURS = "ours"
#: Peers by name: the module below ``benchmarks.peers``.
PEERS = {
    OURS: "ours",
    "timefence": "timefence_peer",
    "duckdb": "duckdb_asof",
    "polars": "polars_by",
    "pandas": "pandas_asof",
}
#: Peers whose versions are pinned in ``requirements-peers.txt``.
PINNED = ("timefence", "duckdb", "pandas")
_DEFAULT = (OURS, "timefence", "duckdb", "polars")
_SMALL = (*_DEFAULT, "pandas")

#: What the store holds before each timed run: nothing (there is none), the sources of a build with
#: other labels, or this very build.
Primed = Literal["no", "other_labels", "same"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training set: data and options.

    Attributes:
        shape: The data set.
        sources: Number of source files.
        features: Number of features; the value columns of all sources are dealt out in order.
        embargo: Of every feature.
        max_staleness: Of the build.
        splits: Name to half-open interval of label times.
        primed: State of the store; with ``"no"`` there is no store.
    """

    shape: Shape
    sources: int
    features: int
    embargo: str = "0d"
    max_staleness: str | None = None
    splits: tuple[tuple[str, str, str], ...] = ()
    primed: Primed = "no"

    def job(self, folder: Path, output: Path, *, threads: int, store: Path | None, renewed: bool = False) -> Job:
        """The case over the files of ``folder``; ``renewed`` takes the other labels."""
        columns = [(source, column) for source in range(self.sources) for column in self.shape.value_columns(source)]
        width = len(columns) // self.features
        features = []
        for number in range(self.features):
            chosen = columns[number * width : (number + 1) * width]
            features.append(
                FeatureJob(
                    name=f"feature_{number}",
                    path=str(folder / f"feature_{chosen[0][0]}.parquet"),
                    keys=self.shape.key_columns,
                    time="updated_at",
                    columns=[column for _, column in chosen],
                    embargo=self.embargo,
                )
            )
        return Job(
            labels=str(folder / ("labels_new.parquet" if renewed else "labels.parquet")),
            label_keys=self.shape.key_columns,
            label_time="label_time",
            target="churned",
            features=features,
            max_lookback="365d",
            max_staleness=self.max_staleness,
            splits={name: [start, end] for name, start, end in self.splits},
            output=str(output),
            compression="zstd",
            compression_level=3,
            threads=threads,
            store=str(store) if store else None,
        )


@dataclass(frozen=True)
class Bar:
    """A required ratio.

    ``faster``: the other's wall time over ours, at least ``limit``. ``memory``: our peak over the
    other's, at most ``limit``. ``slower``: our wall time over that of our own baseline, at most
    ``limit``. ``seconds``: our wall time, at most ``limit``.
    """

    kind: Literal["faster", "memory", "slower", "seconds"]
    limit: float
    peer: str = ""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A case, who runs it, and what it is measured against.

    Attributes:
        title: What it shows, for the table.
        case: The training set.
        peers: Peers that run it unless others are named on the command line.
        baseline: A second case that only we run, in the same rounds.
        baseline_title: Its name in the table.
        bars: Required ratios.
    """

    title: str
    case: Case
    peers: tuple[str, ...] = _DEFAULT
    baseline: Case | None = None
    baseline_title: str = ""
    bars: tuple[Bar, ...] = ()


def _ancestor(labels: int, features: int) -> Case:
    return Case(shape=Shape(labels=labels), sources=features, features=features)


_MILLION = 1_000_000
_1M_X10 = _ancestor(_MILLION, 10)
_HARD = Shape(labels=_MILLION, interleaved=True)
_FIFTY = Shape(labels=_MILLION, values=50)

SCENARIOS: dict[str, Scenario] = {
    "100k_x1": Scenario(title="100k x 1", case=_ancestor(100_000, 1), peers=_SMALL),
    "100k_x10": Scenario(title="100k x 10", case=_ancestor(100_000, 10), peers=_SMALL),
    "100k_x50": Scenario(title="100k x 50", case=_ancestor(100_000, 50), peers=_SMALL),
    "1m_x1": Scenario(title="1M x 1", case=_ancestor(_MILLION, 1)),
    "1m_x10": Scenario(
        title="1M x 10, cold",
        case=_1M_X10,
        bars=(
            Bar("faster", 5.0, "timefence"),
            Bar("faster", 2.5, "duckdb"),
            Bar("memory", 0.5, "timefence"),
            Bar("memory", 0.5, "duckdb"),
        ),
    ),
    "1m_x50": Scenario(title="1M x 50", case=_ancestor(_MILLION, 50)),
    "1m_x10_new_labels": Scenario(
        title="1M x 10, sources cached, new labels",
        case=replace(_1M_X10, primed="other_labels"),
        bars=(Bar("faster", 9.0, "timefence"), Bar("faster", 4.5, "duckdb")),
    ),
    "1m_x10_unchanged": Scenario(
        title="1M x 10, nothing changed",
        case=replace(_1M_X10, primed="same"),
        peers=(OURS,),
        bars=(Bar("seconds", 0.1),),
    ),
    "1m_x10_embargo": Scenario(
        title="1M x 10, embargo 1d",
        case=replace(_1M_X10, embargo="1d"),
        baseline=_1M_X10,
        baseline_title="ours, no embargo",
        bars=(Bar("slower", 1.15),),
    ),
    "1m_x10_staleness": Scenario(title="1M x 10, staleness 30d", case=replace(_1M_X10, max_staleness="30d")),
    "1m_x10_splits": Scenario(
        title="1M x 10, two splits",
        case=replace(
            _1M_X10,
            splits=(("train", "2024-01-01", "2024-07-01"), ("test", "2024-07-01", "2025-01-01")),
        ),
        baseline=_1M_X10,
        baseline_title="ours, no splits",
    ),
    "string_keys": Scenario(
        title="1M x 10, string keys",
        case=replace(_1M_X10, shape=replace(_1M_X10.shape, keys="string")),
        baseline=_1M_X10,
        baseline_title="ours, integer keys",
        bars=(Bar("slower", 1.6),),
    ),
    "one_source_50_columns": Scenario(
        title="1M, 50 columns of one source as 10 features",
        case=Case(shape=_FIFTY, sources=1, features=10),
        baseline=Case(shape=_FIFTY, sources=1, features=1),
        baseline_title="ours, as 1 feature",
        bars=(Bar("slower", 2.0),),
    ),
    "interleaved": Scenario(title="1M x 10, labels among events", case=Case(shape=_HARD, sources=10, features=10)),
    "interleaved_embargo": Scenario(
        title="100k x 3, labels among events, embargo 1d, staleness 90d",
        case=Case(
            shape=replace(_HARD, labels=100_000),
            sources=3,
            features=3,
            embargo="1d",
            max_staleness="90d",
        ),
        peers=_SMALL,
    ),
    "dense_embargo": Scenario(
        title="5k x 1, 100k events of ten entities, embargo 1d",
        case=Case(
            shape=Shape(labels=5_000, events=100_000, entities=10, interleaved=True),
            sources=1,
            features=1,
            embargo="1d",
        ),
        peers=_SMALL,
    ),
    "interleaved_splits": Scenario(
        title="100k x 3, labels among events, two splits",
        case=Case(
            shape=replace(_HARD, labels=100_000),
            sources=3,
            features=3,
            splits=(("train", "2023-01-01", "2023-07-01"), ("test", "2023-07-01", "2024-01-01")),
        ),
        peers=_SMALL,
    ),
    "skewed": Scenario(
        title="1M x 3, Zipf keys",
        case=Case(shape=replace(_HARD, skewed=True), sources=3, features=3),
    ),
    "composite": Scenario(
        title="1M x 3, two key columns",
        case=Case(shape=replace(_HARD, keys="composite"), sources=3, features=3),
        baseline=Case(shape=_HARD, sources=3, features=3),
        baseline_title="ours, one key column",
    ),
    "few_entities": Scenario(
        title="1M x 3, ten entities",
        case=Case(shape=replace(_HARD, entities=10), sources=3, features=3),
    ),
    "wide": Scenario(
        title="100k x 1, 200 unused columns",
        case=Case(shape=Shape(labels=100_000, unused=200), sources=1, features=1),
        peers=_SMALL,
        baseline=_ancestor(100_000, 1),
        baseline_title="ours, no unused columns",
    ),
}
