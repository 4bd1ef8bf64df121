"""A project proposed from a folder of data files.

Takes a folder, gives the data sets in it with what each may be, and the text of a configuration and a feature file.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import timefence_pl as tf
from timefence_pl.cli.suggest import SAMPLE, Profile, look, source_code

__all__ = ["MOST", "DataSet", "Proposal", "audits", "find_data", "propose"]

_SUFFIX: Final = re.compile(
    r"\.(parquet|pq|csv|tsv|ndjson|jsonl|arrow|ipc|feather)(\.(gz|zst|zstd|zlib))?$", re.IGNORECASE
)
_SKIPPED: Final = frozenset({"node_modules", "venv", "env", "site-packages", "__pycache__", "build", "dist"})
_LABELS: Final = frozenset(
    ["label", "labels", "target", "targets", "outcome", "outcomes", "spine", "observations", "cutoffs"]
)
_BUILT: Final = frozenset(["train", "training", "test", "valid", "validation", "dataset", "leaky", "clean"])
#: Names of files that say nothing but that they belong together: their folder's name says more.
_PARTS: Final = frozenset(["part", "parts", "chunk", "shard", "file", "data", "batch"])
_TEMPLATE: Final = """# txns = tf.Source("data/transactions.parquet", keys="user_id", timestamp="created_at")
# amount = tf.Feature(txns, columns="amount", embargo="1d")"""
#: Keys of two names are the same where the source has so many of the labels' values.
_SAME: Final = 0.5
#: At most so many data sets are looked at.
MOST: Final = 40


@dataclass(frozen=True)
class DataSet:
    """One data set of the folder.

    Attributes:
        path: A file, or a glob of files that belong together.
        name: What it is called: a Python name.
        kind: ``"source"``, ``"labels"``, ``"training set"`` or ``"not used"``.
        profile: What is in it; None where it could not be read.
        note: Why it is not used, where it is not.
        key_mapping: ``{label_key: source_key}`` where the names differ.
    """

    path: str
    name: str
    kind: str
    profile: Profile | None
    note: str = ""
    key_mapping: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """A proposed project.

    Attributes:
        data: All data sets found.
        labels: The labels among them, if any.
        config: The text of ``timefence.toml``.
        features: The text of ``features.py``.
    """

    data: tuple[DataSet, ...]
    labels: DataSet | None
    config: str
    features: str


def find_data(folder: Path) -> list[str]:
    """Data files below a folder, numbered ones that belong together as one glob; hidden folders are passed over."""
    groups: dict[tuple[Path, str, str], list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).parts
        found = _SUFFIX.search(file.name)
        if not found or not file.is_file() or any(p.startswith((".", "_")) or p in _SKIPPED for p in inside):
            continue
        stem = re.sub(r"[-_.]?\d[\d_.-]*$", "", file.name[: found.start()])
        groups.setdefault((file.parent, stem, found[0]), []).append(file)
    paths = []
    for (parent, stem, suffix), files in groups.items():
        paths.append(str(files[0]) if len(files) == 1 else str(parent / f"{stem}*{suffix}"))
    return sorted(paths)


def propose(paths: Sequence[str], *, labels: str | None = None, name: str = "my-project") -> Proposal:
    """Look at data sets and propose a project.

    Args:
        paths: Files and globs.
        labels: Which of them are the labels, where that is known.
        name: The project's name.
    """
    given = list(dict.fromkeys([*([labels] if labels else []), *paths]))
    first = [_data_set(p, (), labels) for p in given[:MOST]]
    seen = [[c.name for c in d.profile.columns] for d in first if d.profile is not None]
    likely = {k for d in first if d.profile is not None for k in d.profile.keys}
    shared = {k for k in likely if sum(k in names for names in seen) > 1}
    data = _distinct([_data_set(d.path, shared, labels) if d.profile else d for d in first])
    found = next((d for d in data if d.kind == "labels"), None)
    data = [replace(d, kind="source") if d.kind == "labels" and d is not found else d for d in data]
    data = [d if found is None or d.kind != "source" else _fitted(d, found) for d in data]
    sources = [d for d in data if d.kind == "source"]
    return Proposal(tuple(data), found, _config(name, found), _features(sources, data))


def audits(proposal: Proposal) -> list[list[str]]:
    """For each training set that has values of proposed features, the words of the command that audits those."""
    commands = []
    sources = [d for d in proposal.data if d.kind == "source" and d.profile is not None]
    known = None if proposal.labels is None else proposal.labels.profile
    for d in proposal.data:
        if d.kind != "training set" or d.profile is None or d.profile.timestamp is None:
            continue
        words = ["timefence-pl", "audit", d.path]
        for s in sources:
            found = _columns_of(s, d.profile)
            if found is not None:
                words += ["--features", f"features.py:{s.name}_latest"]
                words += [w for own, theirs in found.items() for w in ("--column", f"{own}={theirs}")]
        if len(words) == 3:
            continue
        if known is None or d.profile.timestamp != known.timestamp:
            words += ["--label-time", d.profile.timestamp]
        if known is None and d.profile.keys:
            words += ["--keys", ",".join(d.profile.keys)]
        commands.append(words)
    return commands


def _columns_of(source: DataSet, profile: Profile) -> dict[str, str] | None:
    """Where a set has the latest values of a source, by the columns of the proposed feature; None where it has not.

    The values stand under their own names or the proposed feature's, which need not be said, or under one other
    feature's, as ``profile__plan``, with the source's data types.
    """
    values = {} if source.profile is None else {v.name: v.dtype for v in source.profile.values}
    there = {c.name: c.dtype for c in profile.columns}
    ours = f"{source.name}_latest"
    if not values:
        return None
    if all(v in there or f"{ours}__{v}" in there for v in values):
        return {}
    first = next(iter(values))
    others = [c.removesuffix(f"__{first}") for c in there if c.endswith(f"__{first}")]
    others = [o for o in others if all(there.get(f"{o}__{v}") == dtype for v, dtype in values.items())]
    return {f"{ours}__{v}": f"{others[0]}__{v}" for v in values} if len(others) == 1 else None


def _data_set(path: str, shared: Any, labels: str | None) -> DataSet:
    stem = Path(path).name
    found = _SUFFIX.search(stem)
    stem = (stem[: found.start()] if found else stem).rstrip("*-_.")
    if not stem or ("*" in path and stem.lower() in _PARTS):
        stem = Path(path).parent.name or stem
    name = _identifier(stem)
    try:
        profile = look(path, shared=shared)
    except tf.TimefenceError as error:
        return DataSet(path, name, "not used", None, str(error).splitlines()[0])
    columns = {c.name for c in profile.columns}
    words = set(re.findall(r"[a-z]+", stem.lower()))
    if path == labels or (labels is None and (words & _LABELS or "label_time" in columns) and not words & _BUILT):
        kind = "labels" if profile.timestamp and not any("__" in c for c in columns) else "training set"
        kind = "labels" if path == labels else kind
        return DataSet(path, name, kind, profile, "" if kind == "labels" else "it looks built already: audit it")
    if words & _BUILT or any("__" in c for c in columns):
        return DataSet(path, name, "training set", profile, "it looks built already: audit it")
    if profile.timestamp is None:
        return DataSet(
            path, name, "not used", profile, "no time column was found: a source must know when a row was true"
        )
    return DataSet(path, name, "source", profile)


def _fitted(d: DataSet, labels: DataSet) -> DataSet:
    """The source with the labels' keys: the same names, or one other name for mostly the same values."""
    assert d.profile is not None  # noqa: S101 - sources and labels were read
    assert labels.profile is not None  # noqa: S101
    keys, wanted = d.profile.keys, labels.profile.keys
    if set(keys) <= set(wanted):
        return d
    if len(keys) == len(wanted) == 1 and _share(labels.profile, d.profile) >= _SAME:
        return replace(d, key_mapping={wanted[0]: keys[0]})
    odd = [k for k in keys if k not in wanted]
    note = f"its key {odd[0]} is none of the labels' keys: see key_mapping"
    return replace(d, kind="not used", note=note)


def _share(labels: Profile, source: Profile) -> float:
    """How many of the labels' key values the source has."""
    import polars as pl  # noqa: PLC0415 - help needs none

    def values(profile: Profile) -> pl.Series:
        options: dict[str, Any] = {} if profile.delimiter is None else {"delimiter": profile.delimiter}
        frame = tf.Source(profile.path, keys=[], timestamp="?", name="data", **options).scan()
        return (
            frame.head(SAMPLE)
            .select(pl.col(profile.keys[0]).drop_nulls().unique())
            .collect(engine="streaming")
            .to_series()
        )

    ours, theirs = values(labels), values(source)
    if ours.dtype.is_integer() != theirs.dtype.is_integer() or not ours.len():
        return 0.0
    return float(ours.cast(pl.String).is_in(theirs.cast(pl.String).implode()).mean() or 0.0)  # type: ignore[arg-type]


def _distinct(data: Sequence[DataSet]) -> list[DataSet]:
    names: set[str] = set()
    made = []
    for d in data:
        name, number = d.name, 2
        while name in names:
            name, number = f"{d.name}_{number}", number + 1
        names.add(name)
        made.append(replace(d, name=name))
    return made


def _identifier(stem: str) -> str:
    name = re.sub(r"\W", "_", stem, flags=re.ASCII).strip("_").lower() or "data"
    return f"data_{name}" if name[0].isdigit() or keyword.iskeyword(name) or name in ("pl", "tf") else name


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _config(name: str, labels: DataSet | None) -> str:
    lines = [f"name = {_text(name)}", 'features = ["features.py"]', 'store = ".timefence"', "", "[labels]"]
    if labels is None or labels.profile is None:
        lines += [
            "# Which rows are to be filled, and as of when? No file looked like labels.",
            '# path = "data/labels.parquet"',
            '# keys = ["user_id"]',
            '# label_time = "label_time"',
            '# target = ["churned"]',
        ]
    else:
        profile = labels.profile
        lines += [f"path = {_text(labels.path)}", f"keys = {_text(list(profile.keys))}"]
        lines.append(f"label_time = {_text(profile.timestamp or 'label_time')}")
        if profile.delimiter is not None:
            lines.append(f"delimiter = {_text(profile.delimiter)}")
        if profile.timestamp_format is not None:
            lines.append(f"timestamp_format = {_text(profile.timestamp_format)}")
        lines.append(f"target = {_text([t for t in profile.targets if t != profile.timestamp])}")
    lines += ["", "[defaults]", 'max_lookback = "365d"', 'join = "strict"', 'on_missing = "null"', ""]
    return "\n".join(lines)


def _features(sources: Sequence[DataSet], data: Sequence[DataSet]) -> str:
    parts: list[str] = []
    for d in sources:
        assert d.profile is not None  # noqa: S101 - sources were read
        parts.append(_source(d, d.profile))
    unused = [d for d in data if d.kind == "not used"]
    if unused:
        parts.append("\n".join(["# Not used:", *(f"# {d.path}: {d.note}" for d in unused)]))
    body = "\n\n".join(parts)
    head = '"""Features as `timefence-pl init` proposes them: a start, to be changed."""\n\n'
    imports = ["import timefence_pl as tf"] if sources else []
    if "pl." in body:
        imports = ["import polars as pl", "", *imports]
    if not sources:
        body = _TEMPLATE + (f"\n\n{body}" if body else "")
        imports = ["import timefence_pl as tf  # noqa: F401"]
    return head + "\n".join(imports) + "\n\n" + body + "\n"


def _source(d: DataSet, profile: Profile) -> str:
    per_key = 0.0
    first = next((c for c in profile.columns if profile.keys and c.name == profile.keys[0]), None)
    if first is not None and first.unique:
        per_key = profile.sampled / first.unique
    known = f"{profile.rows:,} rows" + (f", about {per_key:,.0f} for each {profile.keys[0]}" if per_key else "")
    lines = [f"# {profile.path}: {known}"]
    if profile.duplicates:
        lines.append(
            f"# {profile.duplicates:,} rows have the keys and time of another: see on_duplicate and tie_breaker."
        )
    lines.append(f"{d.name} = {source_code(profile)}")
    values = profile.values
    mapping = f", key_mapping={_text(dict(d.key_mapping))}" if d.key_mapping else ""
    duplicate = ', on_duplicate="keep_last"' if profile.duplicates else ""
    if values:
        names = _text([v.name for v in values])
        lines += [
            "",
            f"{d.name}_latest = tf.Feature({d.name}, columns={names}, name={_text(d.name + '_latest')}{mapping}{duplicate})",
        ]
    times = next(c for c in profile.columns if c.name == profile.timestamp)
    numbers = [v.name for v in values if v.kind == "number"][:3]
    if per_key > 3 and "Int" not in times.dtype:
        aggregates = [
            '"rows": pl.len()',
            *(f"{_text(_identifier(n) + '_sum')}: pl.col({_text(n)}).sum()" for n in numbers),
        ]
        lines += [
            "",
            f"{d.name}_activity = tf.Window(",
            f"    {d.name},",
            f"    {{{', '.join(aggregates)}}},",
            '    windows=["7d", "30d"],',
            f"    name={_text(d.name + '_activity')},",
            *([f"    {mapping[2:]},"] if mapping else []),
            ")",
        ]
    return "\n".join(lines)
