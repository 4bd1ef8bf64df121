"""A serialized plan in canonical form.

Takes the bytes of ``serialize()``, made a moment ago in this very process, gives plain values in which numbers, cache
ids, paths, frames and functions have given way to what they stand for, and a hash for each part of the plan. Knows no
LazyFrame, and opens only the files that the plan scans.

Nodes, scans and places of functions that are not listed here are refused; expressions are data, and taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from timefence_pl.fingerprint.callables import fingerprint_callable
from timefence_pl.fingerprint.files import FileHasher
from timefence_pl.fingerprint.frames import fingerprint_frame
from timefence_pl.fingerprint.keys import Part, Uncacheable, hash_parts
from timefence_pl.fingerprint.layout import (
    after_header,
    entry_of,
    is_reference,
    output_name,
    read_frame,
    unknown,
    variant_of,
)
from timefence_pl.fingerprint.msgpack import UnknownLayoutError, as_bytes, unpack
from timefence_pl.fingerprint.origins import origin_of_file
from timefence_pl.fingerprint.pickled import column_function, holds_function, plain_function
from timefence_pl.fingerprint.scans import expand, scan_part
from timefence_pl.fingerprint.sql_text import normal_sql

__all__ = ["PlanReader"]

_IPC: Final = b"\xff\xff\xff\xff"
#: Bytes of a 128-bit literal, which begin so too where it is negative; no series is as short.
_INT128: Final = 16
#: Plan nodes that are known, and the fields that hold other nodes.
_NODES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("Filter", "Cache", "Select", "GroupBy", "HStack", "MatchToSchema", "PipeWithSchema"), ("input",)),
    **dict.fromkeys(("Pivot", "Distinct", "Sort", "Slice", "MapFunction"), ("input",)),
    **dict.fromkeys(("Join", "MergeSorted"), ("input_left", "input_right")),
    **dict.fromkeys(("Union", "HConcat"), ("inputs",)),
    "ExtContext": ("input", "contexts"),
    "Gather": ("input", "idxs"),
    "DataFrameScan": (),
    "IR": ("dsl",),  # the same plan, converted already
    "SQL": (),
    "Scan": (),
}
_FRAMES: Final = ("df", "on_columns")
_EXPRESSIONS: Final = ("exprs", "expr", "keys", "aggs", "by_column", "predicates", "predicate")
# Where plain functions stand: reduce and fold, name.map, map_batches of frames, map_groups.
_FUNCTIONS: Final = ("callback", "Map", "function", "apply")
#: Nodes that give what they are given.
_CLEAR: Final = ("Cache", "IR")
_STRIDE: Final = 64
_BINARY: Final = {"left", "op", "right"}


class PlanReader:
    """Makes one decoded plan canonical, and names its parts."""

    def __init__(self, files: FileHasher) -> None:
        self.files = files
        self.parts: dict[str, str] = {}
        self._nodes: list[Any] = []
        self._frames: list[Any] = []
        self._known: dict[tuple[str, int], str] = {}
        self._functions: dict[bytes, str] = {}
        self._steps = 0
        #: Whether nothing was found that another serialization could spell otherwise.
        self.is_fixed = True

    def read(self, data: bytes, *, is_plan: bool) -> Part:
        """The canonical form of a serialized plan or expression."""
        try:
            if is_plan:
                return self._plan(data)
            value, end = unpack(data)
            return self._named("expression", value) if end == len(data) else unknown("more follows the expression")
        except (UnknownLayoutError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise Uncacheable(f"the plan has a layout that is not known ({error})") from error
        except RecursionError as error:
            raise Uncacheable("the plan holds expressions nested too deeply to be read") from error

    def _hash(self, kind: str, *parts: Part) -> str:
        return hash_parts(kind, *parts, algorithm=self.files.algorithm)

    def _plan(self, data: bytes) -> Part:
        content, end = unpack(data, after_header(data))
        if set(content) != {"root", "dataframes", "dsl_plans"} or end != len(data):
            unknown("there is more than nodes and frames")
        self._nodes, self._frames = content["dsl_plans"], content["dataframes"]
        # Inputs stand before what they go into, so that no node is further from known ones than this.
        for number in range(_STRIDE, len(self._nodes), _STRIDE):
            self._node({"idx": number, "version": self._nodes[number]["version"]})
        return self._node(content["root"])

    def _named(self, label: str, value: Any) -> str:
        """An expression, as a part under its output's name."""
        part = self._hash("expression", self._canonical(value))
        self._add(f"{label} {output_name(value)}".rstrip(" :"), part)
        return part

    def _add(self, label: str, value: str) -> None:
        name, copies = label, 1
        while self.parts.get(name, value) != value:
            copies += 1
            name = f"{label} ({copies})"
        self.parts[name] = value

    def _node(self, reference: Any) -> str:
        """The key of a node, given by number or, in unions, as it is."""
        if not is_reference(reference):
            return self._node_key(reference)
        number = reference["idx"]
        if ("node", number) not in self._known:
            self._known["node", number] = self._node_key(entry_of(self._nodes, reference))
        return self._known["node", number]

    def _node_key(self, node: Any) -> str:
        kind, fields = variant_of(node)
        if kind not in _NODES:
            raise Uncacheable(f"the plan has a {kind}, whose content cannot be named")
        below = [self._children(fields[name]) for name in _NODES[kind]]
        if kind in _CLEAR:
            return str(below[0])
        own: dict[str, Part] = {}
        self._steps += 1
        step = f"step {self._steps} {kind}"
        if kind == "Scan":
            fields, named = scan_part(fields, self.files)
            for label, value in named.items():
                self._add(label, value)
        elif kind == "SQL":
            fields = self._sql(fields)
        elif kind == "Distinct":
            options = fields["options"]
            if options["subset"] is not None and options["keep_strategy"] == "Any":
                raise Uncacheable('the plan keeps any of several rows: unique(subset=..., keep="any")')
        for name, value in fields.items():
            if name in _NODES[kind] or (kind, name) == ("DataFrameScan", "schema"):
                continue
            if name in _FRAMES and is_reference(value):
                own[name] = self._frame(value)
            elif name in _EXPRESSIONS and isinstance(value, list):
                own[name] = [self._named(f"{step}:", expression) for expression in value]
            elif name == "function" and isinstance(value, dict) and "OpaquePython" in value:
                own[name] = self._opaque(value["OpaquePython"])
            else:
                own[name] = self._canonical(value, name)
        self._add(step, self._hash("step", kind, own))
        return self._hash("node", kind, own, below)

    def _children(self, value: Any) -> Part:
        return [self._node(v) for v in value] if isinstance(value, list) else self._node(value)

    def _frame(self, reference: Any) -> str:
        number = reference["idx"]
        if ("frame", number) not in self._known:
            (stored,) = entry_of(self._frames, reference)
            key = fingerprint_frame(read_frame(as_bytes(stored)), algorithm=self.files.algorithm).key
            self._known["frame", number] = key
            self._add("frame in memory", key)
        return self._known["frame", number]

    def _sql(self, fields: Mapping[str, Any]) -> dict[str, Part]:
        """A query is only parsed when it runs; its tables come in no order."""
        self.is_fixed = False
        if set(fields) != {"query", "relations", "catalog_tables"} or fields["catalog_tables"]:
            raise Uncacheable("the plan has a SQL query with tables that are not known")
        query, paths = normal_sql(fields["query"])
        found = [path for spelled in paths for path in expand(spelled, as_patterns=True)]
        hashes = self.files.fingerprint(found)
        for label, value in hashes.parts.items():
            self._add(label, value)
        tables = [
            [name, self._node(reference)] for name, reference in sorted(fields["relations"], key=lambda r: str(r[0]))
        ]
        partitions = [[part for part in path.split("/")[:-1] if "=" in part] for path in found]
        return {"query": query, "tables": tables, "files": [hashes.key, partitions]}

    def _opaque(self, fields: Mapping[str, Any]) -> Part:
        rest = {name: self._canonical(value) for name, value in fields.items() if name != "function"}
        return ["python", self._function(as_bytes(fields["function"])), rest]

    def _canonical(self, value: Any, name: str = "") -> Part:
        """A decoded value with all that does not matter taken out; maps keep their order, for columns have one."""
        if isinstance(value, dict):
            return self._canonical_map(value)
        data = as_bytes(value)
        if data is not None:
            return self._canonical_bytes(data, name, written_as_array=type(value) is not bytes)
        if isinstance(value, list):
            found: list[Part] = []
            for member in value:
                found.append(self._canonical(member, name))  # noqa: PERF401 - a comprehension doubles the depth
            return found
        return value

    def _canonical_map(self, value: dict[str, Any]) -> Part:
        if "seed" in value and value["seed"] is None and not _is_plain_rank(value):
            raise Uncacheable("the plan draws random numbers without a seed")
        if len(value) == 1:
            ((kind, fields),) = value.items()
            if kind in ("SubPlan", "Display"):
                raise Uncacheable(f"the plan has an expression {kind}, which is not known")
            if kind == "AnonymousFunction" and isinstance(fields, dict) and isinstance(fields.get("function"), bytes):
                function, facts = column_function(fields["function"])
                key = self._add_function(bytes(fields["function"]), function)
                fields = {**fields, "function": [key, *(self._canonical(fact) for fact in facts)]}
            elif kind == "FfiPlugin" and isinstance(fields, dict) and isinstance(fields.get("lib"), str):
                fields = {**fields, "lib": self._library(fields["lib"])}
            elif kind == "BinaryExpr" and isinstance(fields, dict) and set(fields) == _BINARY:
                return self._chain(value)  # functions of binary columns go by the same name
            return self._hash("variant", kind, self._canonical(fields, kind))
        found: list[Part] = []
        for name, member in value.items():
            found.append((name, self._canonical(member, name)))
        return self._hash("map", found)

    def _chain(self, value: Any) -> str:
        """``a + b + c + ...`` as long as it likes, without going deeper for each."""
        rest: list[Part] = []
        while isinstance(value, dict) and list(value) == ["BinaryExpr"] and set(value["BinaryExpr"]) == _BINARY:
            fields = value["BinaryExpr"]
            rest.append([self._canonical(fields["op"]), self._canonical(fields["right"])])
            value = fields["left"]
        return self._hash("chain", self._canonical(value), rest)

    def _canonical_bytes(self, data: bytes, name: str, *, written_as_array: bool) -> Part:
        if holds_function(data):
            if name not in _FUNCTIONS:
                raise Uncacheable("the plan holds a Python object where none is known")
            return ["python", self._function(data)]
        if not written_as_array and data.startswith(_IPC) and len(data) > _INT128:
            return ["series", fingerprint_frame(read_frame(data), algorithm=self.files.algorithm).key]
        return data

    def _function(self, data: bytes | None) -> str:
        if data is None:
            raise Uncacheable("the plan holds a function in a layout that is not known")
        return self._functions.get(data) or self._add_function(data, plain_function(data))

    def _add_function(self, data: bytes, function: Any) -> str:
        self.is_fixed = False
        if data not in self._functions:
            found = fingerprint_callable(function, files=self.files, algorithm=self.files.algorithm)
            for label, value in found.parts.items():
                self._add(label, value)
            self._functions[data] = found.key
        return self._functions[data]

    def _library(self, path: str) -> Part:
        origin = origin_of_file(path)
        if origin.kind == "package":
            self._add(f"package {origin.name}", origin.version)
            return [origin.name, origin.version, path.replace("\\", "/").rsplit("/", 1)[-1]]
        return self.files.hash(path)


def _is_plain_rank(fields: Mapping[str, Any]) -> bool:
    """Whether these are the fields of a rank that settles ties by anything but chance; all ranks have a seed."""
    options = fields.get("options")
    return isinstance(options, dict) and options.get("method") in ("Average", "Min", "Max", "Dense", "Ordinal")
