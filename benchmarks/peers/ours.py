"""Our own peer: one ``build`` call."""

from __future__ import annotations

import polars as pl

import timefence_pl as tf
from benchmarks.peers.job import Job, run


def work(job: Job) -> None:
    """Builds the training set; features of one file share their ``Source``."""
    sources = {
        feature.path: tf.Source(feature.path, keys=feature.keys, timestamp=feature.time) for feature in job.features
    }
    features = [
        tf.Feature(
            sources[feature.path],
            pl.col(feature.columns),
            name=feature.name,
            embargo=feature.embargo,
        )
        for feature in job.features
    ]
    labels = tf.Labels(job.labels, keys=job.label_keys, label_time=job.label_time, target=job.target)
    tf.build(
        labels,
        features,
        output=job.output,
        max_lookback=job.max_lookback,
        max_staleness=job.max_staleness,
        splits={name: (start, end) for name, (start, end) in job.splits.items()} or None,
        store=tf.Store(job.store) if job.store else None,
        compression=job.compression,
    )


if __name__ == "__main__":
    ours = getattr(tf, "__version__", "checkout")
    run(work, version=f"timefence_pl {ours}, polars {pl.__version__}")
