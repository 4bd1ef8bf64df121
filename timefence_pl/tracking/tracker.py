"""The seed's tracker: a run that is active, and calls that log to it, over the same runs as the store's.

Takes the folder of a store, gives the calls of RuneLog under their names. Frames are Polars'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from timefence_pl.choices import boolean, shortened
from timefence_pl.errors import NotFoundError, TimefenceStoreError, message
from timefence_pl.exceptions import ArtifactNotFound, ExperimentNotFound, NoActiveRun, RunNotFound
from timefence_pl.tracking.run import Run, active_run
from timefence_pl.tracking.run_records import RunRecord
from timefence_pl.tracking.store import Store

__all__ = ["Tracker", "get_tracker"]

_DEFAULT = "default-experiment"


class Tracker:
    """Calls that log to the active run: the innermost ``with start_run()`` of this thread or task.

    Made by :func:`get_tracker`. Nested runs, and runs of several threads, each get their own values.

    Args:
        store: Where runs are kept.
    """

    def __init__(self, store: Store) -> None:
        #: The store, for everything that the seed has no call for.
        self.store = store

    @contextmanager
    def start_run(self, experiment_name: str = _DEFAULT) -> Iterator[str]:
        """Begin a run, and make it the active one; yields its id.

        Raises:
            InvalidNameError: If the experiment's name could not stand in the store.
        """
        with self.store.start_run(experiment_name) as run:
            yield run.run_id

    @property
    def run(self) -> Run:
        """The active run.

        Raises:
            NoActiveRun: If there is none in this thread.
        """
        run = active_run(self.store.layout)
        if run is None:
            raise NoActiveRun(
                message(
                    "There is no active run in this thread.",
                    fix='Log inside `with tracker.start_run(experiment_name="..."):`; each thread begins its own.',
                )
            )
        return run

    def log_param(self, key: str, value: Any) -> None:
        """Keep a parameter of the active run; anything JSON holds."""
        self.run.log_param(key, value)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Keep parameters of the active run."""
        self.run.log_params(params)

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """Keep a metric of the active run."""
        self.run.log_metric(key, value, step=step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep metrics of the active run."""
        self.run.log_metrics(metrics, step=step)

    def log_artifact(self, local_path: str | Path) -> None:
        """Keep a copy of a file with the active run.

        Raises:
            ArtifactNotFound: If there is no such file.
        """
        with _as(ArtifactNotFound):
            self.run.log_artifact(local_path)

    def log_model(self, model: Any, name: str) -> None:
        """Keep a model with the active run; it is never loaded again by the store."""
        with _as(ArtifactNotFound):
            self.run.log_model(model, name)

    def log_dataset(self, data_path: object, name: str) -> None:
        """Link a file, or a frame, to the active run by its SHA-256.

        Raises:
            ArtifactNotFound: If there is no such file.
        """
        with _as(ArtifactNotFound):
            self.run.log_dataset(data_path, name)

    def log_dvc_input(self, data_path: str | Path, name: str) -> None:
        """Link data that DVC versions to the active run, checked against its real bytes.

        Raises:
            DvcMismatchError: If the data is not what its ``.dvc`` file says.
            ArtifactNotFound: If there is no such data or ``.dvc`` file.
        """
        with _as(ArtifactNotFound):
            self.run.log_dvc_input(data_path, name)

    def log_input_run(self, name: str, run_id: str, artifact_name: str | None = None) -> None:
        """Link another run, and one of its artifacts by its hash, to the active run.

        Raises:
            RunNotFound: If there is no such run.
            ArtifactNotFound: If it has no such artifact.
        """
        self.get_run(run_id)
        with _as(ArtifactNotFound):
            self.run.log_input_run(name, run_id, artifact_name)

    def set_run_tags(self, tags: Mapping[str, Any]) -> None:
        """Set the tags of the active run, instead of those it has."""
        self.run.set_tags(tags, replace=True)

    def get_run_tags(self) -> dict[str, Any]:
        """The tags of the active run."""
        return dict(self.run.record().tags)

    def get_run(self, run_id: str) -> RunRecord:
        """A run as it is recorded.

        Raises:
            RunNotFound: If there is no such run.
        """
        with _as(RunNotFound):
            return self.store.run(run_id)

    def load_results(
        self, experiment_name_or_id: str, sort_by: str | None = None, *, ascending: bool = True
    ) -> pl.DataFrame:
        """A row a run of an experiment: ``run_id``, ``experiment``, ``status``, ``start_time``, ``end_time`` (UTC),
        parameters as ``param_...``, metrics and tags under their own names (tags as ``tag_...``); newest first.

        Args:
            experiment_name_or_id: The experiment.
            sort_by: A column to sort by.
            ascending: Whether the least comes first, where ``sort_by`` is given.

        Raises:
            ExperimentNotFound: If there is no such experiment.
        """  # noqa: D205 - one sentence
        with _as(ExperimentNotFound):
            frame = self.store.runs(experiment_name_or_id)
        fixed = {"started_at": "start_time", "ended_at": "end_time"}
        metrics = {c: c.removeprefix("metric_") for c in frame.columns if c.startswith("metric_")}
        metrics = {c: name for c, name in metrics.items() if name not in {*frame.columns, *fixed.values()}}
        frame = frame.rename({**fixed, **metrics})
        boolean(ascending, "ascending")
        if sort_by is None:
            return frame
        if not isinstance(sort_by, str) or sort_by not in frame.columns:
            raise TimefenceStoreError(
                message(
                    f"The results have no column {shortened(sort_by)}.",
                    where=f"columns: {', '.join(frame.columns)}",
                    fix="Sort by a column that they have.",
                )
            )
        return frame.sort(sort_by, descending=not ascending, nulls_last=True)

    def list_experiments(self) -> list[dict[str, str]]:
        """All experiments, as ``experiment_id`` and ``name``, which are the same here."""
        return [{"experiment_id": name, "name": name} for name in self.store.experiments()]

    def download_artifact(self, run_id: str, artifact_name: str, destination_path: str | Path = ".") -> str:
        """Copy an artifact of a run, checked against the hash it was logged with.

        Returns:
            The copy's absolute path.

        Raises:
            RunNotFound: If there is no such run.
            ArtifactNotFound: If it has no such artifact.
            IntegrityError: If its bytes changed since.
        """
        run = self.get_run(run_id)
        with _as(ArtifactNotFound):
            return str(run.download_artifact(artifact_name, destination_path))

    def __repr__(self) -> str:
        return f"Tracker({str(self.store.path)!r})"


def get_tracker(path: str | Path = ".timefence") -> Tracker:
    """The tracker of a store, with the calls of RuneLog.

    Args:
        path: The store's folder; made when first used.

    Examples:
        >>> import tempfile, timefence_pl as tf
        >>> tracker = tf.get_tracker(tempfile.mkdtemp())
        >>> with tracker.start_run(experiment_name="models") as run_id:
        ...     tracker.log_param("C", 50)
        ...     tracker.log_metric("accuracy", 0.97)
        >>> tracker.load_results("models").select("status", "param_C", "accuracy").rows()
        [('FINISHED', 50, 0.97)]
    """
    return Tracker(Store(path))


@contextmanager
def _as(kind: type[NotFoundError]) -> Iterator[None]:
    """What is not found, under the seed's name for it."""
    try:
        yield
    except NotFoundError as error:
        if isinstance(error, kind):
            raise
        raise kind(str(error)) from error
