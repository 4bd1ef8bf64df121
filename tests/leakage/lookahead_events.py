"""Events with a column of every kind, for look-ahead checks."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import polars as pl

import timefence_pl as tf

START = dt.datetime(2024, 1, 1)


def every_kind(rows: int = 240, users: int = 6, seed: int = 3) -> pl.DataFrame:
    """Events of a few users over six weeks, in time order, several of them at one time here and there."""
    rng = random.Random(seed)
    minutes = sorted(rng.choices(range(60 * 24 * 42), k=rows))
    frame = pl.DataFrame(
        {
            "user": [rng.randrange(users) for _ in minutes],
            "at": [START + dt.timedelta(minutes=m) for m in minutes],
            "x": [rng.choice([None, *(round(rng.gauss(10, 3), 2) for _ in range(9))]) for _ in minutes],
            "y": [rng.uniform(0.1, 0.9) for _ in minutes],
            "n": [rng.randrange(1, 40) for _ in minutes],
            "flag": [rng.random() < 0.5 for _ in minutes],
            "kind": [rng.choice(["apple", "banana", "cherry"]) for _ in minutes],
            "number": [str(rng.randrange(100)) for _ in minutes],
            "lists": [[rng.uniform(0, 1) for _ in range(rng.randrange(1, 4))] for _ in minutes],
        },
        schema_overrides={"at": pl.Datetime("us"), "n": pl.Int64, "lists": pl.List(pl.Float64)},
    )
    at = pl.col("at")
    return frame.with_columns(
        day=at.dt.date(),
        clock=at.dt.time(),
        gap=at - START,
        local=at.dt.replace_time_zone("UTC"),
        stamp=at.dt.to_string("%Y-%m-%d %H:%M:%S"),
        json=pl.struct(a="n").struct.json_encode(),
        hex=pl.lit("00ff"),
        texts=pl.concat_list("kind", "number"),
        flags=pl.concat_list("flag", pl.lit(value=True)),
        arrays=pl.concat_arr("y", pl.col("n").cast(pl.Float64)),
        switches=pl.concat_arr("flag", "flag"),
        names=pl.concat_arr("kind", "number"),
        struct=pl.struct(p="n", q="y"),
        entries=pl.concat_list(pl.struct(key="kind", value="n")),
        bytes=pl.col("kind").cast(pl.Binary),
        raw=pl.lit(b"12345678"),
        cat=pl.col("kind").cast(pl.Categorical),
        mapped=pl.concat_list(pl.struct(key="kind", value="n")).list.to_map(),
    )


def source(frame: pl.DataFrame | None = None, **options: Any) -> tf.Source:
    """The events as a source keyed by user, stamped by ``at``."""
    data = every_kind() if frame is None else frame
    return tf.Source(data, **{"keys": "user", "timestamp": "at", "name": "events", **options})
