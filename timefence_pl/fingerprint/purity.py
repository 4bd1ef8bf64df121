"""What code reads besides its arguments: the clock, chance, files, the network, the process.

Takes objects and names that code refers to, gives a reason why its result cannot be cached, or None. The lists err on
the side of computing again. Knows no bytecode and hashes nothing.
"""

from __future__ import annotations

import pathlib
import types
from collections.abc import Collection, Iterable
from typing import Any, Final

from timefence_pl.fingerprint.origins import is_class, is_module, module_name, own_name

__all__ = ["impure_attribute", "impure_member", "impure_module", "impure_object", "impure_text", "reads_paths"]

_CLOCK: Final = "reads the clock"
_CHANCE: Final = "draws random numbers"
_FILES: Final = "reads files that are not inputs of its own"
_PROCESS: Final = "reads the state of the process or the machine"
_NETWORK: Final = "uses the network or another process"
_NAMES: Final = "looks names up while it runs"
_QUERIES: Final = "runs SQL, which may read files and the clock"

# Modules all of which, or all but a few names of which, read something else.
_MODULES: Final[dict[str, str]] = {
    **dict.fromkeys(("random", "secrets", "numpy.random", "torch.random"), _CHANCE),
    **dict.fromkeys(("time",), _CLOCK),
    **dict.fromkeys(
        (
            *(
                "bz2",
                "codecs",
                "dbm",
                "fileinput",
                "genericpath",
                "gzip",
                "io",
                "linecache",
                "lzma",
                "mmap",
                "shelve",
            ),
            *("glob", "shutil", "sqlite3", "tarfile", "tempfile", "zipfile", "fsspec", "s3fs", "gcsfs", "duckdb"),
            *("dask", "deltalake", "h5py", "lance", "pyiceberg", "tables", "xarray", "zarr"),
            *("decouple", "dotenv", "dynaconf", "environs"),
            *(
                "pyarrow.dataset",
                "pyarrow._dataset",
                "pyarrow.fs",
                "pyarrow._fs",
                "pyarrow.parquet",
                "pyarrow._parquet",
            ),
        ),
        _FILES,
    ),
    **dict.fromkeys(
        (
            *(
                "ftplib",
                "http",
                "imaplib",
                "smtplib",
                "socket",
                "ssl",
                "subprocess",
                "urllib.request",
                "multiprocessing",
            ),
            *("aiohttp", "boto3", "httpx", "psycopg", "psycopg2", "redis", "requests", "sqlalchemy", "urllib3"),
        ),
        _NETWORK,
    ),
    **dict.fromkeys(("os", "posix", "nt", "platform", "getpass", "locale", "gc", "resource", "signal"), _PROCESS),
    **dict.fromkeys(("ctypes", "importlib", "inspect", "runpy", "pkgutil"), _NAMES),
}
_PURE: Final = frozenset(
    (
        *("io.BytesIO", "io.StringIO", "_io.BytesIO", "_io.StringIO", "codecs.encode", "codecs.decode"),
        *("os.fspath", "os.sep", "os.PathLike", "posix.fspath", "nt.fspath", "time.sleep", "time.strptime"),
        *("importlib.metadata", "inspect.isfunction", "inspect.isclass"),
    )
)
# Single names of modules that are otherwise fine.
_SINGLE: Final[dict[str, str]] = {
    **dict.fromkeys(("builtins.open", "builtins.input"), _FILES),
    **dict.fromkeys(("builtins.hash", "builtins.id"), _PROCESS),
    **dict.fromkeys(("eval", "exec", "compile", "globals", "locals", "__import__", "breakpoint"), _NAMES),
    **dict.fromkeys(("sys.argv", "sys.stdin", "sys.modules", "sys._getframe", "sys.path"), _PROCESS),
    **dict.fromkeys(("posixpath.abspath", "posixpath.realpath", "posixpath.expanduser"), _PROCESS),
    **dict.fromkeys(("uuid.uuid1", "uuid.uuid4"), _CHANCE),
    **dict.fromkeys(
        (
            *("configparser.ConfigParser", "configparser.RawConfigParser", "pyarrow.lib.OSFile"),
            *("xml.etree.ElementTree.iterparse", "xml.etree.ElementTree.parse", "xml.sax.parse"),
            *("xml.dom.minidom.parse", "xml.dom.pulldom.parse", "lxml.etree.iterparse", "lxml.etree.parse"),
        ),
        _FILES,
    ),
}
_SINGLE.update({f"builtins.{name}": reason for name, reason in [*_SINGLE.items()] if "." not in name})
# Attributes that mean the same on whatever they are read off.
_ATTRIBUTES: Final[dict[str, str]] = {
    **dict.fromkeys(("now", "today", "utcnow"), _CLOCK),
    **dict.fromkeys(("read_text", "read_bytes"), _FILES),
    **dict.fromkeys(("environ", "getenv"), _PROCESS),
}
# The same where rows are at hand, not a lazy plan (which says whether a seed was given).
_EAGER_ATTRIBUTES: Final[dict[str, str]] = {
    **dict.fromkeys(("sample", "shuffle"), _CHANCE),
    "deserialize": _FILES,
    "sql": _QUERIES,
}
_EAGER: Final[dict[str, str]] = dict.fromkeys(
    ("polars.sql", "polars.SQLContext", "polars.sql.functions.sql", "polars.sql.context.SQLContext"), _QUERIES
)
_READERS: Final = ("read_", "scan_", "load_", "fetch_", "open_", "imread")
_READER_NAMES: Final = frozenset(
    (
        *("load", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap", "memory_map", "open"),
        *("DataSource", "ExcelFile", "HDFStore"),
    )
)
# Words that stand for the time of the call to what makes times of text.
_CLOCK_WORDS: Final = frozenset(("now", "today"))
_TIMES: Final = frozenset(("datetime64", "Timestamp", "DatetimeIndex", "Period", "PeriodIndex"))
_TIME_TYPES: Final = ("datetime64", "M8[")
_PATH_READS: Final = frozenset(("open", "exists", "stat", "is_file", "is_dir", "iterdir", "glob", "rglob", "walk"))


def impure_object(found: Any, name: str, *, lazy: bool) -> str | None:
    """Why an object that is not the user's own makes the code that refers to it uncacheable, or None.

    Args:
        found: The object; a module stands for all of it.
        name: ``module.name``, as far as the code tells.
        lazy: Whether the code only builds a lazy plan, which is fingerprinted itself and shows what it scans.
    """
    last = name.rpartition(".")[2]
    if is_module(found):
        return impure_module(found.__name__)
    if _is_path(found):
        reason = None if lazy else _FILES
    elif callable(found) and (last.startswith(_READERS) or last in _READER_NAMES):
        reason = None if lazy and last.startswith("scan_") else _FILES
    else:
        owner = found.__self__ if type(found) in (types.MethodType, types.BuiltinFunctionType) else None
        home = module_name(found) or type(found).__module__
        if owner is not None and not is_module(owner) and not is_class(owner):
            home = type(owner).__module__
        named = f"{home}.{own_name(found)}"
        reason = _SINGLE.get(named) or _SINGLE.get(name)
        if reason is None and not lazy:
            reason = _EAGER.get(named) or _EAGER.get(name)
        if reason is None and _PURE.isdisjoint((named, named.removeprefix("_"), name)):
            reason = _of_module(home)
    return f"{reason} ({name})" if reason else None


def impure_module(name: str) -> str | None:
    """Why code that holds a whole module is uncacheable, or None."""
    reason = _of_module(name)
    return f"{reason} ({name})" if reason else None


def impure_member(module: types.ModuleType | str, attributes: Collection[str], *, lazy: bool) -> str | None:
    """Why code that holds a whole module, and reads some attributes off it or off anything else, is uncacheable, or None.

    Args:
        module: A module, or the name of one that is not imported yet, of which the attributes' names alone tell.
        attributes: All that the code reads.
        lazy: As for :func:`impure_object`.
    """
    if isinstance(module, str):
        reads = (a for a in sorted(attributes) if a in _READER_NAMES or a.startswith(_READERS))
        return next((f"{_FILES} ({module}.{a})" for a in reads if not (lazy and a.startswith("scan_"))), None)
    seen, left = {module.__name__}, [module]
    while left:
        home = left.pop()
        for attribute in sorted(attributes & vars(home).keys()):
            found = vars(home)[attribute]
            reason = impure_object(found, f"{home.__name__}.{attribute}", lazy=lazy)
            if reason:
                return reason
            if is_module(found) and found.__name__ not in seen:
                seen.add(found.__name__)
                left.append(found)
    return None


def impure_text(texts: Collection[str], called: Collection[str], attributes: Collection[str]) -> str | None:
    """Why texts in code that makes times of text make it uncacheable (``np.datetime64("now")``), or None.

    Args:
        texts: The text constants of the code.
        called: The names it refers to as they are, or reads off modules; ``to_datetime`` of a column is another one.
        attributes: All attribute names that it reads.
    """
    words = sorted(t for t in texts if t.lower() in _CLOCK_WORDS)
    if not words:
        return None
    makers = sorted({*_TIMES.intersection({*called, *attributes}), *{"to_datetime"}.intersection(called)})
    makers += sorted(t for t in texts if t.startswith(_TIME_TYPES))
    return f"{_CLOCK} ({makers[0]} of {words[0]!r})" if makers else None


def reads_paths(values: Iterable[Any], attributes: Collection[str]) -> bool:
    """Whether code that refers to some values, paths among them, reads attributes that look into files and folders."""
    return not _PATH_READS.isdisjoint(attributes) and any(map(_is_path, values))


def _is_path(found: Any) -> bool:
    return issubclass(found if is_class(found) else type(found), pathlib.Path)


def impure_attribute(names: Iterable[str], *, lazy: bool) -> str | None:
    """Why the attribute names that code reads make it uncacheable, or None."""
    table = _ATTRIBUTES if lazy else {**_ATTRIBUTES, **_EAGER_ATTRIBUTES}
    for name in sorted(names):
        if name in table:
            return f"{table[name]} (.{name})"
    return None


def _of_module(name: str) -> str | None:
    if name in ("os.path", "posixpath", "ntpath", "importlib.metadata"):
        return None
    name = name.removeprefix("_")  # a module's compiled part bears its name so (_sqlite3)
    while name:
        if name in _MODULES:
            return _MODULES[name]
        name = name.rpartition(".")[0]
    return None
