"""The project's configuration: found, read, checked, its paths resolved against the file.

Takes a folder or a file, gives a :class:`Config`. Reads no data and no feature file.

The keys are those of the ancestor's ``timefence.yaml`` and a few more; :data:`KEYS` lists them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from timefence_pl.cli.config_text import Document, read_toml, read_yaml
from timefence_pl.errors import TimefenceConfigError, did_you_mean, did_you_mean_file, listing, message

__all__ = ["FILES", "KEYS", "Config", "LabelsConfig", "config_at", "config_file", "find_config"]

#: Where a configuration is looked for, in this order.
FILES: Final = ("timefence.toml", "pyproject.toml", "timefence.yaml", "timefence.yml")


@dataclass(frozen=True)
class LabelsConfig:
    """The labels, as far as the configuration tells.

    Attributes:
        path: Paths, URIs or globs; empty where not given.
        keys: Key columns; None where not given.
        label_time: The label time column; None where not given.
        target: Target columns; None where not given.
        options: ``format``, ``delimiter``, ``timestamp_format``, as for :class:`timefence_pl.Labels`.
    """

    path: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    label_time: str | None = None
    target: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """A project's configuration; paths are resolved against its file.

    Attributes:
        file: Where it stands; None where there is none.
        name: The project's name.
        version: The project's version.
        data_dir: The folder of the data files: where ``init`` looks.
        features: Feature files, as ``path.py``, globs, or ``path.py:name``.
        labels: The labels.
        defaults: Options of every join: ``max_lookback``, ``max_staleness``, ``join``, ``on_missing``,
            ``flatten_columns``, ``feature_times``, ``purge``.
        store: The store's folder; None to keep none.
        output_dir: The folder that a relative output path starts at.
        output_path: The output, where ``build`` is given none.
        compression: The output's compression.
        splits: Splits by label time.
    """

    file: Path | None = None
    name: str | None = None
    version: str | None = None
    data_dir: Path | None = None
    features: tuple[str, ...] = ()
    labels: LabelsConfig = LabelsConfig()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    store: Path | None = Path(".timefence")
    output_dir: Path | None = None
    output_path: str | None = None
    compression: str | None = None
    splits: Mapping[str, tuple[Any, Any]] | None = None


def config_at(file: Path) -> Config:
    """Read a configuration file: ``.toml`` (``pyproject.toml`` by its table), ``.yaml`` or ``.yml``.

    Raises:
        TimefenceConfigError: If it is missing or malformed, or holds what it cannot.
    """
    if not file.is_file():
        beside = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
        raise TimefenceConfigError(
            message(
                f"There is no configuration file {str(file)!r}. {did_you_mean_file(file.name, beside)}".rstrip(),
                fix="Check the path, or write one with `timefence-pl init`.",
            )
        )
    if file.suffix in (".yaml", ".yml"):
        return _config(read_yaml(file))
    if file.suffix != ".toml":
        raise TimefenceConfigError(
            message(f"{str(file)!r} is not a configuration file.", fix="Give a .toml, .yaml or .yml file.")
        )
    document = read_toml(file)
    if file.name == "pyproject.toml":
        if not _has_table(document):
            raise TimefenceConfigError(
                message(f"{file} has no table [tool.timefence].", fix="Add it, or give another file.")
            )
        document = document.under("tool", "timefence")
        if not isinstance(document.data, dict):
            raise TimefenceConfigError(
                message(f"{file}: tool.timefence is not a table.", fix="Write [tool.timefence].")
            )
    return _config(document)


def find_config(folder: Path) -> tuple[Config, list[str]]:
    """The configuration of a folder, and what there is to warn of; an empty one where the folder has none.

    Raises:
        TimefenceConfigError: If the file is malformed, or holds what it cannot.
    """
    found = config_file(folder)
    if found is None:
        return Config(), []
    others = [n for n in FILES if n != found.name and (folder / n).is_file() and n != "pyproject.toml"]
    warnings = [f"{found} is used; {', '.join(others)} is not read."] if others else []
    return config_at(found), warnings


def config_file(folder: Path) -> Path | None:
    """The configuration file of a folder, if it has one."""
    for name in FILES:
        file = folder / name
        if file.is_file() and (name != "pyproject.toml" or _is_ours(file)):
            return file
    return None


def _is_ours(file: Path) -> bool:
    """Whether a ``pyproject.toml`` is meant for us; one of others may be broken without concerning us."""
    try:
        return _has_table(read_toml(file))
    except TimefenceConfigError:
        if b"tool.timefence" in file.read_bytes():
            raise
        return False


def _has_table(document: Document) -> bool:
    tool = document.data.get("tool")
    return isinstance(tool, dict) and "timefence" in tool


# --- values -----------------------------------------------------------------------------------------------------------


class _Refused(Exception):  # noqa: N818 - never leaves the module
    """A value is not of the kind its key wants; says which kind."""


def _string(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise _Refused("text")


def _text_or_number(value: Any) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise _Refused("text")


def _strings(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) and value.strip():
        return (value,)
    if isinstance(value, list) and all(isinstance(v, str) and v.strip() for v in value):
        return tuple(value)
    raise _Refused("a name or a list of names")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Refused("true or false")


#: The form of durations. That each unit stands once, and what fits the times, is checked where they are used.
_DURATION: Final = re.compile(r"\s*(\d+(w|d|h|m|s|ms|us|ns))+\s*")


def _duration(value: Any) -> str | int | None:
    if value is None or (isinstance(value, str) and value.strip().lower() in ("none", "null")):
        return None
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    calendar = isinstance(value, str) and re.search(r"\d(mo|q|y)\b", value)
    raise _Refused(
        'a duration, as "30d", or "none"'
        + (". Calendar units (mo, q, y) have no fixed length: give days" if calendar else "")
    )


def _one_of(*known: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        value = "null" if value is None and "null" in known else value  # YAML's null, where its text was meant
        if value in known:
            return str(value)
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        raise _Refused(f"one of {listing(known)}" + (f". {hint}" if hint else ""))

    return check


def _store(value: Any) -> str | None:
    if value is False:
        return None
    if isinstance(value, str) and value.strip():
        return value
    raise _Refused("a folder, or false for none")


def _bounds(value: Any) -> tuple[Any, Any]:
    if isinstance(value, list) and len(value) == 2 and all(_is_moment(v) for v in value):
        return value[0], value[1]
    raise _Refused('a start and an end, as ["2024-01-01", "2024-07-01"]')


def _is_moment(value: Any) -> bool:
    """Whether a value is a date, a time (ISO 8601 as text), or a number for integer times."""
    if not isinstance(value, str):
        return isinstance(value, int | date) and not isinstance(value, bool)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


_JOIN: Final[dict[str, Callable[[Any], Any]]] = {
    "max_lookback": _duration,
    "max_staleness": _duration,
    "join": _one_of("strict", "inclusive"),
    "on_missing": _one_of("null", "skip"),
    "flatten_columns": _flag,
    "feature_times": _flag,
    "purge": _duration,
}
#: Every key, with what checks its value; a table of keys where it is a table, None for one with keys of the user's own.
KEYS: Final[dict[str, Any]] = {
    "name": _string,
    "version": _text_or_number,
    "data_dir": _string,
    "features": _strings,
    "labels": {
        "path": _strings,
        "keys": _strings,
        "label_time": _string,
        "target": _strings,
        "format": _string,
        "delimiter": _string,
        "timestamp_format": _string,
    },
    "defaults": _JOIN,
    "store": _store,
    "output": {"dir": _string, "path": _string, "compression": _string},
    "splits": None,
}


def _config(document: Document) -> Config:
    values = _checked(document, document.data, KEYS, ())
    root = document.file.parent
    labels = dict(values.get("labels", {}))
    output = values.get("output", {})
    given: dict[str, Any] = {k: values[k] for k in ("name", "version", "defaults", "splits") if k in values}
    if "data_dir" in values:
        given["data_dir"] = root / values["data_dir"]
    if "store" in values:
        given["store"] = None if values["store"] is None else root / values["store"]
    else:
        given["store"] = root / ".timefence"
    if "dir" in output:
        given["output_dir"] = root / output["dir"]
    return Config(
        file=document.file,
        features=tuple(_resolved(root, f) for f in values.get("features", ())),
        labels=LabelsConfig(
            path=tuple(_resolved(root, p) for p in labels.pop("path", ())),
            keys=labels.pop("keys", None),
            label_time=labels.pop("label_time", None),
            target=labels.pop("target", None),
            options=labels,
        ),
        output_path=output.get("path"),
        compression=output.get("compression"),
        **given,
    )


def _resolved(root: Path, path: str) -> str:
    return path if "://" in path else str(root / Path(path).expanduser())


def _checked(document: Document, data: Any, keys: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in data.items():
        path = (*names, str(key))
        if key not in keys:
            raise TimefenceConfigError(
                message(
                    f"{document.place(*path)}: the key {'.'.join(path)!r} is not known. "
                    f"{did_you_mean(str(key), keys)}".rstrip(),
                    where=f"known{' in ' + '.'.join(names) if names else ''}: {listing(keys, limit=20)}",
                    fix="Correct it, or take it out.",
                )
            )
        check = keys[key]
        if callable(check):
            values[key] = _value(document, path, value, check)
            continue
        table = {} if value is None else value  # a YAML key with nothing under it
        if not isinstance(table, dict):
            raise _wrong(document, path, value, "a table of keys")
        if check is None:
            values[key] = {str(k): _value(document, (*path, str(k)), v, _bounds) for k, v in table.items()} or None
        else:
            values[key] = _checked(document, table, check, path)
    return values


def _value(document: Document, path: tuple[str, ...], value: Any, check: Callable[[Any], Any]) -> Any:
    try:
        return check(value)
    except _Refused as refused:
        raise _wrong(document, path, value, str(refused)) from None


def _wrong(document: Document, path: tuple[str, ...], value: Any, wanted: str) -> TimefenceConfigError:
    said = f"{document.place(*path)}: {'.'.join(path)} = {value!r} is not {wanted}"
    return TimefenceConfigError(message(said if said.endswith("?") else f"{said}.", fix="Correct the value."))
