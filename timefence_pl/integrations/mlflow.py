"""MLflow: a published feature set as an input of an MLflow run.

Takes the plain values of a version, gives MLflow's own objects. Needs ``mlflow`` or ``mlflow-skinny`` (extra
``mlflow``). MLflow keeps 36 characters of a digest, so the full hashes stand in the tags of the input and in the profile.
Its own digest of Polars frames is blind to names, widths, order and units of columns; ours is the content hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from timefence_pl.errors import TimefenceConfigError, message

__all__ = ["DIGEST_LENGTH", "dataset_of", "log_dataset"]

#: As much of a digest as MLflow keeps.
DIGEST_LENGTH: Final = 36
_CONTEXT: Final = "mlflow.data.context"


def dataset_of(version: Mapping[str, Any]) -> Any:
    """An ``mlflow.data.dataset.Dataset``.

    Args:
        version: As :meth:`FeatureSetVersion.to_dict` gives it.

    Raises:
        TimefenceConfigError: If MLflow is not installed.
    """
    _needed()
    from mlflow.data.dataset import Dataset  # noqa: PLC0415 - an extra

    # The classes of this module are made when it is imported, out of sight of type checkers.
    sources: Any = import_module("mlflow.data.sources")
    fingerprint = version["fingerprint"]
    columns = [{"name": name, "type": dtype} for name, dtype in fingerprint["schema"]]
    shape = {
        "num_rows": fingerprint["n_rows"],
        "num_elements": fingerprint["n_rows"] * len(columns),
        "size_bytes": fingerprint["size_bytes"],
        **_hashes(version),
    }

    class FeatureSetDataset(Dataset):  # type: ignore[misc, unused-ignore]
        """A published version of a feature set."""

        def _compute_digest(self) -> str:
            return str(fingerprint["content_hash"]).rpartition(":")[2][:DIGEST_LENGTH]

        @property
        def schema(self) -> Any:
            return columns

        @property
        def profile(self) -> Any:
            return shape

        def to_dict(self) -> dict[str, str]:
            return {
                **super().to_dict(),
                "schema": json.dumps({"columns": columns}),
                "profile": json.dumps(shape),
            }

    return FeatureSetDataset(sources.LocalArtifactDatasetSource(str(version["path"])), name=str(version["name"]))


def log_dataset(version: Mapping[str, Any], *, context: str, run_id: str | None, client: Any) -> Any:
    """Log a version as an input of an MLflow run.

    Args:
        version: As :meth:`FeatureSetVersion.to_dict` gives it.
        context: What it was used for.
        run_id: The run; the active one where None.
        client: An ``MlflowClient``; one of the current tracking URI where None.

    Raises:
        TimefenceConfigError: If MLflow is not installed, there is no run, or MLflow refuses.
    """
    _needed()
    import mlflow  # noqa: PLC0415 - an extra
    from mlflow.entities import DatasetInput, InputTag  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    if run_id is None:
        active = mlflow.active_run()
        if active is None:
            raise TimefenceConfigError(
                message(
                    "There is no active MLflow run to log to.",
                    fix="Call it inside `with mlflow.start_run():`, or give run_id=.",
                )
            )
        run_id = active.info.run_id
    dataset = dataset_of(version)
    tags = {_CONTEXT: context, "timefence.ref": version["ref"]}
    tags |= {f"timefence.{name}": str(value) for name, value in _hashes(version).items()}
    given = DatasetInput(
        dataset=dataset._to_mlflow_entity(),  # noqa: SLF001 - what mlflow.log_input calls
        tags=[InputTag(key=key, value=str(value)) for key, value in tags.items()],
    )
    try:
        (mlflow.MlflowClient() if client is None else client).log_inputs(run_id=run_id, datasets=[given])
    except MlflowException as error:
        raise TimefenceConfigError(
            message(
                f"MLflow does not take {version['ref']} as an input of run {run_id!r}.",
                where=str(error).splitlines()[0],
                fix="Check the run and the tracking URI.",
            )
        ) from error
    return dataset


def _hashes(version: Mapping[str, Any]) -> dict[str, str]:
    fingerprint = version["fingerprint"]
    found = {n: str(fingerprint[n]) for n in ("content_hash", "file_sha256", "schema_hash")}
    return found if version["build"] is None else {**found, "build_id": str(version["build"]["build_id"])}


def _needed() -> None:
    try:
        import mlflow.data.dataset  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise TimefenceConfigError(
            message("MLflow is not installed.", fix='pip install "timefence-pl[mlflow]"')
        ) from error
