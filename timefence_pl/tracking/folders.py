"""Where a published feature set and a run stand.

Takes a layout and checked names, gives paths. Checks each name again: no other becomes part of a path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from timefence_pl.store.layout import Layout
from timefence_pl.store.names import checked_stored_name, is_stored_name
from timefence_pl.tracking.refs import version_number

__all__ = [
    "LOG",
    "RunFolder",
    "SetFolder",
    "experiment_names",
    "folders_in",
    "run_folders",
    "run_ids",
    "set_folders",
    "set_names",
]

#: The file of what a run logged.
LOG = "log.ndjson"

_STAGING = ".publishing-"
_DOOMED = ".deleting-"


@dataclass(frozen=True)
class SetFolder:
    """The folder of one feature set.

    Attributes:
        layout: The store.
        name: The feature set.
    """

    layout: Layout
    name: str

    @property
    def path(self) -> Path:
        """The folder."""
        return self.layout.feature_sets / checked_stored_name("feature set", self.name)

    @property
    def lock(self) -> Path:
        """Held while versions are claimed or deleted, and aliases move."""
        return self.path / ".lock"

    @property
    def state(self) -> Path:
        """Where aliases and tags point."""
        return self.path / "aliases.json"

    @property
    def history(self) -> Path:
        """All moves, oldest first."""
        return self.path / "history.ndjson"

    def version(self, number: int) -> Path:
        """The folder of a version."""
        return self.path / f"v{int(number)}"

    def record(self, number: int) -> Path:
        """A version's record, written last."""
        return self.version(number) / "version.json"

    def data(self, number: int) -> Path:
        """A version's rows, where they were copied."""
        return self.version(number) / "data.parquet"

    def deleted(self, number: int) -> Path:
        """What says that a version was deleted."""
        return self.version(number) / "deleted.json"

    def staging(self, token: str) -> Path:
        """Where a publication in progress stands; its lock tells whether its process lives."""
        return self.path / f"{_STAGING}{token}"

    def stagings(self) -> list[Path]:
        """All publications in progress, abandoned ones included."""
        return [p for p in folders_in(self.path) if p.name.startswith(_STAGING)]

    def claimed(self) -> list[int]:
        """Numbers of all versions that were ever claimed, ascending."""
        found = (version_number(p.name) for p in folders_in(self.path))
        return sorted(n for n in found if n is not None)

    def begun(self) -> bool:
        """Whether a version was ever claimed: the first publication may have been cut off before."""
        return self.state.exists() or bool(self.claimed())


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
        layout: The store.
        experiment: Its experiment.
        run_id: Its id.
    """

    layout: Layout
    experiment: str
    run_id: str

    @property
    def path(self) -> Path:
        """The folder."""
        home = self.layout.runs / checked_stored_name("experiment", self.experiment)
        return home / checked_stored_name("run", self.run_id)

    @property
    def record(self) -> Path:
        """What was known when it began; a run without one does not exist."""
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        """What it logged, in order."""
        return self.path / LOG

    @property
    def alive(self) -> Path:
        """A lock held while it runs."""
        return self.path / ".alive"

    @property
    def artifacts(self) -> Path:
        """Its files."""
        return self.path / "artifacts"

    def artifact(self, name: str) -> Path:
        """One of its files."""
        return self.artifacts / checked_stored_name("artifact", name)

    @property
    def index(self) -> Path:
        """The experiment's summaries of its runs."""
        return self.path.parent / ".index.ndjson"

    @property
    def doomed(self) -> Path:
        """Where it stands while it is deleted."""
        return self.path.with_name(f"{_DOOMED}{self.run_id}")


def set_folders(layout: Layout) -> list[SetFolder]:
    """The folders that are feature sets', by name; in some nothing may have been published yet."""
    names = sorted(p.name for p in folders_in(layout.feature_sets) if is_stored_name(p.name))
    return [SetFolder(layout, name) for name in names]


def set_names(layout: Layout) -> list[str]:
    """All feature sets, by name."""
    return [folder.name for folder in set_folders(layout) if folder.begun()]


def experiment_names(layout: Layout) -> list[str]:
    """All experiments, by name."""
    return sorted(p.name for p in folders_in(layout.runs) if is_stored_name(p.name))


def run_ids(layout: Layout, experiment: str) -> list[str]:
    """Names of the folders in an experiment that could be runs'."""
    home = layout.runs / checked_stored_name("experiment", experiment)
    return [name for name in _folder_names(home) if is_stored_name(name)]


def run_folders(layout: Layout, experiment: str) -> list[RunFolder]:
    """The folders in an experiment that could be runs'."""
    return [RunFolder(layout, experiment, name) for name in run_ids(layout, experiment)]


def folders_in(path: Path) -> list[Path]:
    """The folders in a folder, links left out; none where it is not there."""
    return [path / name for name in _folder_names(path)]


def _folder_names(path: Path) -> Iterator[str]:
    try:
        with os.scandir(path) as entries:
            yield from [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return
