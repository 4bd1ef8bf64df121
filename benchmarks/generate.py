"""Makes the benchmarks' Parquet files: the ancestor's own data, and harder variants of it.

The ancestor shape repeats ``generate_data`` of Timefence 0.9.1's ``benchmarks/bench.py``: label
``i`` of ``n`` belongs to entity ``i % n_entities`` and lies ``i / n`` through 2024-01-01; event
``i`` of ``2 n`` likewise through 2023-01-01, with one uniform value. Every event is thus older than
every label, labels match their entity's last event, and none is older than a lookback of 365 days
(one lies exactly on that closed bound). Files have DuckDB's row-group size and compression, as the
ancestor's have.

The other shapes spread events and labels over the same year. All numbers come from SplitMix64 of
the row's position, computed by Polars, so that every machine and every Polars version makes the
same files.

Example:
    ``python -m benchmarks.generate data --labels 1000000 --sources 10``
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

#: Part of each data folder's name: a change of the generator never meets old files.
FORMAT = 1
#: DuckDB's default, which the ancestor's generator leaves in place.
ROW_GROUP_SIZE = 122_880
#: The ancestor's floor for the number of entities.
LEAST_ENTITIES = 1_000
ENTITIES_PER_LABEL = 5
EVENTS_PER_LABEL = 2
DAY_US = 86_400_000_000
YEAR_US = 365 * DAY_US
ZIPF_EXPONENT = 1.1
ITEMS_PER_USER = 10

Keys = Literal["int", "string", "composite"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One data set: labels, and as many sources as are asked for.

    Attributes:
        labels: Label rows.
        events: Rows of each source; twice the labels when ``None``.
        entities: Distinct keys; a fifth of the labels, 1,000 at least, when ``None``.
        interleaved: Events and labels over the same year, entities drawn at random, instead of the
            ancestor's two days.
        skewed: Entities drawn by Zipf's law with exponent 1.1 (with ``interleaved``).
        keys: ``int`` as the ancestor's, ``string`` the same entities as text, ``composite`` as two
            integer columns.
        values: Value columns of a source.
        unused: Further columns that no feature reads.
    """

    labels: int
    events: int | None = None
    entities: int | None = None
    interleaved: bool = False
    skewed: bool = False
    keys: Keys = "int"
    values: int = 1
    unused: int = 0

    @property
    def event_rows(self) -> int:
        """Rows of each source."""
        return self.labels * EVENTS_PER_LABEL if self.events is None else self.events

    @property
    def entity_count(self) -> int:
        """Distinct entities."""
        if self.entities is not None:
            return self.entities
        return max(LEAST_ENTITIES, self.labels // ENTITIES_PER_LABEL)

    @property
    def key_columns(self) -> list[str]:
        """The entity key columns of labels and sources."""
        return ["user_id", "item_id"] if self.keys == "composite" else ["user_id"]

    @property
    def folder(self) -> str:
        """A folder name that tells every parameter."""
        parts = [
            f"labels{self.labels}",
            f"events{self.event_rows}",
            f"entities{self.entity_count}",
            "interleaved" if self.interleaved else "ancestor",
            *(["skewed"] if self.skewed else []),
            self.keys,
            f"values{self.values}",
            f"unused{self.unused}",
            f"v{FORMAT}",
        ]
        return "-".join(parts)

    def value_columns(self, source: int) -> list[str]:
        """The value columns of one source, numbered across sources as the ancestor's are."""
        return [f"val_{source * self.values + column}" for column in range(self.values)]


def _random(index: pl.Expr, stream: int) -> pl.Expr:
    """SplitMix64 of ``index`` within a stream, as UInt64 (wrapping arithmetic)."""

    def lit(value: int) -> pl.Expr:
        return pl.lit(value % 2**64, dtype=pl.UInt64)

    def xor_shift(value: pl.Expr, bits: int) -> pl.Expr:
        return value ^ (value // lit(2**bits))

    mixed = index.cast(pl.UInt64) * lit(0x9E3779B97F4A7C15) + lit((stream + 1) * 0xD1342543DE82EF95)
    mixed = xor_shift(mixed, 30) * lit(0xBF58476D1CE4E5B9)
    mixed = xor_shift(mixed, 27) * lit(0x94D049BB133111EB)
    return xor_shift(mixed, 31)


def _uniform(index: pl.Expr, stream: int) -> pl.Expr:
    """Uniform in [0, 1) with 53 random bits: like the ancestor's, the values do not compress."""
    return (_random(index, stream) // 2**11).cast(pl.Float64) / 2.0**53


def _entity(shape: Shape, index: pl.Expr, stream: int) -> pl.Expr:
    if not shape.interleaved:
        return index % shape.entity_count
    uniform = _uniform(index, stream)
    if not shape.skewed:
        return (uniform * shape.entity_count).cast(pl.Int64)
    # The inverse distribution function of a Zipf law made continuous over [1, n + 1).
    power = 1.0 - ZIPF_EXPONENT
    largest = float(shape.entity_count + 1) ** power
    rank: pl.Expr = (uniform * (largest - 1.0) + 1.0).pow(1.0 / power)
    return rank.cast(pl.Int64) - 1


def _key_exprs(shape: Shape, entity: pl.Expr) -> list[pl.Expr]:
    if shape.keys == "string":
        return [pl.format("user_{}", entity.cast(pl.String).str.zfill(7)).alias("user_id")]
    if shape.keys == "composite":
        return [
            (entity // ITEMS_PER_USER).alias("user_id"),
            (entity % ITEMS_PER_USER).alias("item_id"),
        ]
    return [entity.alias("user_id")]


def _instant(year: int, microseconds: pl.Expr) -> pl.Expr:
    return pl.datetime(year, 1, 1, time_unit="us") + microseconds.cast(pl.Duration("us"))


def _positions(rows: int) -> pl.LazyFrame:
    return pl.LazyFrame({"i": pl.int_range(1, rows + 1, eager=True)})


def labels_frame(shape: Shape, *, renewed: bool = False) -> pl.LazyFrame:
    """Makes the labels: keys, ``label_time``, ``churned``.

    Args:
        shape: The data set.
        renewed: Other label times for the same entities, for runs that find their sources cached.
    """
    i = pl.col("i")
    if shape.interleaved:
        # Not in time order, as labels drawn from several tables are not.
        moment = _instant(
            2023,
            (_uniform(i, 2 if renewed else 1) * YEAR_US).cast(pl.Int64),
        )
    else:
        shifted = i - 0.5 if renewed else i
        moment = _instant(2024, (shifted * DAY_US / shape.labels).round().cast(pl.Int64))
    return _positions(shape.labels).select(
        *_key_exprs(shape, _entity(shape, i, 3)),
        moment.alias("label_time"),
        (i % 2 == 0).alias("churned"),
    )


def source_frame(shape: Shape, source: int) -> pl.LazyFrame:
    """Makes one source in time order: keys, ``updated_at`` (unique), values, unused columns."""
    i = pl.col("i")
    rows = shape.event_rows
    stream = 1_000 * (source + 1)
    if shape.interleaved:
        slot = YEAR_US // rows
        offset = (_uniform(i, stream + 1) * slot).cast(pl.Int64)
        moment = _instant(2023, (i - 1) * slot + offset)
    else:
        moment = _instant(2023, (i * DAY_US / rows).round().cast(pl.Int64))
    return _positions(rows).select(
        *_key_exprs(shape, _entity(shape, i, stream + 2)),
        moment.alias("updated_at"),
        *[_uniform(i, stream + 3 + position).alias(name) for position, name in enumerate(shape.value_columns(source))],
        *[_uniform(i, stream + 500 + k).alias(f"unused_{k}") for k in range(shape.unused)],
    )


def _write(frame: pl.LazyFrame, path: Path) -> None:
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    frame.collect().write_parquet(partial, compression="snappy", row_group_size=ROW_GROUP_SIZE)
    partial.rename(path)


def generate(shape: Shape, root: Path, *, sources: int, renewed: bool = False) -> Path:
    """Writes what is missing of a data set below ``root`` and returns its folder.

    Args:
        shape: The data set.
        root: Where data sets lie; each has a folder named by its parameters.
        sources: Number of ``feature_{i}.parquet`` files.
        renewed: Also ``labels_new.parquet``.
    """
    folder = root / shape.folder
    folder.mkdir(parents=True, exist_ok=True)
    _write(labels_frame(shape), folder / "labels.parquet")
    if renewed:
        _write(labels_frame(shape, renewed=True), folder / "labels_new.parquet")
    for source in range(sources):
        _write(source_frame(shape, source), folder / f"feature_{source}.parquet")
    return folder


def main() -> None:
    """Writes one data set and prints its folder."""
    parser = argparse.ArgumentParser(description="Write one data set and print its folder.")
    parser.add_argument("root", type=Path)
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--events", type=int)
    parser.add_argument("--entities", type=int)
    parser.add_argument("--interleaved", action="store_true")
    parser.add_argument("--skewed", action="store_true")
    parser.add_argument("--keys", choices=["int", "string", "composite"], default="int")
    parser.add_argument("--values", type=int, default=1)
    parser.add_argument("--unused", type=int, default=0)
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--renewed", action="store_true", help="also write labels_new.parquet")
    options = vars(parser.parse_args())
    root, sources, renewed = (options.pop(name) for name in ("root", "sources", "renewed"))
    print(generate(Shape(**options), root, sources=sources, renewed=renewed))


if __name__ == "__main__":
    main()
