"""The public store: builds and cached features, published feature sets, runs, and how they hang together.

Takes a folder, gives what is in it. A thin face over :mod:`timefence_pl.store` and the modules of this package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from timefence_pl.choices import boolean, shortened
from timefence_pl.definitions.feature_set import Features
from timefence_pl.definitions.labels import Labels
from timefence_pl.durations import DurationLike
from timefence_pl.errors import TimefenceConfigError, message
from timefence_pl.store.base import BuildStore
from timefence_pl.store.upkeep import Garbage, Problem
from timefence_pl.tracking import names, upkeep
from timefence_pl.tracking.aliases import UNCHECKED
from timefence_pl.tracking.checks import CheckReport, Rebuilt, check, rebuild
from timefence_pl.tracking.folders import experiment_names, set_names
from timefence_pl.tracking.importing import ImportReport, import_runelog
from timefence_pl.tracking.lineage import Lineage, trace
from timefence_pl.tracking.origins import made_from, with_manifest
from timefence_pl.tracking.payload import Payload, payload_of, roles_of
from timefence_pl.tracking.publishing import checked_metadata, publish
from timefence_pl.tracking.refs import LATEST
from timefence_pl.tracking.run import Run, active_run, open_run, start_run
from timefence_pl.tracking.run_index import matching, runs_frame, summaries
from timefence_pl.tracking.run_records import RunRecord, find_run_folder, read_run
from timefence_pl.tracking.upkeep import users_of
from timefence_pl.tracking.versions import FeatureSetVersion, find_version, versions_frame

__all__ = ["Store"]


class Store(BuildStore):
    """A folder that keeps builds and the feature frames they were made of, published feature sets, and runs.

    Several processes may use one store at once. Nothing read from it is ever executed, and no file outside it is
    touched, whatever its records say. Names of feature sets, aliases, tags, experiments, artifacts, parameters and
    metrics are 1 to 128 letters, digits, ``_``, ``.`` and ``-``, beginning with a letter or digit. Times are UTC.

    Args:
        path: The folder; made when first used.
        hash: ``"xxh3_128"`` or ``"sha256"``, for everything the store hashes; published feature sets always have
            SHA-256.

    Raises:
        TimefenceConfigError: For an unknown hash, or a path that no folder could have.
        TimefenceStoreError: If a file stands where the folder should be.

    Examples:
        >>> import tempfile, polars as pl, timefence_pl as tf
        >>> store = tf.Store(tempfile.mkdtemp())
        >>> iris = pl.DataFrame({"flower": [1, 2, 3], "petal": [1.4, 4.7, 6.0], "target": [0, 1, 2]})
        >>> store.publish("iris", iris, keys="flower").ref
        'iris:v1'
        >>> with store.start_run("models", params={"C": 50}) as run:
        ...     rows = run.use("iris:latest").collect()
        ...     run.log_metrics({"accuracy": 0.97})
        >>> run.record().inputs[0]["ref"], rows.height
        ('iris:v1', 3)
    """

    # --- feature sets ------------------------------------------------------------------------------------------------

    def publish(
        self,
        name: str,
        data: object,
        *,
        keys: str | Sequence[str] | None = None,
        timestamp: str | None = None,
        aliases: Sequence[str] = (LATEST,),
        metadata: Mapping[str, Any] | None = None,
        copy: bool = True,
        run: Run | None = None,
    ) -> FeatureSetVersion:
        """Publish rows as a version that never changes.

        Equal rows, in whatever order, compression or file, are no new version: the one that ``latest`` points at (the
        newest, where there is no such alias) is given back, and the aliases point at it.

        Args:
            name: The feature set.
            data: A frame, a lazy frame (run now, and held in memory), a :class:`BuildResult`, the path of a file, or
                anything with the Arrow PyCapsule interface. A build brings its plans, its sources and their hashes.
            keys: Key columns; a build's are its labels' by default. ``[]`` for rows whose order is all they have.
            timestamp: The time column, if any; a build's is its label time by default.
            aliases: Aliases that are to point at the version.
            metadata: What to remember with it; anything JSON holds.
            copy: Whether to copy the file into the store. ``False`` refers to a build's Parquet output, or to the
                Parquet file at a path, where it stands: it is checked in the same way, but not protected.
            run: The run that publishes it; by default the one whose ``with`` block this is in.

        Raises:
            InvalidNameError: If a name could not stand in the store.
            TagExistsError: If an alias is the name of a tag.
            IntegrityError: If a build's output is no longer what the build wrote.
            TimefenceError: If the rows cannot be published.
        """
        boolean(copy, "copy")
        if run is not None and not isinstance(run, Run):
            raise TimefenceConfigError(
                message(f"run={shortened(run)} is not a run.", fix="Give what start_run gave, inside its with block.")
            )
        if not isinstance(aliases, str | list | tuple):
            raise TimefenceConfigError(
                message(f"aliases={shortened(aliases)} is no list of names.", fix="Use aliases=['latest'], or [].")
            )
        noted = checked_metadata(metadata)
        payload = with_manifest(payload_of(name, data), self.list_builds)
        named, time = roles_of(payload, keys, timestamp)
        run = active_run(self._layout) if run is None else run
        version = publish(
            self._layout,
            name,
            payload,
            keys=named,
            timestamp=time,
            aliases=[aliases] if isinstance(aliases, str) else list(aliases),
            metadata=noted,
            copy=copy,
            inputs=lambda: self._made_from(payload),
            run_id=None if run is None else run.run_id,
        )
        if run is not None:
            run.log_output(version)
        return version

    def _made_from(self, payload: Payload) -> Mapping[str, Any]:
        with self.hasher("sha256") as hasher:
            return made_from(payload, hasher)

    def get(self, ref: str) -> FeatureSetVersion:
        """A published version; its rows are checked when they are read.

        Args:
            ref: ``"name"`` or ``"name:latest"`` (an alias or tag), ``"name:v3"``, or ``"name@sha256:..."`` (the hash
                of its content or of its file, at least 8 digits).

        Raises:
            InvalidNameError: If it is no reference.
            NotFoundError: If there is no such version.
            IntegrityError: If its record is damaged.
        """
        return find_version(self._layout, ref)

    def feature_sets(self) -> list[str]:
        """Names of all published feature sets."""
        return set_names(self._layout)

    def versions(self, name: str) -> pl.DataFrame:
        """A row a version, oldest first: hashes, rows, aliases and tags (``names``), build, run, ``status``.

        Raises:
            NotFoundError: If there is no such feature set.
        """
        return versions_frame(self._layout, name)

    def history(self, name: str) -> pl.DataFrame:
        """Everything that was published, named or deleted in a feature set, oldest first.

        Columns: ``at`` (UTC), ``action`` (``"publish"``, ``"same content"``, ``"alias"``, ``"tag"``, ``"delete"``),
        ``name`` (of the alias or tag), ``from`` and ``to`` (version numbers), ``build_id``, ``run_id``.

        Raises:
            NotFoundError: If there is no such feature set.
        """
        return names.history_frame(self._layout, name)

    def set_alias(self, ref: str, alias: str, *, expected: object = UNCHECKED) -> FeatureSetVersion:
        """Point an alias at a version.

        Args:
            ref: The version, as in ``"iris:v1"``.
            alias: The alias; made if there is none.
            expected: Where it must be now (``3``, ``"v3"``, a version, or None for nowhere), so that of two writers
                exactly one wins; wherever it is, by default.

        Raises:
            AliasConflictError: If it is elsewhere.
            TagExistsError: If a tag has the name.
            NotFoundError: If there is no such version.
        """
        return names.set_alias(self._layout, ref, alias, expected)

    def remove_alias(self, name: str, alias: str) -> None:
        """Remove an alias of a feature set; its versions stay.

        Raises:
            NotFoundError: If there is no such alias.
        """
        names.remove_alias(self._layout, name, alias)

    def create_tag(self, ref: str, tag: str) -> FeatureSetVersion:
        """Name a version for ever; a tag never moves, and keeps its version from expiring.

        Raises:
            TagExistsError: If the tag names another version, or an alias has the name.
            NotFoundError: If there is no such version.
        """
        return names.create_tag(self._layout, ref, tag)

    def delete(self, ref: str, *, force: bool = False) -> FeatureSetVersion:
        """Delete a version's rows. Its record stays, so that lineage keeps its hashes; its number is not used again.

        Args:
            ref: The version, as in ``"iris:v1"``.
            force: Whether to delete it where runs, aliases or tags use it.

        Raises:
            InUseError: If something uses it.
            NotFoundError: If there is no such version.
        """
        return names.delete_version(self._layout, ref, force=force, users=lambda v: users_of(self._layout, v))

    # --- runs --------------------------------------------------------------------------------------------------------

    def start_run(self, experiment: str, name: str | None = None, params: Mapping[str, Any] | None = None) -> Run:
        """Begin a run, for ``with``.

        Args:
            experiment: What it belongs to; made when first named.
            name: What to call it.
            params: Parameters to begin with.

        Raises:
            InvalidNameError: If a name could not stand in the store.
            TimefenceValidationError: If JSON does not hold a parameter.
        """
        return start_run(self._layout, experiment, name, params)

    def open_run(self, run_id: str) -> Run:
        """A run begun elsewhere, to log to it from this process too; one that has ended takes tags only.

        Raises:
            NotFoundError: If there is no such run.
        """
        return open_run(self._layout, run_id)

    def run(self, run_id: str) -> RunRecord:
        """A run as it is recorded now.

        Raises:
            InvalidNameError: If it is no id.
            NotFoundError: If there is no such run.
        """
        return read_run(find_run_folder(self._layout, run_id))

    def experiments(self) -> list[str]:
        """Names of all experiments."""
        return experiment_names(self._layout)

    def runs(self, experiment: str | None = None, *, where: pl.Expr | None = None) -> pl.DataFrame:
        """A row a run, newest first.

        Args:
            experiment: One experiment; all by default.
            where: Which runs, as an expression over the columns: ``run_id``, ``experiment``, ``name``, ``status``,
                ``started_at``, ``ended_at`` (UTC), ``parent``, ``inputs``, ``outputs``, ``artifacts``, ``error``, and
                ``param_...``, ``metric_...`` (the last value), ``tag_...``.

        Raises:
            NotFoundError: If there is no such experiment.
            TimefenceConfigError: If the expression does not fit the columns.

        Examples:
            >>> import tempfile, polars as pl, timefence_pl as tf
            >>> store = tf.Store(tempfile.mkdtemp())
            >>> for rate in (0.1, 0.2):
            ...     with store.start_run("models", params={"rate": rate}) as run:
            ...         run.log_metrics({"loss": 1 - rate})
            >>> store.runs("models", where=pl.col("metric_loss") < 0.85)["param_rate"].to_list()
            [0.2]
        """
        return upkeep.filtered(runs_frame(summaries(self._layout, experiment)), where)

    def find_runs(self, tags: Mapping[str, Any], *, experiment: str | None = None) -> pl.DataFrame:
        """The runs that have all these tags with these values, newest first; columns as :meth:`runs`.

        Raises:
            NotFoundError: If there is no such experiment.
        """
        return runs_frame(matching(summaries(self._layout, experiment), tags))

    def compare_runs(self, *run_ids: str) -> pl.DataFrame:
        """A row a parameter, metric and input that differs or not, a column a run; values as text.

        Columns: ``kind``, ``name``, ``differs``, then one for each run.

        Raises:
            NotFoundError: If there is no such run.
        """
        return upkeep.compared([self.run(run_id) for run_id in run_ids])

    def delete_run(self, run_id: str, *, force: bool = False) -> None:
        """Delete a run with its artifacts.

        Raises:
            InUseError: If it runs still, or another run uses it, and ``force`` is not given.
            NotFoundError: If there is no such run.
        """
        upkeep.delete_run(self._layout, run_id, force=force)

    def delete_experiment(self, name: str, *, force: bool = False) -> None:
        """Delete an experiment with all its runs.

        Raises:
            InUseError: As :meth:`delete_run`, for any of them; nothing is deleted then.
            NotFoundError: If there is no such experiment.
        """
        upkeep.delete_experiment(self._layout, name, force=force)

    def import_runelog(self, path: str | Path, *, time_zone: str | None = None) -> ImportReport:
        """Bring the runs of a RuneLog store in: experiments, parameters, metrics, tags, artifacts, links.

        Runs keep their ids where these are free. What an earlier import of the same folder brought is left alone. Nothing
        there is changed or run.

        Args:
            path: The folder given to RuneLog's ``get_tracker``.
            time_zone: The zone of the machine that wrote it, as in ``"Europe/Berlin"``, which RuneLog does not note;
                this machine's by default.

        Returns:
            What came, and what was broken: it prints.

        Raises:
            NotFoundError: If there is no RuneLog store.
        """
        return import_runelog(self._layout, path, time_zone)

    # --- lineage ---------------------------------------------------------------------------------------------------

    def lineage(self, ref: object, direction: Literal["up", "down"] = "up") -> Lineage:
        """What something was made from, or what was made of it: a tree that prints, a frame, a dictionary, a drawing.

        Run, feature set version, build, labels and features, plans, sources, files with their SHA-256. From records
        alone: :meth:`check` tells whether the files are still what they were.

        Args:
            ref: A reference to a version (``"iris:v1"``), the id of a run or a build, or the path of a file
                (``"run:..."``, ``"build:..."``, ``"file:..."`` where more than one could be meant).
            direction: ``"up"``: towards sources; ``"down"``: towards runs.

        Raises:
            NotFoundError: If there is no such thing.
        """
        return trace(self._layout, ref, direction)

    def check(self, ref: object, *, features: Features | None = None) -> CheckReport:
        """Which files that a version, or a run's inputs, were made from have changed since; each is read and hashed.

        Args:
            ref: A version or a run; as for :meth:`lineage`.
            features: The features as they are defined now; their definitions are then compared too.

        Raises:
            NotFoundError: If there is no such thing.
        """
        return check(self._layout, ref, features)

    def rebuild(
        self, ref: str, *, labels: Labels | None = None, features: Features | None = None, **options: Any
    ) -> Rebuilt:
        """Make a version again from its record, in memory, and say whether the rows are identical.

        The record of a version that was published from a build holds the definitions as plain values where they hold no
        code: sources and labels in local files, columns, expressions, windows of expressions. Python functions, SQL, lazy
        frames and frames in memory cannot be kept so, since nothing that a store holds is ever run: give the definitions.

        Args:
            ref: The version.
            labels: Its labels, where the record does not hold them.
            features: Its features, where the record does not hold them.
            **options: Options of :func:`build` that are to be others than the record's, as ``store=``.

        Raises:
            TimefenceStoreError: If no build made it, or its definitions are neither in its record nor given.
            TimefenceError: If the sources are gone, or no longer fit.
        """
        return rebuild(self._layout, ref, labels, features, options)

    # --- upkeep ------------------------------------------------------------------------------------------------------

    def gc(
        self,
        *,
        keep_builds: int | None = None,
        max_size: int | None = None,
        older_than: DurationLike | None = None,
        keep_versions: int | None = None,
        dry_run: bool = True,
    ) -> Garbage:
        """Remove what is not needed; only says what it would remove unless ``dry_run=False``.

        What killed processes left is always removed: temporary files, and publications and runs that never began, after
        an hour; versions that were never finished at once. Builds, publications and runs go on meanwhile: a build whose
        cached frames are removed computes them again.

        Args:
            keep_builds: Keep this many newest builds' manifests; all by default. Outputs are never removed.
            max_size: Remove the oldest cached frames until the rest has at most this many bytes.
            older_than: Remove cached frames made longer ago, as in ``"30d"``.
            keep_versions: Keep this many newest versions of each feature set, and all that have an alias or a tag or
                that a run used; all by default.
            dry_run: Only say what would go.
        """
        limits: dict[str, Any] = {"keep_builds": keep_builds, "max_size": max_size, "older_than": older_than}
        return upkeep.collect(self._layout, keep_versions, dry_run=dry_run, **limits)

    def verify(self, *, repair: bool = False) -> list[Problem]:
        """Check everything against its records: cached frames, outputs of builds, published versions, runs' artifacts.

        Args:
            repair: Set damaged frames aside, so that the next build makes them again.

        Returns:
            What is wrong; ``[]`` where nothing is.
        """
        return upkeep.verify_all(self._layout, repair=repair)
