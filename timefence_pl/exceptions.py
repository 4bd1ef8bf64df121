"""The exceptions of the seed's tracker, under the names they have there; all are ours, and carry our messages."""

from timefence_pl.errors import (
    AliasConflictError,
    DvcMismatchError,
    DvcUnsupportedHashError,
    IntegrityError,
    InUseError,
    InvalidNameError,
    NotFoundError,
    TagExistsError,
    TimefenceError,
    TimefenceStoreError,
)

__all__ = [
    "AliasConflictError",
    "ArtifactNotFound",
    "DvcMismatchError",
    "DvcUnsupportedHashError",
    "ExperimentNotFound",
    "InUseError",
    "IntegrityError",
    "InvalidNameError",
    "NoActiveRun",
    "NotFoundError",
    "RunNotFound",
    "TagExistsError",
    "TimefenceError",
    "TimefenceStoreError",
]


class ExperimentNotFound(NotFoundError):  # noqa: N818 - the seed's name
    """There is no such experiment."""


class RunNotFound(NotFoundError):  # noqa: N818 - the seed's name
    """There is no such run."""


class ArtifactNotFound(NotFoundError):  # noqa: N818 - the seed's name
    """There is no such artifact, or file to be one."""


class NoActiveRun(TimefenceStoreError):  # noqa: N818 - the seed's name
    """Something is to be logged outside of any run of this thread."""
