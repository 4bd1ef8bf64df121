"""One walk over everything that a Python callable reaches.

Takes any object, gives a plain part in which each function, class, own module and global is a numbered node, hashed
once. Numbers follow the order in which the code alone leads to the nodes, so that cycles end and equal code gives
equal numbers. Makes no keys, and knows no plans but by the function it is given for them.
"""

from __future__ import annotations

import collections
import enum
import functools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import polars as pl

from timefence_pl.fingerprint.code import References, code_part, references_of
from timefence_pl.fingerprint.keeps import kept_by_function, kept_by_object
from timefence_pl.fingerprint.keys import Part, Uncacheable
from timefence_pl.fingerprint.origins import (
    Origin,
    is_class,
    is_module,
    module_name,
    named_origin,
    origin_of,
    own_name,
    qualified_name,
)
from timefence_pl.fingerprint.purity import (
    impure_attribute,
    impure_member,
    impure_module,
    impure_object,
    impure_text,
    reads_paths,
)
from timefence_pl.fingerprint.scope import MISSING, Reached, cells_of, class_members, globals_of, imports_of, members_of
from timefence_pl.fingerprint.values import Ref, instance_part, value_part

__all__ = ["Walk"]

_BUILTIN: Final = (types.BuiltinFunctionType, types.MethodWrapperType)
_SLOTTED: Final = (types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType)
_SILENT_SLOTS: Final = (types.MemberDescriptorType, types.GetSetDescriptorType)
_IMMUTABLE: Final = (type(None), bool, int, float, complex, str, bytes, tuple, frozenset, range, slice)
_COMPILED: Final = (".so", ".pyd", ".dll")
_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made while Python runs, so that its name need not lead to it
_MISSING_PART: Final = ("missing",)
_NAMESPACE: Final[Any] = getattr(pl.api, "NameSpace", ())
_code_part = functools.lru_cache(maxsize=2048)(code_part)
_references_of = functools.lru_cache(maxsize=2048)(references_of)


class Walk:
    """The nodes met so far, and those still to be written down.

    Args:
        lazy: Whether the callable only builds a lazy plan that is fingerprinted as well.
        plan_key: The key of a LazyFrame or Expr that code holds.
        tolerant: Whether to pass over what cannot be hashed, and note what is read besides arguments instead of
            refusing it.

    Attributes:
        nodes: For each number a name for people, and the part.
        packages: The installed distributions and their versions.
        names: All names that the user's own code refers to.
        reads: Why what was met reads more than its arguments, where the walk is tolerant.
    """

    def __init__(
        self, *, lazy: bool, plan_key: Callable[[pl.LazyFrame | pl.Expr], str], tolerant: bool = False
    ) -> None:
        self.lazy = lazy
        self.tolerant = tolerant
        self.nodes: dict[int, tuple[str, Part]] = {}
        self.packages: dict[str, str] = {}
        self.names: set[str] = set()
        self.reads: list[str] = []
        self._attributes: set[str] = set()
        self._label = ""
        self._held: list[Any] = []  # objects of the user's own classes
        self._whole: dict[types.ModuleType | str, str] = {}  # installed modules that code holds as they are, and where
        self._plan_key = plan_key
        self._numbers: dict[object, int] = {}
        self._alive: list[Any] = []  # an id is only good while its object lives
        self._queue: collections.deque[tuple[int, str, Callable[[], Part]]] = collections.deque()

    def run(self, value: Any) -> Part:
        """The part of a callable, with all nodes written down.

        Raises:
            Uncacheable: If something it reaches has no defined content, or reads more than its arguments.
        """
        root = self._described(qualified_name(value), lambda: self.part(value))
        while self._queue:
            number, label, build = self._queue.popleft()
            self.nodes[number] = (label, self._described(label, build))
        for module, label in self._whole.items():
            self._described(label, functools.partial(self._judge_module, module))
        for held in self._held:
            self._refuse(kept_by_object(held, self._attributes))
        return root

    def part(self, value: Any) -> Part:
        """The part of any object; functions, classes and own modules become nodes."""
        if not self.tolerant:
            return self._part(value)
        try:
            return self._part(value)
        except Uncacheable:
            return _MISSING_PART

    def _described(self, label: str, build: Callable[[], Part]) -> Part:
        self._label = label
        try:
            return build()
        except Uncacheable as error:
            does = error.reason.removeprefix("it ")
            raise Uncacheable(f"{label} {does}" if does != error.reason else f"{does}, in {label}") from error

    def _part(self, value: Any) -> Part:
        if type(value) is types.FunctionType:
            return self._function(value)
        if is_class(value):
            return self._class(value)
        if is_module(value):
            return self._module(value)
        part = self._special(value)
        if part is None and type(value) not in _IMMUTABLE:
            if id(value) in self._numbers:
                return Ref.to(self._numbers[id(value)])
            self._number(id(value), value)
            if origin_of(type(value)).kind != "own":
                self._check(value, type(value).__qualname__)
            elif self.tolerant:
                self._held.append(value)
        if part is None:
            part = value_part(value, self.part)
        return instance_part(value, self.part) if part is None else part

    def _number(self, key: object, value: Any) -> int:
        self._numbers[key] = len(self._numbers)
        self._alive.append(value)
        return self._numbers[key]

    def _node(self, key: object, value: Any, label: str, build: Callable[[], Part]) -> Ref:
        if key not in self._numbers:
            self._queue.append((self._number(key, value), label, build))
        return Ref.to(self._numbers[key])

    def _named(self, value: Any, origin: Origin) -> Part:
        """What is installed, by name; its package's version is part of the key."""
        self._note(origin)
        return ("named", module_name(value), own_name(value))

    def _note(self, origin: Origin) -> None:
        if origin.kind == "package":
            self.packages[origin.name] = origin.version

    def _check(self, value: Any, name: str) -> None:
        """Refuse what reads more than its arguments; the user's own code is looked into instead."""
        is_data = not callable(value) and type(value).__module__ == "builtins" and "." not in name
        if is_data and not is_module(value):
            return
        self._judged(lambda: impure_object(value, name, lazy=self.lazy))

    def _judged(self, judge: Callable[[], str | None]) -> None:
        """Refuse what is found to read more; objects may raise whatever they like when they are asked who they are."""
        try:
            reason = judge()
        except Exception as error:
            if self.tolerant:
                return
            raise Uncacheable("it holds an object that cannot be looked into") from error
        self._refuse(reason)

    def _refuse(self, reason: str | None) -> None:
        if reason is None:
            return
        if not self.tolerant:
            raise Uncacheable(f"it {reason}")
        self.reads.append(reason)

    def _special(self, value: Any) -> Part | None:
        """Callables that are no functions, descriptors, and Polars plans."""
        kind = type(value)  # exactly: subclasses, and what pretends to be one of these, have state of their own
        if kind is types.MethodType:
            return ("method", self.part(value.__func__), self.part(value.__self__))
        if kind is functools.partial:
            called = (self.part(value.func), self.part(value.args), self.part(value.keywords))
            return ("partial", *called, self.part(vars(value)))
        if kind.__name__ == "_lru_cache_wrapper":
            return ("cached", self.part(value.__wrapped__))
        if kind in _BUILTIN:
            return self._builtin(value)
        if kind in _SLOTTED:
            return ("slot", self.part(value.__objclass__), value.__name__)
        if kind in _SILENT_SLOTS:
            return ("slot", value.__name__)
        if kind in (staticmethod, classmethod):
            return (kind.__name__, self.part(value.__func__))
        if kind is property:
            return ("property", self.part(value.fget), self.part(value.fset), self.part(value.fdel))
        if kind is functools.cached_property:
            return ("property", self.part(value.func))
        if issubclass(kind, pl.LazyFrame | pl.Expr):
            return ("plan", "" if self.tolerant else self._plan_key(value))
        return None

    def _builtin(self, value: Any) -> Part:
        owner = getattr(value, "__self__", None)
        if owner is not None and not is_module(owner):
            self._check(value, f"{type(owner).__name__}.{value.__name__}")
            return ("bound", self.part(owner), value.__name__)
        origin = origin_of(value)
        if origin.kind == "own":
            raise Uncacheable(f"{qualified_name(value)} is compiled code of unknown content")
        self._check(value, f"{module_name(value)}.{value.__name__}")
        return self._named(value, origin)

    def _module(self, module: types.ModuleType) -> Part:
        origin = origin_of(module)
        if origin.kind != "own":
            self._check(module, module.__name__)
            self._whole.setdefault(module, self._label)
            self._note(origin)
            return ("named", module.__name__, "")
        if str(getattr(module, "__file__", "")).endswith(_COMPILED):
            raise Uncacheable(f"{module.__name__} is compiled code of unknown content")
        members = lambda: ("module", tuple((name, self._reached(r)) for name, r in members_of(module)))  # noqa: E731
        return self._node(id(module), module, f"module {module.__name__}", members)

    def _class(self, kind: type) -> Part:
        origin = origin_of(kind)
        if origin.kind != "own" and (named_origin(kind) is not None or not kind.__flags__ & _HEAP_TYPE):
            self._check(kind, f"{kind.__module__}.{kind.__qualname__}")
            return self._named(kind, origin)
        self._note(origin)
        return self._node(id(kind), kind, f"class {qualified_name(kind)}", lambda: self._class_part(kind))

    def _class_part(self, kind: type) -> Part:
        members = class_members(kind)
        values: Part = ()
        if issubclass(kind, enum.Enum):
            values = tuple((name, self.part(member.value)) for name, member in kind.__members__.items())
        bases = tuple(self.part(base) for base in kind.__bases__)
        return (
            "class",
            bases,
            self.part(type(kind)),
            {name: self.part(value) for name, value in members.items()},
            values,
        )

    def _function(self, function: types.FunctionType) -> Part:
        origin = named_origin(function)
        if origin is not None:
            self._check(function, f"{function.__module__}.{function.__qualname__}")
            return self._named(function, origin)
        registry = getattr(function, "registry", None)
        if function.__globals__.get("__name__") == "functools" and isinstance(registry, Mapping):
            return ("singledispatch", self.part(dict(registry)))
        label = f"function {qualified_name(function)}"
        return self._node(id(function), function, label, lambda: self._function_part(function))

    def _function_part(self, function: types.FunctionType) -> Part:
        code, origin = function.__code__, origin_of(function)
        named = {n: v for n, v in vars(function).items() if not (n.startswith("__") and n.endswith("__"))}
        parts: list[Part] = [
            _code_part(code),
            self.part(function.__defaults__),
            {name: self.part(value) for name, value in (function.__kwdefaults__ or {}).items()},
            {name: self.part(value) for name, value in named.items()},
        ]
        found = _references_of(code)
        if origin.kind == "own":
            self._judge(found)
            if self.tolerant:  # elsewhere what is kept is hashed, as all that is held
                self._refuse(kept_by_function(function, found))
            reached = [*globals_of(function, found)]
            if reads_paths((r.value for r in reached), found.attributes):
                self._refuse("reads files that are not inputs of its own")
            parts.append(tuple(self._reached(r) for r in reached))
            imported = tuple((name, self._reached(r)) for name, r in imports_of(function, found))
            parts.append(() if self.tolerant else imported)  # which of them are imported yet says nothing of the code
            parts.append(tuple(self._namespaces(found)))
        else:
            # A function made by installed code: the version says what it does, its closure with what.
            self._note(origin)
        parts.append(tuple((name, self._reached(r)) for name, r in cells_of(function, found)))
        return ("function", tuple(parts))

    def _judge(self, found: References) -> None:
        self.names |= found.attributes | {name for chain in found.chains for name in chain}
        self.names |= {name for i in found.imports for name in (*i.module.split("."), *i.names)}
        self._attributes |= found.attributes | {name for i in found.imports for name in i.names}
        called = {chain[-1] for chain in (*found.chains, *found.free)}
        if "getattr" in called:
            self._attributes |= found.texts
        if found.written:
            self._refuse(f"assigns {', '.join(sorted(found.written))}, which its next call would read")
        self._refuse(impure_attribute(found.attributes, lazy=self.lazy))
        self._refuse(impure_text(found.texts, called, found.attributes))

    def _judge_module(self, module: types.ModuleType | str) -> None:
        """Of a module that is not read off at once, any attribute that code reads anywhere may be read."""
        self._judged(lambda: impure_member(module, self._attributes, lazy=self.lazy))

    def _reached(self, reached: Reached) -> Part:
        """Code that a name leads to is walked on to; any other global of the user's becomes a node of its own."""
        for origin in reached.packages:
            self._note(origin)
        value, module, name = reached.value, reached.module, reached.name
        if value is MISSING:
            if module and not name:  # not imported yet
                self._refuse(impure_module(module))
                self._whole.setdefault(module, self._label)
            return _MISSING_PART
        if reached.space is None:
            if module and not is_module(value):
                self._check(value, f"{module}.{name}")
            return self.part(value)
        if is_module(value) or (callable(value) and type(value) is not functools.partial):
            return self.part(value)
        label = f"global {name}" if module in ("", "__main__") else f"global {module}.{name}"
        return self._node((id(reached.space), name), reached.space, label, lambda: ("global", self.part(value)))

    def _namespaces(self, found: References) -> Iterator[Part]:
        """The user's own namespaces (``pl.api.register_expr_namespace``) among the attributes that the code reads."""
        for name in sorted(found.attributes):
            for kind in (pl.Expr, pl.LazyFrame, pl.DataFrame, pl.Series):
                if isinstance(vars(kind).get(name), _NAMESPACE):
                    yield (kind.__name__, name, self.part(getattr(kind, name)))
