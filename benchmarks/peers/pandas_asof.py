"""pandas by hand: ``merge_asof`` feature after feature, with all bounds of the job."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from benchmarks.peers.job import Job, duration, run


def work(job: Job) -> None:
    """Joins feature after feature and writes the output, then each split."""
    pa.set_cpu_count(job.threads)
    result = pd.read_parquet(job.labels).sort_values(job.label_time)
    for group in job.joins():
        first = group[0]
        embargo = duration(first.embargo)
        names = {column: f"{feature.name}__{column}" for feature in group for column in feature.columns}
        events = pd.read_parquet(first.path, columns=[*first.keys, first.time, *names])
        events = events.rename(columns=names).sort_values(first.time)
        result["probe"] = result[job.label_time] - pd.Timedelta(embargo)
        result = pd.merge_asof(
            result,
            events,
            left_on="probe",
            right_on=first.time,
            by=first.keys,
            allow_exact_matches=False,
            tolerance=pd.Timedelta(job.oldest() - embargo),
        ).drop(columns=["probe", first.time])
    outputs = {job.output: result}
    for name, (start, end) in job.splits.items():
        moment = result[job.label_time]
        outputs[job.split_path(name)] = result[(moment >= start) & (moment < end)]
    for path, rows in outputs.items():
        rows.to_parquet(
            path,
            index=False,
            compression=job.compression,
            compression_level=job.compression_level,
        )


if __name__ == "__main__":
    run(work, version=f"pandas {pd.__version__}, pyarrow {pa.__version__}")
