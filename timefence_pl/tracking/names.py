"""Moving aliases, making tags, deleting versions.

Takes a layout and references, changes what they name under the set's lock, gives versions. Decides nothing of rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from timefence_pl.errors import InUseError, NotFoundError, TimefenceConfigError, did_you_mean, listing, message
from timefence_pl.store.files import refused_by_file_system, write_whole
from timefence_pl.store.layout import Layout
from timefence_pl.store.locks import locked
from timefence_pl.store.names import checked_stored_name
from timefence_pl.store.records import sealed
from timefence_pl.tracking.aliases import (
    State,
    Unchecked,
    changed,
    commit,
    history,
    moved,
    read_state,
    tagged,
)
from timefence_pl.tracking.folders import SetFolder
from timefence_pl.tracking.refs import checked_alias, parse_ref, version_number
from timefence_pl.tracking.versions import FeatureSetVersion, find_version, known_versions, read_version

__all__ = ["create_tag", "delete_version", "expired_versions", "history_frame", "remove_alias", "set_alias"]

_HISTORY: Final[dict[str, Any]] = {
    "at": pl.Datetime("us", "UTC"),
    "action": pl.String,
    "name": pl.String,
    "from": pl.Int64,
    "to": pl.Int64,
    "build_id": pl.String,
    "run_id": pl.String,
}


def set_alias(layout: Layout, ref: str, alias: str, expected: object) -> FeatureSetVersion:
    """Point an alias at a version.

    Raises:
        AliasConflictError: If it is not where it is expected.
        TagExistsError: If a tag has the name.
        NotFoundError: If there is no such version.
    """
    label = checked_alias("alias", alias)
    at = _expected(expected)

    def change(folder: SetFolder, state: State, number: int) -> State:
        return moved(folder, state, label, number, at)

    return _changed(layout, ref, change)


def create_tag(layout: Layout, ref: str, tag: str) -> FeatureSetVersion:
    """Name a version for ever.

    Raises:
        TagExistsError: If the tag names another version.
        NotFoundError: If there is no such version.
    """
    label = checked_alias("tag", tag)
    return _changed(layout, ref, lambda folder, state, number: tagged(folder, state, label, number))


def remove_alias(layout: Layout, name: str, alias: str) -> None:
    """Remove an alias; versions and tags stay.

    Raises:
        NotFoundError: If there is no such alias.
    """
    folder = SetFolder(layout, checked_stored_name("feature set", name))
    label = checked_alias("alias", alias)
    with _locked(folder):
        state = read_state(folder)
        if label not in state.aliases:
            raise NotFoundError(
                message(
                    f"{folder.name!r} has no alias {label!r}. {did_you_mean(label, state.aliases)}".rstrip(),
                    where=f"aliases: {listing(state.aliases)}; tags: {listing(state.tags)}",
                    fix="Tags stay for ever; name an alias.",
                )
            )
        after = replace(state, aliases={n: v for n, v in state.aliases.items() if n != label})
        commit(folder, state, after, changed(state, after))


def delete_version(
    layout: Layout, ref: str, *, force: bool, users: Callable[[FeatureSetVersion], list[str]]
) -> FeatureSetVersion:
    """Delete a version's rows; its record stays, so that lineage keeps its hashes, and its number is not used again.

    Args:
        layout: The store.
        ref: The version.
        force: Whether to delete it where runs, aliases or tags use it; aliases and tags that point at it go.
        users: Gives the runs that use a version.

    Raises:
        InUseError: If something uses it and ``force`` is not given.
        NotFoundError: If there is no such version.
    """
    if ":" not in str(ref) and "@" not in str(ref):
        parse_ref(ref)
        raise TimefenceConfigError(
            message(f"{ref!r} does not say which version to delete.", fix=f"Name it, as in '{ref}:v1'.")
        )
    folder = SetFolder(layout, parse_ref(ref).name)
    with _locked(folder):
        version = find_version(layout, ref)
        state = read_state(folder)
        named = [f"alias {n}" for n, v in state.aliases.items() if v == version.version]
        named += [f"tag {n}" for n, v in state.tags.items() if v == version.version]
        used = [*(f"run {run}" for run in users(version)), *named]
        if used and not force:
            raise InUseError(
                message(
                    f"{version.ref} is used by {listing(used)}.",
                    why="What was trained on it could no longer be reproduced.",
                    fix="Move the aliases and keep it, or delete it with force=True: its hashes stay in the lineage.",
                ),
                users=used,
            )
        at = datetime.now(UTC).isoformat()
        try:
            # First what says that it is deleted: killed here, nobody finds it, and gc removes the rest.
            write_whole(folder.deleted(version.version), sealed({"at": at, "forced": force, "used_by": used}))
            folder.data(version.version).unlink(missing_ok=True)
        except OSError as error:
            raise refused_by_file_system(error, f"Version {version.ref}") from error
        after = replace(
            state,
            aliases={n: v for n, v in state.aliases.items() if v != version.version},
            tags={n: v for n, v in state.tags.items() if v != version.version},
        )
        commit(folder, state, after, [{"action": "delete", "from": version.version}, *changed(state, after)])
    return version


def history_frame(layout: Layout, name: str) -> pl.DataFrame:
    """A row a change, oldest first.

    Raises:
        NotFoundError: If there is no such feature set.
    """
    folder = SetFolder(layout, checked_stored_name("feature set", name))
    if not folder.state.exists() and not folder.claimed():
        find_version(layout, name)  # says what there is
    rows = [
        {**{k: entry.get(k) for k in _HISTORY}, "at": datetime.fromisoformat(entry["at"])} for entry in history(folder)
    ]
    return pl.DataFrame(rows, schema=_HISTORY)


def expired_versions(
    layout: Layout, name: str, keep: int, users: Callable[[FeatureSetVersion], list[str]]
) -> list[int]:
    """Numbers of versions that may expire: older than the newest ``keep``, without alias, tag or run."""
    folder = SetFolder(layout, name)
    state = read_state(folder)
    older = known_versions(folder)[: -keep or None]
    return [v.version for v in older if not state.of(v.version) and not users(v)]


def _changed(layout: Layout, ref: str, change: Callable[[SetFolder, State, int], State]) -> FeatureSetVersion:
    folder = SetFolder(layout, parse_ref(ref).name)
    with _locked(folder):
        number = find_version(layout, ref).version
        state = read_state(folder)
        after = change(folder, state, number)
        entries = changed(state, after)
        if entries:
            after = commit(folder, state, after, entries)
        return read_version(folder, number, after)


def _locked(folder: SetFolder) -> Any:
    """The set's lock; where there is no such set, none is made."""
    if not os.path.isdir(folder.path):  # noqa: PTH112 - the same, without an error for names with a null
        find_version(folder.layout, folder.name)
    return locked(folder.lock)


def _expected(expected: object) -> int | Unchecked | None:
    if expected is None or isinstance(expected, Unchecked):
        return expected
    if isinstance(expected, FeatureSetVersion):
        return expected.version
    if isinstance(expected, int) and not isinstance(expected, bool) and expected > 0:
        return expected
    number = version_number(str(expected).rpartition(":")[2])
    if number is None:
        raise TimefenceConfigError(
            message(f"expected={expected!r} is not a version.", fix="Give 3, 'v3', a version, or None for no alias.")
        )
    return number
