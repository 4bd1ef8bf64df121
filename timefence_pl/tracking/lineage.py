"""Lineage: what a run or a feature set was made from, and what was made of it.

Takes a layout and a reference, gives a :class:`Lineage`: run, feature set, build, labels, features, plans, sources,
files. Reads records alone; whether the files are still what they were is what :func:`check` tells.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from timefence_pl.choices import one_of
from timefence_pl.errors import NotFoundError, TimefenceError, message
from timefence_pl.reports.lineage import lineage_html, lineage_page, lineage_svg, lineage_text
from timefence_pl.reports.output import written
from timefence_pl.store.builds import list_builds, read_build
from timefence_pl.store.layout import Layout
from timefence_pl.store.names import is_stored_name
from timefence_pl.tracking.folders import SetFolder, set_names
from timefence_pl.tracking.refs import parse_ref
from timefence_pl.tracking.run_index import summaries
from timefence_pl.tracking.run_records import find_run_folder, read_summary
from timefence_pl.tracking.versions import FeatureSetVersion, find_version, recorded_version

__all__ = ["Lineage", "Node", "resolve", "trace"]

_COLUMNS: Final = {
    "depth": pl.Int64,
    "kind": pl.String,
    "name": pl.String,
    "status": pl.String,
    "hash": pl.String,
    "id": pl.String,
    "parent": pl.String,
}


@dataclass(frozen=True)
class Node:
    """One thing in a lineage.

    Attributes:
        id: What tells it from all others.
        kind: ``"run"``, ``"feature set"``, ``"build"``, ``"labels"``, ``"feature"``, ``"plan"``, ``"source"``,
            ``"file"``, ``"dataset"`` or ``"data"`` (versioned by DVC).
        name: What people call it: a reference, an id, a name, a path.
        status: Of runs, how they ended; ``"missing"`` where a version was deleted or a record is gone, and
            ``"changed"`` where a file had changed before its hash could be taken; else empty.
        hash: With its algorithm; None where there is none.
        details: What else is known of it.
    """

    id: str
    kind: str
    name: str
    status: str
    hash: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class Lineage:
    """What something was made from, or what was made of it.

    Attributes:
        root: The id of what was asked for.
        direction: ``"up"``: towards sources; ``"down"``: towards runs.
        nodes: By id.
        edges: Pairs of ids, from the root on.
    """

    root: str
    direction: str
    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """A tree: ``kind``, ``name``, ``status``, ``hash``, ``id``, ``details`` and ``children``, from the root on.

        The children of what hangs from several nodes stand at the first of them.
        """
        children = self._children()
        tree = self._leaf(self.root)
        waiting: list[tuple[dict[str, Any], tuple[str, ...]]] = [(tree, (self.root,))]
        opened: set[str] = set()
        while waiting:
            leaf, path = waiting.pop()
            # What hangs from a node that several share stands once; a run may have used what it published itself.
            below = [c for c in children.get(leaf["id"], []) if c not in path]
            leaf["children"] = [self._leaf(c) for c in below]
            fresh = [(c, (*path, c["id"])) for c in leaf["children"] if c["id"] not in opened]
            opened.update(c["id"] for c, _ in fresh)
            waiting += fresh[::-1]
        return tree

    def to_frame(self) -> pl.DataFrame:
        """A row a node and edge, in the order of the tree.

        Columns: ``depth``, ``kind``, ``name``, ``status``, ``hash``, ``id``, ``parent``.
        """
        rows = [
            {
                **{n: getattr(self.nodes[i], n) for n in _COLUMNS if n not in ("depth", "parent")},
                "depth": d,
                "parent": p,
            }
            for i, p, d in self._walk()
        ]
        return pl.DataFrame(rows, schema=_COLUMNS)

    def find(self, kind: str) -> list[Node]:
        """All nodes of a kind, in the order of the tree."""
        ids = dict.fromkeys(i for i, _, _ in self._walk())
        return [self.nodes[i] for i in ids if self.nodes[i].kind == kind]

    def to_svg(self) -> str:
        """A drawing."""
        return lineage_svg(self._drawn(), self.edges)

    def to_html(self, path: str | Path | None = None) -> str:
        """A drawing under a heading; as a page of its own it is written to ``path``, if given.

        Raises:
            TimefenceStoreError: If the file cannot be written.
        """
        if path is not None:
            written(self.to_page, path)
        return lineage_html(self._title(), self._drawn(), self.edges)

    def to_page(self) -> str:
        """A page of its own: the drawing, and the same as text below it."""
        return lineage_page(self._title(), self._drawn(), self.edges, self.to_dict())

    def _title(self) -> str:
        name = self.nodes[self.root].name
        return f"What {name} was made from" if self.direction == "up" else f"What was made of {name}"

    def __str__(self) -> str:
        return lineage_text(self.to_dict())

    def __repr__(self) -> str:
        return f"Lineage({self.root!r}, {self.direction!r}, {len(self.nodes)} nodes)"

    def _repr_html_(self) -> str:
        return self.to_html()

    def _children(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for above, below in self.edges:
            found.setdefault(above, []).append(below)
        return found

    def _leaf(self, node: str) -> dict[str, Any]:
        found = self.nodes[node]
        plain = {n: v for n, v in vars(found).items() if n != "details"}
        return {**plain, "details": dict(found.details), "children": []}

    def _walk(self) -> Iterator[tuple[str, str | None, int]]:
        """Each node with the one it hangs from and its depth; what hangs from a node is gone through once."""
        children = self._children()
        waiting: list[tuple[str, str | None, int]] = [(self.root, None, 0)]
        seen: set[str] = set()
        while waiting:
            node, parent, depth = waiting.pop()
            yield node, parent, depth
            if node not in seen:
                seen.add(node)
                waiting += [(c, node, depth + 1) for c in reversed(children.get(node, [])) if c != node]

    def _drawn(self) -> list[dict[str, Any]]:
        deepest: dict[str, int] = {}
        for node, _, depth in self._walk():
            deepest[node] = max(depth, deepest.get(node, 0))
        return [{**vars(self.nodes[node]), "depth": depth} for node, depth in deepest.items()]


def trace(layout: Layout, ref: object, direction: str = "up") -> Lineage:
    """The lineage of a run, a feature set version, a build, or a file.

    Args:
        layout: The store.
        ref: ``"name:v3"`` and the other references to versions; the id of a run or build (``"run:..."`` and
            ``"build:..."`` where both could be meant); the path of a file (``"file:..."``), read by a build or written
            by one, the last where several wrote it.
        direction: ``"up"``: what it was made from; ``"down"``: what was made of it.

    Raises:
        TimefenceConfigError: If the direction is not known.
        NotFoundError: If there is no such thing.
    """
    one_of(direction, ("up", "down"), "direction")
    graph = _Graph(layout)
    kind, found = resolve(layout, ref)
    build = _written_by(layout, found) if kind == "file" else None
    if direction == "up":
        root = graph.file({"path": found}) if kind == "file" else graph.add(kind, found)
        if build is not None:
            graph.edges.append((root, graph.build(build, {})))
        graph.finish()
        return Lineage(root, direction, graph.nodes, tuple(dict.fromkeys(graph.edges)))
    graph.add_all()
    graph.finish()
    if kind == "file":
        roots = [n.id for n in graph.nodes.values() if n.kind == "file" and n.details.get("path") == found]
        roots += [] if build is None else [graph.build(build, {})]
        if not roots:
            raise NotFoundError(
                message(f"Nothing in the store was made from {found!r}.", fix="Give the path as it was read.")
            )
    else:
        roots = [graph.add(kind, found)]
        graph.finish()
    return _below(graph, roots, direction)


def _written_by(layout: Layout, path: str) -> Mapping[str, Any] | None:
    """The last build that wrote a file, as its output or as one of its splits."""
    for manifest in list_builds(layout):
        written = [manifest.get("output"), *(manifest.get("splits") or [])]
        if any(isinstance(one, Mapping) and one.get("path") == path for one in written):
            return manifest
    return None


def resolve(layout: Layout, ref: object) -> tuple[str, Any]:
    """What a reference means: its kind (``"run"``, ``"feature set"``, ``"build"``, ``"file"``), and the thing.

    Raises:
        NotFoundError: If there is no such thing.
    """
    if isinstance(ref, FeatureSetVersion):
        return "feature set", ref
    text = os.fspath(ref) if isinstance(ref, str | os.PathLike) else str(getattr(ref, "run_id", ref))
    prefix, _, rest = text.partition(":")
    if prefix == "run" and rest:
        return "run", read_summary(find_run_folder(layout, rest))[0]
    if prefix == "build" and rest:
        manifest = read_build(layout, rest)
        if manifest is None:
            raise NotFoundError(message(f"There is no build {rest!r}.", fix="List them: store.list_builds()."))
        return "build", manifest
    if prefix == "file" and rest:
        return "file", os.path.abspath(rest)  # noqa: PTH100 - links stay as they are read
    if is_stored_name(text):
        try:
            return "run", read_summary(find_run_folder(layout, text))[0]
        except NotFoundError:
            manifest = read_build(layout, text)
        if manifest is not None:
            return "build", manifest
        if text in set_names(layout) or not os.path.exists(text):  # noqa: PTH110
            return "feature set", find_version(layout, text)
    if os.sep in text or os.path.exists(text):  # noqa: PTH110
        return "file", os.path.abspath(text)  # noqa: PTH100
    if is_stored_name(prefix.partition("@")[0]):
        return "feature set", _version(layout, text)
    return "file", os.path.abspath(text)  # noqa: PTH100


def _version(layout: Layout, text: str) -> FeatureSetVersion:
    """A version; what is recorded of it where it was deleted."""
    try:
        return find_version(layout, text)
    except NotFoundError:
        wanted = parse_ref(text)
        known = None if wanted.version is None else recorded_version(SetFolder(layout, wanted.name), wanted.version)
        if known is None:
            raise
        return known


def _below(graph: _Graph, roots: list[str], direction: str) -> Lineage:
    """The part of a graph above some nodes, turned round."""
    above: dict[str, list[str]] = {}
    for parent, child in dict.fromkeys(graph.edges):
        above.setdefault(child, []).append(parent)
    root = roots[0]
    edges: dict[tuple[str, str], None] = {}
    if len(roots) > 1:  # one file, of several contents over time
        path = graph.nodes[root].name
        root = f"file:{path}"
        graph.nodes[root] = Node(root, "file", path, "", None, {"path": path})
        edges.update({(root, r): None for r in roots})
    waiting, seen = list(roots), set(roots)
    while waiting:
        node = waiting.pop(0)
        for parent in above.get(node, []):
            edges[node, parent] = None
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    kept = {root, *seen}
    return Lineage(root, direction, {i: n for i, n in graph.nodes.items() if i in kept}, tuple(edges))


class _Graph:
    """Nodes and edges from what is made to what it was made from, gathered from records."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        # What is still to be gone through: a chain of runs may be longer than functions may call each other.
        self._waiting: list[Callable[[], None]] = []

    def finish(self) -> None:
        """Go through everything that was found on the way."""
        while self._waiting:
            self._waiting.pop()()

    def add(self, kind: str, found: Any) -> str:
        """What :func:`resolve` found."""
        if kind == "run":
            return self.run(found)
        return self.version(found) if kind == "feature set" else self.build(found, {})

    def add_all(self) -> None:
        """Everything in the store."""
        for summary in summaries(self.layout, None):
            self.run(summary)
        for name in set_names(self.layout):
            folder = SetFolder(self.layout, name)
            for number in folder.claimed():
                version = recorded_version(folder, number)
                if version is not None:
                    self.version(version)
        for manifest in list_builds(self.layout):
            if f"build:{manifest['build_id']}" not in self.nodes:
                self.build(manifest, {})

    def run(self, summary: Mapping[str, Any]) -> str:
        node = f"run:{summary['run_id']}"
        if node in self.nodes:
            return node
        details = {n: summary[n] for n in ("experiment", "name", "params", "metrics", "tags")}
        self._put(node, "run", summary["run_id"], summary["status"], None, details)
        self._waiting.append(lambda: self._inputs(node, summary["inputs"]))
        return node

    def version(self, version: FeatureSetVersion) -> str:
        node = f"feature set:{version.ref}"
        if node in self.nodes:
            return node
        f = version.fingerprint
        gone = SetFolder(self.layout, version.name).deleted(version.version).exists() or not version.path.exists()
        details = {
            "file_sha256": f.file_sha256,
            "content_hash": f.content_hash,
            "n_rows": f.n_rows,
            "schema": dict(f.schema),
            "path": str(version.path),
            "metadata": dict(version.metadata),
        }
        self._put(node, "feature set", version.ref, "missing" if gone else "", f.content_hash, details)
        if version.build is not None:
            self.edges.append((node, self.build(version.build, version.inputs)))
        if version.run_id is not None:
            self._waiting.append(lambda: self.edges.append((node, self._run_by_id(str(version.run_id)))))
        return node

    def build(self, manifest: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
        node = f"build:{manifest['build_id']}"
        output = manifest.get("output") or {}
        details = {"created_at": manifest.get("created_at"), "parameters": manifest.get("parameters"), "output": output}
        known = node in self.nodes
        self._put(
            node,
            "build",
            manifest["build_id"],
            "",
            manifest.get("build_cache_key") or output.get("content_hash"),
            details,
        )
        made_from = inputs or manifest.get("inputs") or {}
        if known or not made_from:
            return node
        labels = f"labels:{manifest['build_id']}"
        self._put(labels, "labels", made_from["labels"]["data"], "", made_from["labels"].get("content_hash"), {})
        self.edges.append((node, labels))
        self.edges += [(labels, self.file(f)) for f in made_from["labels"]["files"]]
        for name, record in made_from["features"].items():
            self._feature(node, manifest, name, record, made_from)
        return node

    def file(self, record: Mapping[str, Any]) -> str:
        path, found = str(record["path"]), record.get("sha256")
        node = f"file:{path}#{found or record.get('mtime_ns', '')}"
        self._put(node, "file", path, "changed" if record.get("changed") else "", found, record)
        return node

    def _feature(
        self, build: str, manifest: Mapping[str, Any], name: str, record: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> None:
        build_id = manifest["build_id"]
        told = manifest.get("features", {}).get(name, {})
        plan_hash = record.get("definition_hash") or told.get("definition_hash")
        feature, plan = f"feature:{build_id}/{name}", f"plan:{build_id}/{name}"
        source = inputs["sources"][record["source"]]
        source_node = f"source:{build_id}/{record['source']}"
        bounds = {n: told.get(n) for n in ("mode", "embargo", "max_lookback", "max_staleness", "output_columns")}
        self._put(feature, "feature", name, "", told.get("cache_key"), bounds)
        self._put(plan, "plan", told.get("mode") or "plan", "", plan_hash, {"reason": record.get("reason")})
        self._put(source_node, "source", source["name"], "", source.get("content_hash"), {"data": source["data"]})
        self.edges += [(build, feature), (feature, plan), (plan, source_node)]
        self.edges += [(source_node, self.file(f)) for f in source["files"]]
        self.edges += [(plan, self.file(f)) for f in record.get("files", [])]

    def _inputs(self, run: str, inputs: Sequence[Mapping[str, Any]]) -> None:
        for given in inputs:
            self._input(run, given)

    def _input(self, run: str, given: Mapping[str, Any]) -> None:
        kind = given.get("kind")
        if kind == "feature set":
            self.edges.append((run, self._version_by_ref(given)))
        elif kind == "run":
            self.edges.append((run, self._run_by_id(str(given["run_id"]))))
        else:
            found = given.get("file_sha256") or given.get("content_hash") or given.get("md5")
            digest = f"md5:{found}" if kind == "dvc" else found
            path = given.get("path")
            if kind == "dataset" and path:
                record = {"path": path, "sha256": digest, "size_bytes": given.get("size_bytes"), "name": given["name"]}
                self.edges.append((run, self.file(record)))
                return
            name = "dataset" if kind == "dataset" else "data"
            node = f"{name}:{path or given.get('name')}#{digest}"
            self._put(node, name, str(path or given.get("name")), "", digest, given)
            self.edges.append((run, node))

    def _version_by_ref(self, given: Mapping[str, Any]) -> str:
        """A version that a run used; what the run recorded of it where the store has nothing any more."""
        folder = SetFolder(self.layout, str(given["name"]))
        version = recorded_version(folder, int(given["version"]))
        if version is not None:
            return self.version(version)
        node = f"feature set:{given['ref']}"
        details = {n: given.get(n) for n in ("file_sha256", "content_hash")}
        self._put(node, "feature set", str(given["ref"]), "missing", given.get("content_hash"), details)
        return node

    def _run_by_id(self, run_id: str) -> str:
        node = f"run:{run_id}"
        if node in self.nodes:
            return node
        try:
            return self.run(read_summary(find_run_folder(self.layout, run_id))[0])
        except TimefenceError:
            self._put(node, "run", run_id, "missing", None, {})
            return node

    def _put(self, node: str, kind: str, name: str, status: str, found: str | None, details: Mapping[str, Any]) -> None:
        self.nodes.setdefault(node, Node(node, kind, name, status, found, details))
