import datetime as dt
import enum
import functools
import io
import sqlite3
import sys
import threading

import numpy as np
import polars as pl
import pytest

from tests.fingerprint.modules import project
from timefence_pl.fingerprint import Uncacheable, fingerprint_callable, names_used, reached_state, read_besides

# Each module makes its callable by make(); helpers stands beside it.
BASE = {
    "features": """
        import functools
        import helpers
        import pack.deep
        from helpers import Scaler, shift

        FACTOR = 2
        NAMES = ["a", "b"]
        TABLE = {"low": 1, "high": 2}
        BOUND = functools.partial(shift, by=4)

        class Local:
            RATE = 3

            def __init__(self, start):
                self.start = start

            def __call__(self, x):
                return self.move(x) * self.RATE

            def move(self, x):
                return x + self.start

        def decorated(times):
            def decorate(function):
                @functools.wraps(function)
                def inner(x):
                    return function(x) * times
                return inner
            return decorate

        @decorated(5)
        def wrapped(x):
            return x - 1

        @functools.lru_cache(maxsize=10)
        def remembered(x):
            return x + FACTOR

        @functools.singledispatch
        def by_type(x):
            return x

        @by_type.register(int)
        def _of_int(x):
            return x + 1

        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        def score(x, by=3, *, plus=1):
            total = sum(v for v in (x, by, 7) if v > 0.5)
            label = "in" if x in {"p", "q"} else f"{x}!"
            with_names = [n.upper() for n in NAMES]
            return (
                shift(total, by=2) * FACTOR + plus + helpers.offset(x) + pack.deep.depth(x) + TABLE["low"]
                + Local(1)(x) + Scaler(2).run(x) + wrapped(x) + remembered(x) + by_type(x) + BOUND(x) + even(x)
            ), label, with_names

        def make():
            return score
    """,
    "helpers": """
        import enum
        import dataclasses
        from collections import namedtuple

        STEP = 10

        class Base:
            def start(self):
                return 100

        class Scaler(Base):
            def __init__(self, by):
                self.by = by

            @property
            def doubled(self):
                return self.by * 2

            @staticmethod
            def fixed():
                return 11

            @classmethod
            def named(cls):
                return cls.__name__

            def run(self, x):
                return x * self.doubled + self.start() + self.fixed() + Level.HIGH.value + Config().rate + Pair(1, 2).a

        class Level(enum.Enum):
            LOW = 1
            HIGH = 2

        @dataclasses.dataclass
        class Config:
            rate: int = 12
            names: list = dataclasses.field(default_factory=list)

        Pair = namedtuple("Pair", "a b")

        def shift(x, by=1):
            return x + by * STEP

        def offset(x):
            return x - 13

        def unused(x):
            return x ** 2
    """,
    "pack.__init__": "",
    "pack.deep": """
        DEPTH = 14

        def depth(x):
            return x + DEPTH
    """,
}


def _fingerprint(folder, sources, **options):
    with project(folder, sources) as load:
        return fingerprint_callable(load("features").make(), **options)


def _edited(module, old, new):
    assert old in BASE[module], f"{old!r} is not in {module}"
    return {**BASE, module: BASE[module].replace(old, new)}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return _fingerprint(tmp_path_factory.mktemp("base"), BASE)


CHANGES = {
    "a constant": ("features", "(x, by, 7)", "(x, by, 8)", "function features.score"),
    "a float that equals an integer": ("features", "v > 0.5", "v > 1.5", "function features.score"),
    "an operator": ("features", "* FACTOR + plus", "* FACTOR - plus", "function features.score"),
    "a comparison": ("features", "v > 0.5", "v >= 0.5", "function features.score"),
    "text": ("features", '"in" if', '"out" if', "function features.score"),
    "a member of a set": ("features", '{"p", "q"}', '{"p", "r"}', "function features.score"),
    "text in an f-string": ("features", "{x}!", "{x}?", "function features.score"),
    "the name of a keyword": ("features", "shift(total, by=2)", "shift(total, ab=2)", "function features.score"),
    "the value of a keyword": ("features", "shift(total, by=2)", "shift(total, by=3)", "function features.score"),
    "a method that is called": ("features", "n.upper()", "n.lower()", "function features.score"),
    "a default": ("features", "by=3, *", "by=4, *", "function features.score"),
    "a default's type": ("features", "by=3, *", "by=3.0, *", "function features.score"),
    "a keyword's default": ("features", "plus=1", "plus=2", "function features.score"),
    "the name of an argument": ("features", "plus", "more", "function features.score"),
    "a global": ("features", "FACTOR = 2", "FACTOR = 3", "global features.FACTOR"),
    "a global's type": ("features", "FACTOR = 2", "FACTOR = True", "global features.FACTOR"),
    "a member of a global list": ("features", '["a", "b"]', '["a", "c"]', "global features.NAMES"),
    "the order of a global list": ("features", '["a", "b"]', '["b", "a"]', "global features.NAMES"),
    "a value of a global dictionary": ("features", '"low": 1', '"low": 5', "global features.TABLE"),
    "an argument of a global partial": ("features", "shift, by=4", "shift, by=5", "global features.BOUND"),
    "the function of a global partial": ("features", "partial(shift", "partial(helpers.unused", "global features.BOUND"),
    "a class attribute": ("features", "RATE = 3", "RATE = 4", "class features.Local"),
    "a method": ("features", "return x + self.start", "return x - self.start", "function features.Local.move"),
    "a special method": ("features", "* self.RATE", "/ self.RATE", "function features.Local.__call__"),
    "an argument of a decorator": ("features", "@decorated(5)", "@decorated(6)", "function features.wrapped"),
    "a decorator": ("features", "function(x) * times", "function(x) + times", "function features.wrapped"),
    "a decorated function": ("features", "return x - 1", "return x - 2", "function features.wrapped (2)"),
    "a remembered function": ("features", "return x + FACTOR", "return x - FACTOR", "function features.remembered"),
    "a function by type": ("features", "return x + 1\n", "return x + 2\n", "function features._of_int"),
    "the type of a function by type": ("features", "register(int)", "register(float)", "function features.score"),
    "one of two that call each other": ("features", "n != 0 and", "n != 1 and", "function features.odd"),
    "a helper": ("helpers", "x + by * STEP", "x - by * STEP", "function helpers.shift"),
    "a helper's default": ("helpers", "by=1", "by=2", "function helpers.shift"),
    "a helper's global": ("helpers", "STEP = 10", "STEP = 11", "global helpers.STEP"),
    "a helper by its module": ("helpers", "x - 13", "x - 14", "function helpers.offset"),
    "a helper in a package": ("pack.deep", "x + DEPTH", "x - DEPTH", "function pack.deep.depth"),
    "a global of a package": ("pack.deep", "DEPTH = 14", "DEPTH = 15", "global pack.deep.DEPTH"),
    "a base class": ("helpers", "return 100", "return 101", "function helpers.Base.start"),
    "the bases of a class": ("helpers", "Scaler(Base)", "Scaler(Base, dict)", "class helpers.Scaler"),
    "a property": ("helpers", "self.by * 2", "self.by * 3", "function helpers.Scaler.doubled"),
    "a static method": ("helpers", "return 11", "return 12", "function helpers.Scaler.fixed"),
    "a class method": ("helpers", "cls.__name__", "cls.__doc__", "function helpers.Scaler.named"),
    "a member of an enum": ("helpers", "HIGH = 2", "HIGH = 3", "class helpers.Level"),
    "a default of a data class": ("helpers", "rate: int = 12", "rate: int = 13", "class helpers.Config"),
    "a factory of a data class": ("helpers", "default_factory=list", "default_factory=tuple", "class helpers.Config"),
    "the fields of a named tuple": ("helpers", '"a b"', '"b a"', "class helpers.Pair"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_what_a_callable_does_changes_its_key(change, base, tmp_path):
    module, old, new, part = CHANGES[change]
    found = _fingerprint(tmp_path, _edited(module, old, new))
    assert found.key != base.key
    changed = {n for n in {*found.parts, *base.parts} if found.parts.get(n) != base.parts.get(n)}
    assert part in changed


_BROKEN = """sum(
                v
                for v in (
                    x, by, 7,
                )
                if v > 0.5
            )"""
NO_CHANGES = {
    "a comment": ("features", "FACTOR = 2", "# far above\n\n\n        FACTOR = 2  # twice"),
    "a docstring": ("features", "plus=1):\n", 'plus=1):\n            """What it does."""\n'),
    "a docstring of a class": ("features", "class Local:\n", 'class Local:\n            """What it is."""\n'),
    "the docstring of a module": ("features", "import functools\n", '"""Features."""\n\n        import functools\n'),
    "line breaks": ("features", "sum(v for v in (x, by, 7) if v > 0.5)", _BROKEN),
    "blanks": ("features", "shift(total, by=2) * FACTOR", "shift( total,by = 2 )*FACTOR"),
    "parentheses": ("features", "return x - 1", "return (x - 1)"),
    "quotes": ("features", '"in" if', "'in' if"),
    "how a number is written": ("features", "(x, by, 7)", "(x, by, 0x7)"),
    "the order of members of a set": ("features", '{"p", "q"}', '{"q", "p"}'),
    "the name of a local variable": ("features", "total", "amount"),
    "annotations": ("features", "def score(x, by=3", "def score(x: 'int', by: 'float' = 3"),
    "a global that is not used": ("features", "FACTOR = 2", "FACTOR = 2\n        OTHER = 3"),
    "a function that is not used": ("helpers", "x ** 2", "x ** 3"),
    "an import that is not used": ("helpers", "import enum\n", "import enum\n        import random\n"),
    "how a module is imported": ("features", "import pack.deep\n", "import pack.deep\n        from pack import deep\n"),
    "the order of definitions": ("pack.deep", "DEPTH = 14\n", "def before():\n            pass\n\n        DEPTH = 14\n"),
    "an annotation of a helper": ("helpers", "def offset(x):", "def offset(x: float) -> float:"),
}  # fmt: skip


@pytest.mark.parametrize("change", NO_CHANGES)
def test_a_change_that_does_nothing_leaves_the_key(change, base, tmp_path):
    module, old, new = NO_CHANGES[change]
    assert _fingerprint(tmp_path, _edited(module, old, new)) == base


def test_another_folder_leaves_the_key(base, tmp_path):
    found = _fingerprint(tmp_path / "else" / "where", BASE)
    assert found == base
    assert dict(found.parts) == dict(base.parts)


def test_another_module_leaves_the_key(tmp_path):
    source = "RATE = 2\nmake = lambda x: x * RATE\n"
    with project(tmp_path / "one", {"first": source}) as load:
        first = fingerprint_callable(load("first").make)
    with project(tmp_path / "two", {"second": f"# moved\n\n{source}"}) as load:
        assert fingerprint_callable(load("second").make) == first


def test_globals_count_as_they_are_at_the_moment(tmp_path):
    with project(tmp_path, BASE) as load:
        module = load("features")
        before = fingerprint_callable(module.score)
        module.NAMES.append("c")
        after = fingerprint_callable(module.score)
        module.NAMES.pop()
        assert before == fingerprint_callable(module.score) != after
        assert after.parts["global features.NAMES"] != before.parts["global features.NAMES"]


def test_a_name_that_comes_to_be_defined_changes_the_key(tmp_path):
    with project(tmp_path, {"late": "def make(x): return x + LATER\n"}) as load:
        module = load("late")
        before = fingerprint_callable(module.make)
        module.LATER = 1
        assert fingerprint_callable(module.make) != before


def _add(number):
    return lambda x: x + number


def _twice(number):
    first = number

    def inner(x):
        return x + first

    return inner


class _Adder:
    def __init__(self, number):
        self.number = number

    def __call__(self, x):
        return x + self.number

    def run(self, x):
        return self(x)


class _Slotted:
    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number

    def run(self, x):
        return x + self.number


class _List(list):
    def run(self, x):
        return x in self


class _Hidden(_Adder):
    def __getstate__(self):
        return {}


class _HiddenSlot(_Slotted):
    __slots__ = ()

    def __getstate__(self):
        return ()

    def __call__(self, x):
        return self.number


def _enum_with(value):
    class Kind(enum.Enum):
        A = 1
        other = enum.nonmember(value)

    return Kind


class _Pretender:
    """Says that it is a function, as proxies do."""

    __class__ = property(lambda self: type(_add))

    def __init__(self, number):
        self.number = number


class _Frame(pl.DataFrame):
    pass


def _with(value):
    return lambda x, held=value: held


# How a callable holds a value: two that hold equal values are alike, two that hold others are not.
HOLDERS = {
    "closure": _add,
    "closure of a variable": _twice,
    "default": _with,
    "partial": lambda v: functools.partial(_with, v),
    "partial's keyword": lambda v: functools.partial(_with, value=v),
    "partial of a partial": lambda v: functools.partial(functools.partial(_with), v),
    "instance": _Adder,
    "bound method": lambda v: _Adder(v).run,
    "slots": lambda v: _Slotted(v).run,
    "subclass of a list": lambda v: _List([v]).run,
    "state that is not pickled": _Hidden,
    "slots that are not pickled": _HiddenSlot,
    "enum": lambda v: enum.Enum("Kind", {"A": v}),
    "no member of an enum": _enum_with,
    "method of a value": lambda v: [v].count,
    "numpy": lambda v: np.vectorize(_add(v)),
    "property": lambda v: type("Made", (), {"value": property(lambda self: v)})().__class__,
    "cached property": lambda v: type("Made", (), {"value": functools.cached_property(lambda self: v)}),
    "method by type": lambda v: type("Made", (), {"m": functools.singledispatchmethod(lambda self, x: v)}),
    "nested": lambda v: _with({"a": [(v, {v})]}),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_a_callable_holds_counts(holder):
    make = HOLDERS[holder]
    assert fingerprint_callable(make(3)) == fingerprint_callable(make(3))
    keys = [fingerprint_callable(make(v)).key for v in (3, 4, 3.0, "3", True, None, (3,), b"3", frozenset((3,)))]
    assert len(set(keys)) == len(keys)


_NOON = dt.datetime(2024, 1, 1, 12)
VALUES = {
    "array": (lambda: np.arange(3), lambda: np.arange(3) + 1, lambda: np.arange(3, dtype="int32")),
    "array of objects": (lambda: np.array(["a", None], dtype=object), lambda: np.array(["a", 1], dtype=object)),
    "numpy number": (lambda: np.float64(1.5), lambda: np.float32(1.5), lambda: 1.5),
    "numpy function": (lambda: np.log1p, lambda: np.log2),
    "frame": (lambda: pl.DataFrame({"a": [1]}), lambda: pl.DataFrame({"a": [2]}), lambda: pl.DataFrame({"b": [1]})),
    "series": (lambda: pl.Series("a", [1]), lambda: pl.Series("a", [2]), lambda: pl.Series("b", [1])),
    "expression": (lambda: pl.col("a") + 1, lambda: pl.col("a") + 2, lambda: pl.col("b") + 1),
    "lazy frame": (lambda: pl.LazyFrame({"a": [1]}), lambda: pl.LazyFrame({"a": [2]})),
    "data type": (lambda: pl.Datetime("us"), lambda: pl.Datetime("ms"), lambda: pl.Datetime),
    "schema": (lambda: pl.Schema({"a": pl.Int8}), lambda: pl.Schema({"a": pl.Int16})),
    "time": (lambda: _NOON, lambda: _NOON.replace(tzinfo=dt.UTC), lambda: _NOON + dt.timedelta(1), _NOON.date),
    "pattern": (lambda: __import__("re").compile("a"), lambda: __import__("re").compile("a", 2)),
    "decimal": (lambda: __import__("decimal").Decimal("1.0"), lambda: __import__("decimal").Decimal("1.00")),
    "path": (lambda: __import__("pathlib").PurePosixPath("a"), lambda: __import__("pathlib").PurePosixPath("b")),
    "default dictionary": (
        lambda: __import__("collections").defaultdict(int, a=1),
        lambda: __import__("collections").defaultdict(list, a=1),
        lambda: {"a": 1},
    ),
    "getter": (lambda: __import__("operator").itemgetter("a"), lambda: __import__("operator").itemgetter("b")),
    "zero": (lambda: 0.0, lambda: -0.0, lambda: 0, lambda: False, lambda: 0j),
    "dictionary": (lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}, lambda: {"a": 1}),
    "set": (lambda: {"a", "b"}, lambda: {"a", "c"}, lambda: frozenset(("a", "b"))),
    "class": (lambda: _Adder, lambda: _Slotted),
    "generic": (lambda: list[int], lambda: list[str], lambda: list, lambda: int | None, lambda: int | str),
    "pretender": (lambda: _Pretender(1), lambda: _Pretender(2)),
    "bytes": (lambda: b"a", lambda: bytearray(b"a"), lambda: memoryview(b"a"), lambda: "a"),
    "range": (lambda: range(3), lambda: range(4), lambda: slice(3), lambda: ...),
    "model": (
        lambda: __import__("sklearn.linear_model").linear_model.LinearRegression().fit([[0], [1]], [0, 1]),
        lambda: __import__("sklearn.linear_model").linear_model.LinearRegression().fit([[0], [1]], [0, 2]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
def test_values_count_by_content(kind):
    keys = [fingerprint_callable(_with(make())).key for make in VALUES[kind]]
    assert keys == [fingerprint_callable(_with(make())).key for make in VALUES[kind]]
    assert len(set(keys)) == len(keys)


class _NotReady:
    @property
    def __class__(self):
        raise RuntimeError("there is no context")

    def __getattr__(self, name):
        raise RuntimeError("there is no context")

    def __call__(self):
        raise RuntimeError("there is no context")


NOT_READY = _NotReady()


def test_names_and_what_is_read_are_told_whatever_objects_raise():
    def function(x, lock=threading.Lock(), given=NOT_READY):  # noqa: B008
        lock.acquire()
        given.update(x)
        return np.load(x) + NOT_READY.name

    assert {"acquire", "update", "name", "load"} <= names_used(function)
    assert read_besides(function) == "reads files that are not inputs of its own (numpy.load)"
    assert reached_state(function)


def test_a_value_that_holds_itself_has_a_key():
    loop: list = [1]
    loop.append(loop)
    other: list = [2]
    other.append(other)
    assert fingerprint_callable(_with(loop)) == fingerprint_callable(_with(loop)) != fingerprint_callable(_with(other))


def test_values_nested_without_end_are_uncacheable():
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(Uncacheable, match="nested too deeply"):
        fingerprint_callable(_with(deep))


class _NoContent:
    def __reduce__(self):
        raise TypeError("not this one")


def _numbers():
    yield 1


HELD_BUT_UNCACHEABLE = {
    "open file": lambda: open(__file__),  # noqa: SIM115
    "standard stream": lambda: sys.__stdout__,
    "text in memory": io.StringIO,
    "lock": threading.Lock,
    "generator": _numbers,
    "iterator": lambda: iter([1]),
    "connection": lambda: sqlite3.connect(":memory:"),
    "no content": _NoContent,
    "random numbers": lambda: __import__("random").Random(1),
    "numpy's random numbers": lambda: np.random.default_rng(1),
    "objects in a frame": lambda: pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}),
    "frame of one's own": lambda: _Frame({"a": [1]}),
    "python scan": lambda: pl.defer(lambda: pl.DataFrame({"a": [1]}), schema={"a": pl.Int64}),
}


@pytest.mark.parametrize("kind", HELD_BUT_UNCACHEABLE)
def test_values_without_content_are_uncacheable(kind):
    value = HELD_BUT_UNCACHEABLE[kind]()
    try:
        with pytest.raises(Uncacheable):
            fingerprint_callable(_with(value))
    finally:
        if hasattr(value, "close") and value is not sys.__stdout__:
            value.close()


READS_MORE = {
    "clock": "import time\nmake = lambda x: x + time.time()",
    "clock by name": "from time import time\nmake = lambda x: x + time()",
    "date": "import datetime\nmake = lambda x: datetime.datetime.now()",
    "date by name": "from datetime import date\nmake = lambda x: date.today()",
    "chance": "import random\nmake = lambda x: random.random()",
    "chance by name": "from random import gauss\nmake = lambda x: gauss(0, 1)",
    "numpy's chance": "import numpy as np\nmake = lambda x: np.random.rand(3)",
    "numpy's generator": "import numpy as np\nRNG = np.random.default_rng(0)\nmake = lambda x: RNG.normal()",
    "chance in a helper": "import random\ndef _helper(): return random.random()\nmake = lambda x: _helper()",
    "chance imported inside": "def make(x):\n    import random\n    return random.random()",
    "unique ids": "import uuid\nmake = lambda x: uuid.uuid4()",
    "sample of rows": "make = lambda s: s.sample(3)",
    "file": "make = lambda x: open('x').read()",
    "file by path": "import pathlib\nmake = lambda x: pathlib.Path('x').read_text()",
    "table": "import polars as pl\nmake = lambda x: pl.read_parquet('x')",
    "lazy table": "import polars as pl\nmake = lambda x: pl.scan_parquet('x').collect()",
    "file by a path of the module": "import pathlib\nP = pathlib.Path('x')\nmake = lambda x: P.open()",
    "array in a file": "import numpy as np\nmake = lambda x: np.load('x')",
    "environment": "import os\nmake = lambda x: os.environ['x']",
    "environment by name": "from os import getenv\nmake = lambda x: getenv('x')",
    "whether a file exists": "import os\nmake = lambda x: os.path.exists('x')",
    "arguments": "import sys\nmake = lambda x: sys.argv",
    "network": "import urllib.request\nmake = lambda x: urllib.request.urlopen('x')",
    "process": "import subprocess\nmake = lambda x: subprocess.run(['x'])",
    "eval": "make = lambda x: eval('x')",
    "globals": "make = lambda x: globals()['X']",
    "hash seed": "make = lambda x: hash(x)",
    "address": "make = lambda x: id(x)",
    "dynamic import": "import importlib\nmake = lambda x: importlib.import_module(x)",
    "database": "import sqlite3\nmake = lambda x: sqlite3.connect('x').execute('SELECT 1').fetchone()",
    "database by name": "from sqlite3 import connect\nmake = lambda x: connect('x')",
    "settings": "import configparser\ndef make(x):\n    c = configparser.ConfigParser()\n    c.read('x')\n    return c['a']['b']",
    "markup": "import xml.etree.ElementTree as tree\nmake = lambda x: tree.parse('x').getroot()",
    "markup imported inside": "def make(x):\n    from xml.etree import ElementTree\n    return ElementTree.parse('x')",
    "SQL": "import polars as pl\nmake = lambda x: pl.sql('SELECT * FROM read_parquet(\"x\")', eager=True)",
    "SQL in a context": "import polars as pl\nmake = lambda x: pl.SQLContext().execute('SELECT 1').collect()",
    "SQL over a frame": "make = lambda s: s.to_frame().sql('SELECT 1 AS a')",
    "time of numpy": "import numpy as np\nmake = lambda x: np.datetime64('now')",
    "time of numpy by type": "import numpy as np\nmake = lambda x: np.array('today', dtype='datetime64[D]')",
    "time of pandas": "import pandas as pd\nmake = lambda x: pd.to_datetime('now')",
    "timestamp of pandas": "import pandas as pd\nmake = lambda x: pd.Timestamp('today')",
    "a module's function by another name": "import numpy as np\ndef make(x):\n    module = np\n    return module.load('x')",
    "a module's function by its text": "import numpy as np\nmake = lambda x: getattr(np, 'load')('x')",
    "a module imported inside": "def make(x):\n    import numpy as np\n    return np.load('x')",
    "a module of a module imported inside": "def make(x):\n    import numpy\n    return numpy.random.rand()",
    "a module held by a class": "import numpy as np\nclass A:\n    m = np\n    def f(self, x): return self.m.load(x)\nmake = A().f",
    "one of two modules": "import numpy as np, polars as pl\nmake = lambda x: (np if x else pl).load('x')",
    "a module not imported yet": "def make(x):\n    import wave as sound\n    return sound.open('x')",
    "arrow's files": "import pyarrow as pa\nmake = lambda x: pa.memory_map('x').read()",
    "counter": "COUNT = 0\ndef make(x):\n    global COUNT\n    COUNT += 1\n    return COUNT",
    "counter in a closure": "def _outer():\n    n = 0\n    def f(x):\n        nonlocal n\n        n += 1\n        return n\n    return f\nmake = _outer()",
}  # fmt: skip


@pytest.mark.parametrize("kind", READS_MORE)
def test_what_reads_more_than_its_arguments_is_uncacheable(kind, tmp_path):
    with project(tmp_path, {"reader": READS_MORE[kind]}) as load:
        function = load("reader").make
        with pytest.raises(Uncacheable) as caught:
            fingerprint_callable(function)
    assert "\n" not in caught.value.reason
    assert caught.value.reason.startswith(("function reader.", "global reader.", "class reader."))


FINE = {
    "paths that are only joined": "import os\nmake = lambda x: os.path.join('a', x, os.sep)",
    "dates that are given": "import datetime as d\nmake = lambda x: d.datetime(2024, 1, 1) + d.timedelta(1)",
    "logging": "import logging\nlog = logging.getLogger('a')\ndef make(x):\n    log.info('x')\n    return x",
    "mathematics": "import math, statistics\nmake = lambda x: math.sqrt(x) + statistics.mean([x])",
    "types": "Alias = list[int]\nOther = int | None\ndef make(x): return isinstance(x, Other), Alias",
    "numpy": "import numpy as np\nmake = lambda x: np.log1p(x) * np.pi + np.linalg.norm(x)",
    "polars": "import polars as pl\nmake = lambda s: s.to_frame().select(pl.all().sum()).to_series()",
    "dates of text": "import numpy as np\nmake = lambda x: np.datetime64('2024-01-01') if x == 'then' else None",
    "columns called now": "import polars as pl\nmake = lambda s: s.struct.field('now').str.to_datetime().rename('today')",
    "a module by another name": "import numpy as np\ndef make(x):\n    module = np\n    return module.log1p(x)",
    "modules imported inside": "def make(x):\n    import json, re, numpy as np\n    return json.loads(x), re.compile(x), np.linalg.norm(x)",
    "text of markup": "import xml.etree.ElementTree as tree\nmake = lambda x: tree.fromstring(x).text",
    "a variable called hash": "hash = 3\nmake = lambda x: x + hash",
    "a nested counter": "def make(x):\n    n = 0\n    def f():\n        nonlocal n\n        n += 1\n    f()\n    return n",
    "an import inside": "def make(x):\n    import math\n    return math.pi",
    "a missing import inside": "def make(x):\n    try:\n        import not_there\n    except ImportError:\n        pass\n    return x",
    "generators of its own": "def make(x):\n    return list(v for v in (1, 2))",
    "exceptions": "class Oops(Exception): pass\ndef make(x):\n    try:\n        raise Oops\n    except Oops as e:\n        return e",
    "super": "class A:\n    def f(self): return 1\nclass B(A):\n    def f(self): return super().f()\nmake = B().f",
    "abstract": "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...\nclass B(A):\n    def f(self): return 1\nmake = B().f",
    "contexts": "import contextlib\n@contextlib.contextmanager\ndef c():\n    yield 1\ndef make(x):\n    with c() as v:\n        return v",
}  # fmt: skip


@pytest.mark.parametrize("kind", FINE)
def test_what_only_computes_is_cacheable(kind, tmp_path):
    keys = []
    for folder in ("one", "two"):
        with project(tmp_path / folder, {"fine": FINE[kind]}) as load:
            keys.append(fingerprint_callable(load("fine").make).key)
    assert keys[0] == keys[1]


def test_a_lazy_callable_may_scan_and_sample_for_its_plan_shows_it(tmp_path):
    source = """
        import pathlib
        import polars as pl

        FOLDER = pathlib.Path("data")

        def joins(frame):
            return frame.join(pl.scan_parquet(FOLDER / "dim.parquet"), on="k")

        def samples(frame):
            return frame.select(pl.all().sample(3))

        def opens(frame):
            return frame.head(len(FOLDER.open().read()))

        def reads(frame):
            return frame.join(pl.read_parquet(FOLDER / "dim.parquet").lazy(), on="k")
    """
    with project(tmp_path, {"lazily": source}) as load:
        module = load("lazily")
        for function, words in {module.joins: "reads files", module.samples: "draws random numbers"}.items():
            assert fingerprint_callable(function, lazy=True).key
            with pytest.raises(Uncacheable, match=words):
                fingerprint_callable(function)
        for function in (module.opens, module.reads):
            with pytest.raises(Uncacheable, match="reads files"):
                fingerprint_callable(function, lazy=True)


def test_a_module_may_have_the_name_of_one_of_pythons(tmp_path, monkeypatch):
    source = "class A:\n    def __call__(self, x): return x\nMADE = A()\nmake = lambda x: MADE(x)\n"
    monkeypatch.delitem(sys.modules, "signal", raising=False)
    known = sys.modules.pop("signal", None)
    try:
        with project(tmp_path, {"signal": source}) as load:
            module = load("signal")
            assert module.__file__.startswith(str(tmp_path))
            assert fingerprint_callable(module.make).key
    finally:
        if known is not None:
            sys.modules["signal"] = known


def test_imports_inside_a_function_are_followed(tmp_path):
    sources = {
        "inside": "def make(x):\n    from aside import helper\n    return helper(x)\n",
        "whole": "def make(x):\n    import aside\n    return aside.helper(x)\n",
        "alias": "def make(x):\n    import aside as other\n    return other.helper(x)\n",
        "dotted": "def make(x):\n    import bag.inner\n    return bag.helper(x)\n",
        "relative": "def make(x):\n    from bag import helper\n    return helper(x)\n",
        "bag.inner": "",
    }
    parts = dict.fromkeys(("inside", "whole", "alias"), "function aside.helper")
    parts |= dict.fromkeys(("dotted", "relative"), "function bag.helper")
    for name, part in parts.items():
        found = []
        for i, body in enumerate(("x + 1", "x + 2")):
            helper = dict.fromkeys(("aside", "bag.__init__"), f"def helper(x):\n    return {body}\n")
            with project(tmp_path / name / str(i), {**sources, **helper}) as load:
                found.append(fingerprint_callable(load(name).make))
        assert found[0] != found[1]
        assert found[0].parts[part] != found[1].parts[part]


def test_registered_namespaces_are_followed(tmp_path):
    source = """
        import polars as pl

        @pl.api.register_series_namespace("for_a_test")
        class Ours:
            def __init__(self, series):
                self.series = series

            def total(self):
                return self.series.sum() + 1

        def make(s):
            return s.for_a_test.total()
    """
    keys = []
    for folder, text in {"one": source, "two": source.replace("+ 1", "+ 2")}.items():
        try:
            with project(tmp_path / folder, {"space": text}) as load:
                keys.append(fingerprint_callable(load("space").make))
        finally:
            del pl.Series.for_a_test
            pl.Series._accessors.discard("for_a_test")
    assert keys[0] != keys[1]


def test_compiled_code_of_the_users_is_uncacheable(tmp_path):
    with project(tmp_path, {"ours": "import native\nmake = lambda x: native.f(x)", "native": "f = 1"}) as load:
        module = load("ours")
        sys.modules["native"].__file__ = str(tmp_path / "native.so")
        sys.modules["native"].f = sys.modules["native"]
        with pytest.raises(Uncacheable, match="compiled code of unknown content"):
            fingerprint_callable(module.make)


def test_builtins_and_installed_functions_go_by_name():
    assert fingerprint_callable(len) != fingerprint_callable(max)
    assert fingerprint_callable(np.mean) == fingerprint_callable(np.mean) != fingerprint_callable(np.std)
    assert fingerprint_callable(np.mean).parts["package numpy"] == np.__version__
    assert fingerprint_callable(pl.col).parts["package polars"] == pl.__version__
    assert fingerprint_callable(lambda x: pl.col(x) + 1).parts["package polars"] == pl.__version__


def test_names_that_a_callable_uses(tmp_path):
    with project(tmp_path, BASE) as load:
        names = names_used(load("features").score)
    assert {"shift", "helpers", "offset", "STEP", "DEPTH", "upper", "Scaler", "doubled"} <= names
    assert "unused" not in names
    assert "collect" in names_used(lambda lf: lf.collect().lazy())
    # Nothing that cannot be hashed stops it.
    assert {"rand", "tail"} <= names_used(functools.partial(lambda f, s: (np.random.rand(3), s.tail()), _numbers()))  # noqa: NPY002


def test_the_algorithm_is_part_of_the_key():
    found = fingerprint_callable(len, algorithm="sha256")
    assert found.key.startswith("sha256:")
    assert all(value.startswith("sha256:") or name == "python" for name, value in found.parts.items())
