"""Make a feature set: build it, publish it with its fingerprint, and tag the run that made it.

The first of two scripts; ``train_with_fs`` is the second. Run it with ``timefence-pl examples features``, with
``python -m timefence_pl.examples.make_features`` or ``python examples/feature_store/make_features.py``. Run it twice: the
same rows are no new version.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import polars as pl

import timefence_pl as tf

__all__ = ["EXPERIMENT", "FEATURE_SET", "main", "make_features"]

#: The experiment whose runs make feature sets.
EXPERIMENT = "feature-sets"
#: The feature set that they publish.
FEATURE_SET = "iris_features"


def read_iris() -> pl.DataFrame:
    """Return Fisher's iris data: 150 flowers, four measurements in cm, and the species (0, 1, 2)."""
    if find_spec("sklearn") is None:
        raise SystemExit(
            'This example needs scikit-learn, which is not installed: pip install "timefence-pl[examples]"'
        )
    from sklearn.datasets import load_iris  # noqa: PLC0415 - an extra

    iris = load_iris()
    names = [name.removesuffix(" (cm)").replace(" ", "_") for name in iris.feature_names]
    frame = pl.DataFrame(iris.data, schema=names).with_columns(target=pl.Series(iris.target).cast(pl.Int8))
    return frame.with_row_index("flower")


def write_sources(folder: Path) -> tuple[Path, Path]:
    """Write the measurements, each known from time 0 on, and the labels, at time 1, as the raw data of this example."""
    folder.mkdir(parents=True, exist_ok=True)
    iris = read_iris()
    measured, labels = folder / "measurements.parquet", folder / "species.parquet"
    iris.drop("target").with_columns(measured_at=pl.lit(0, pl.Int64)).write_parquet(measured)
    iris.select("flower", "target", asked_at=pl.lit(1, pl.Int64)).write_parquet(labels)
    return measured, labels


def make_features(store: tf.Store, folder: Path) -> tf.FeatureSetVersion:
    """Build the feature set from the raw files in ``folder``, and publish it in a run of its own."""
    with store.start_run(EXPERIMENT) as run:
        print(f"Creating a feature set in run {run.run_id}")
        measured, labels = write_sources(folder)

        flowers = tf.Source(measured, keys="flower", timestamp="measured_at", name="flowers")
        features = [
            tf.Feature(
                flowers, columns=["sepal_length", "sepal_width", "petal_length", "petal_width"], name="measured"
            ),
            tf.Feature(flowers, (pl.col("sepal_length") * pl.col("sepal_width")).alias("sepal_area"), name="area"),
        ]
        result = tf.build(
            tf.Labels(labels, keys="flower", label_time="asked_at", target="target"),
            features,
            output=folder / "iris_features.parquet",
            flatten_columns=True,
            store=store,
        )

        version = store.publish(FEATURE_SET, result, metadata={"target": "target", "unit": "cm"})
        run.set_tags({"latest_feature_set": True})
    return version


def main(argv: Sequence[str] | None = None) -> None:
    """Make and publish the feature set, and print what it is."""
    parser = argparse.ArgumentParser(description="Build and publish the iris feature set.")
    parser.add_argument("--store", type=Path, default=Path(".timefence"), help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=Path("fstore"), help="for the raw data; default: %(default)s")
    given = parser.parse_args(argv)
    version = make_features(tf.Store(given.store), given.folder)
    print(version)


if __name__ == "__main__":
    main()
