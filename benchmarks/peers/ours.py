"""Our own peer: one ``build`` call."""

from __future__ import annotations

import polars as pl

# The names one by one: they are loaded when they are asked for, and no peer's imports are timed.
from benchmarks.peers.job import Job, run
from timefence_pl import Feature, Labels, Source, Store, __version__, build


def work(job: Job) -> None:
    """Builds the training set; features of one file share their ``Source``."""
    sources = {
        feature.path: Source(feature.path, keys=feature.keys, timestamp=feature.time) for feature in job.features
    }
    features = [
        Feature(
            sources[feature.path],
            pl.col(feature.columns),
            name=feature.name,
            embargo=feature.embargo,
        )
        for feature in job.features
    ]
    labels = Labels(job.labels, keys=job.label_keys, label_time=job.label_time, target=job.target)
    build(
        labels,
        features,
        output=job.output,
        max_lookback=job.max_lookback,
        max_staleness=job.max_staleness,
        splits={name: (start, end) for name, (start, end) in job.splits.items()} or None,
        store=Store(job.store) if job.store else None,
        compression=job.compression,
    )


if __name__ == "__main__":
    run(work, version=f"timefence_pl {__version__}, polars {pl.__version__}")
