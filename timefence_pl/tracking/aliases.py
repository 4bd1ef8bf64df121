"""Aliases, which move, and tags, which do not: names of versions.

Takes the folder of a feature set, gives and changes where its names point. The state is one small file, replaced whole
under the set's lock, so that a reader sees the old state or the new one. Each change is first appended to the history
under the number the state will have: entries past the state's number never happened. A state that is lost or damaged
is made again from the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from timefence_pl.errors import (
    AliasConflictError,
    IntegrityError,
    NotFoundError,
    TagExistsError,
    did_you_mean,
    message,
)
from timefence_pl.store.appends import append_line, line_of, read_log
from timefence_pl.store.files import refused_by_file_system, write_whole
from timefence_pl.store.records import sealed, unsealed
from timefence_pl.tracking.folders import SetFolder

__all__ = ["UNCHECKED", "State", "Unchecked", "changed", "commit", "history", "moved", "read_state", "tagged"]


class Unchecked:
    """The type of :data:`UNCHECKED`."""

    def __repr__(self) -> str:
        return "UNCHECKED"


#: An alias moves wherever it is.
UNCHECKED: Final = Unchecked()
_NEEDED: Final = {"sequence", "last", "aliases", "tags"}


@dataclass(frozen=True)
class State:
    """Where the names of a feature set point.

    Attributes:
        sequence: Number of changes so far.
        last: The greatest number of a version that was ever published; one beyond it is half made.
        aliases: Versions by alias.
        tags: Versions by tag.
    """

    sequence: int = 0
    last: int = 0
    aliases: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)

    def of(self, version: int) -> list[str]:
        """The names of a version: aliases, then tags."""
        return [n for names in (self.aliases, self.tags) for n, v in names.items() if v == version]

    def find(self, folder: SetFolder, name: str) -> int:
        """The version that an alias or tag names.

        Raises:
            NotFoundError: If there is no such name.
        """
        number = self.aliases.get(name, self.tags.get(name))
        if number is None:
            known = [*self.aliases, *self.tags]
            shown = ", ".join(f"{n} -> v{v}" for names in (self.aliases, self.tags) for n, v in names.items())
            raise NotFoundError(
                message(
                    f"The feature set {folder.name!r} has no alias or tag {name!r}. {did_you_mean(name, known)}".rstrip(),
                    where=f"it has: {shown or 'none'}",
                    fix="Name a version (name:v1), or set the alias.",
                )
            )
        return number


def read_state(folder: SetFolder) -> State:
    """Where names point now; made again from the history where the file is lost or damaged.

    Raises:
        IntegrityError: If the state is damaged and so is the history.
    """
    try:
        record = unsealed(folder.state.read_bytes())
    except FileNotFoundError:
        return _replayed(folder) if folder.history.exists() else State()
    except OSError as error:
        raise refused_by_file_system(error, f"The aliases of {folder.name}") from error
    if record is None or not record.keys() >= _NEEDED:
        return _replayed(folder)
    aliases, tags = _numbers(record["aliases"]), _numbers(record["tags"])
    return State(int(record["sequence"]), int(record["last"]), aliases, tags)


def commit(folder: SetFolder, before: State, after: State, entries: Sequence[Mapping[str, Any]]) -> State:
    """Make a new state stand, with what happened; the caller holds the lock.

    Args:
        folder: The feature set.
        before: The state that was read under the lock.
        after: Where names are to point.
        entries: What happened, for the history; their time and number are added.

    Raises:
        TimefenceStoreError: If the file system refuses; the old state stands.
    """
    number = before.sequence
    at = datetime.now(UTC).isoformat()
    for entry in entries:
        number += 1
        append_line(folder.history, line_of({"sequence": number, "at": at, **entry}), durable=True)
    after = replace(after, sequence=number)
    record = {
        "sequence": number,
        "last": after.last,
        "aliases": dict(after.aliases),
        "tags": dict(after.tags),
    }
    try:
        write_whole(folder.state, sealed(record, indent=True))
    except OSError as error:
        raise refused_by_file_system(error, f"The aliases of {folder.name}") from error
    return after


def moved(folder: SetFolder, state: State, alias: str, version: int, expected: int | Unchecked | None) -> State:
    """The state with an alias moved.

    Raises:
        AliasConflictError: If the alias is not where it is expected.
        TagExistsError: If a tag has the name.
    """
    at = state.aliases.get(alias)
    if alias in state.tags:
        raise TagExistsError(
            message(
                f"{alias!r} is a tag of {folder.name!r}, at v{state.tags[alias]}.",
                why="Tags never move.",
                fix="Give the alias another name.",
            )
        )
    if not isinstance(expected, Unchecked) and at != expected:
        raise AliasConflictError(
            message(
                f"The alias {alias!r} of {folder.name!r} is not where it was expected.",
                where=f"expected: {_shown(expected)}\nactual:   {_shown(at)}",
                why="Another writer moved it since it was read.",
                fix="Read it again, and decide again.",
            ),
            expected=expected,
            actual=at,
        )
    return replace(state, aliases={**state.aliases, alias: version})


def tagged(folder: SetFolder, state: State, tag: str, version: int) -> State:
    """The state with a tag.

    Raises:
        TagExistsError: If the tag names another version, or an alias has the name.
    """
    known = state.tags.get(tag)
    if (known is not None and known != version) or tag in state.aliases:
        what = f"an alias, at v{state.aliases[tag]}" if known is None else f"a tag, at v{known}"
        raise TagExistsError(
            message(
                f"{tag!r} of {folder.name!r} is {what} already; it cannot be made a tag of v{version}.",
                why="A tag names one version for ever.",
                fix="Choose another name.",
            )
        )
    return replace(state, tags={**state.tags, tag: version})


def changed(before: State, after: State) -> list[dict[str, Any]]:
    """The entries of the history that tell two states apart."""
    entries: list[dict[str, Any]] = []
    for action, old, new in (("alias", before.aliases, after.aliases), ("tag", before.tags, after.tags)):
        entries += [
            {"action": action, "name": name, "from": old.get(name), "to": new.get(name)}
            for name in {**old, **new}
            if old.get(name) != new.get(name)
        ]
    return entries


def history(folder: SetFolder) -> list[dict[str, Any]]:
    """Everything that happened to the names of a feature set, oldest first."""
    last = read_state(folder).sequence
    entries: dict[int, dict[str, Any]] = {}
    for record in read_log(folder.history).records:
        number = record.get("sequence")
        if isinstance(number, int) and number <= last:
            entries[number] = record  # one that was never committed gives way to the next of its number
    return [entries[n] for n in sorted(entries)]


def _replayed(folder: SetFolder) -> State:
    found = read_log(folder.history)
    entries = {r["sequence"]: r for r in found.records if isinstance(r.get("sequence"), int)}
    if found.broken or sorted(entries) != list(range(1, len(entries) + 1)):
        raise IntegrityError(
            message(
                f"Where the aliases of {folder.name!r} point is not known: {folder.state.name} is damaged, and so is "
                f"{folder.history.name}.",
                where=str(folder.path),
                fix=f"Name versions (as in '{folder.name}:v1'), or set the aliases again after removing both files.",
            )
        )
    aliases: dict[str, int] = {}
    tags: dict[str, int] = {}
    last = 0
    for number in sorted(entries):
        entry = entries[number]
        if entry.get("action") == "publish":
            last = max(last, int(entry["to"]))
        names = {"alias": aliases, "tag": tags}.get(str(entry.get("action")))
        if names is None:
            continue
        if entry.get("to") is None:
            names.pop(str(entry.get("name")), None)
        else:
            names[str(entry.get("name"))] = int(entry["to"])
    return State(len(entries), last, aliases, tags)


def _numbers(names: Mapping[str, Any]) -> dict[str, int]:
    return {str(n): int(v) for n, v in names.items()}


def _shown(version: int | None) -> str:
    return "no such alias" if version is None else f"v{version}"
