"""Train a model on a published feature set: find it by tag, verify it, train, and link the model to it for good.

The second of two scripts; ``make_features`` is the first. Run it with ``timefence-pl examples train-fs``, with
``python -m timefence_pl.examples.train_with_fs`` or ``python examples/feature_store/train_with_fs.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import timefence_pl as tf
from timefence_pl.examples.make_features import EXPERIMENT

__all__ = ["latest_feature_set", "main", "train"]

MODELS = "production-models"
PARAMS = {"C": 50, "max_iter": 10_000}


def latest_feature_set(store: tf.Store) -> str:
    """Return a reference to what the newest run with the tag published, as ``"iris_features:v1"``.

    Raises:
        SystemExit: There is none.
    """
    found = store.find_runs({"latest_feature_set": True})
    published = [ref for outputs in found["outputs"].to_list() for ref in outputs]
    if not published:
        raise SystemExit(
            f"No feature set to train on in {store.path}: no run of {EXPERIMENT!r} published one. "
            "Run `timefence-pl examples features` first."
        )
    return str(published[0])


def train(store: tf.Store) -> tf.RunRecord:
    """Train on the latest feature set, in a run that is linked to that very version."""
    ref = latest_feature_set(store)
    if find_spec("sklearn") is None:
        raise SystemExit(
            'This example needs scikit-learn, which is not installed: pip install "timefence-pl[examples]"'
        )
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - an extra
    from sklearn.metrics import accuracy_score  # noqa: PLC0415
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    with store.start_run(MODELS, params=PARAMS) as run:
        # Its bytes are compared with its fingerprint here, before any row is read.
        frame = run.use(ref).collect()
        print(f"Training on {ref}: {frame.height} rows, verified")

        x = frame.drop("flower", "asked_at", "target").to_numpy()
        y = frame["target"].to_numpy()
        x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=42)
        model = LogisticRegression(**PARAMS).fit(x_train, y_train)
        accuracy = float(accuracy_score(y_test, model.predict(x_test)))

        run.log_metrics({"accuracy": accuracy})
        run.log_model(model, "model.joblib")
        print(f"Model trained with accuracy: {accuracy:.4f}")
    return run.record()


def main(argv: Sequence[str] | None = None) -> None:
    """Train, and print what the model was made from."""
    parser = argparse.ArgumentParser(description="Train on the published iris feature set.")
    parser.add_argument("--store", type=Path, default=Path(".timefence"), help="default: %(default)s")
    store = tf.Store(parser.parse_args(argv).store)
    record = train(store)
    print()
    print(record.lineage())


if __name__ == "__main__":
    main()
