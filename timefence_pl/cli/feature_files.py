"""Feature files: Python modules that declare features.

Takes ``path.py``, globs of those, or ``path.py:name``, gives the features they declare, in the order of declaration.
The modules stay loaded while the command runs, since transforms may import their siblings late.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import timefence_pl as tf
from timefence_pl.cli.session import shown_path
from timefence_pl.errors import did_you_mean, did_you_mean_file, listing, message

__all__ = ["FeatureFiles", "importing", "split_name"]


class FeatureFiles:
    """The feature files of one command."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}
        self._modules: dict[Path, ModuleType] = {}

    def load(self, files: Sequence[str]) -> list[tf.Feature | tf.Window]:
        """The features of files, each once; checked to have different names.

        Args:
            files: ``path.py``, a glob, or ``path.py:name`` for a feature, a set, or a variable that holds some.

        Raises:
            TimefenceConfigError: If a file is missing, fails, or declares no feature, or a name is not there.
        """
        found: list[tf.Feature | tf.Window] = []
        for given in files:
            path, name = split_name(given)
            for file in _expanded(path):
                features = self._of(file, name)
                self._files |= {f.name: file for f in features}
                found += [f for f in features if not any(f is g for g in found)]
        return list(tf.FeatureSet("all", found)) if found else []

    def paths(self) -> list[Path]:
        """The files that were loaded."""
        return list(self._modules)

    def place(self, feature: str) -> tuple[str, int] | None:
        """The file and line in which a feature is declared: where its name stands, or else the first line."""
        file = self._files.get(feature)
        if file is None:
            return None
        quoted = re.compile(rf"""["']{re.escape(feature)}["']|^\s*(def )?{re.escape(feature)}\b""")
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        return str(file), next((n for n, line in enumerate(lines, 1) if quoted.search(line)), 1)

    def _of(self, file: Path, name: str | None) -> list[tf.Feature | tf.Window]:
        module = self._modules.get(file.resolve())
        if module is None:
            module = self._modules[file.resolve()] = _run(file)
        public = getattr(module, "__all__", None)
        values = {n: v for n, v in vars(module).items() if not n.startswith("__") and (public is None or n in public)}
        features = _distinct(f for v in values.values() for f in _features(v))
        if name is None:
            if not features:
                raise _nothing(file, values)
            return features
        by_name = {f.name: [f] for f in features}
        groups = {v.name: list(v) for v in values.values() if isinstance(v, tf.FeatureSet)}
        variables = {n: _distinct(_features(v)) for n, v in values.items()}
        variables = {n: v for n, v in variables.items() if v}
        for known in (by_name, groups, variables):
            if name in known:
                return known[name]
        names = dict.fromkeys([*by_name, *groups, *variables])
        raise tf.TimefenceConfigError(
            message(
                f"{file} declares no feature {name!r}. {did_you_mean(name, names)}".rstrip(),
                where=f"available: {listing(names)}",
                fix="Name a feature, a FeatureSet, or a variable that holds some.",
            )
        )


@contextmanager
def importing() -> Iterator[None]:
    """Undo, at the end, what loading feature files does to the interpreter: its path and its modules."""
    path, modules = list(sys.path), set(sys.modules)
    try:
        yield
    finally:
        added = [p for p in sys.path if p not in path]
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and any(Path(file).is_relative_to(p) for p in added):
                del sys.modules[name]


def split_name(given: str) -> tuple[str, str | None]:
    """``path.py:name`` as path and name; a drive letter is no path."""
    path, colon, name = given.rpartition(":")
    return (path, name) if colon and name and path.endswith(".py") else (given, None)


def _expanded(path: str) -> list[Path]:
    file = Path(path).expanduser()
    if file.is_file():
        return [file]
    if file.is_dir():
        found = sorted(p for p in file.glob("*.py") if not p.name.startswith("_"))
        if found:
            return found
        raise tf.TimefenceConfigError(message(f"The folder {path!r} has no feature file.", fix="Give a .py file."))
    import glob  # noqa: PLC0415 - help needs none of these

    found = sorted(Path(p) for p in glob.glob(str(file), recursive=True))  # noqa: PTH207 - absolute patterns too
    if found:
        return found
    beside = [p.name for p in file.parent.glob("*.py")] if file.parent.is_dir() else []
    raise tf.TimefenceConfigError(
        message(
            f"There is no feature file {path!r}. {did_you_mean_file(file.name, beside)}".rstrip(),
            where=f"looked from {Path.cwd()}",
            fix="Give --features PATH.py, or `features` in the configuration; `timefence-pl init` writes one.",
        )
    )


def _run(file: Path) -> ModuleType:
    """Import a file as the module that its siblings would import; inside a package, as part of it."""
    import importlib.util  # noqa: PLC0415
    import zlib  # noqa: PLC0415

    file = file.resolve()
    if file.suffix != ".py":
        raise tf.TimefenceConfigError(message(f"{str(file)!r} is not a Python file.", fix="Feature files end in .py."))
    root, parts = file.parent, [file.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    name = ".".join(parts)
    taken = sys.modules.get(name)
    if taken is not None and getattr(taken, "__file__", None) == str(file):
        return taken
    if taken is not None or not all(p.isidentifier() for p in parts) or name in sys.stdlib_module_names:
        stem = "".join(c if c.isalnum() else "_" for c in file.stem)
        name = f"timefence_features_{stem}_{zlib.crc32(str(file).encode('utf-8', 'replace')):08x}"
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # noqa: S101 - a .py file always has one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _failed(file, error) from error
    return module


def _failed(file: Path, error: BaseException) -> Exception:
    """An error in a feature file, with the place; errors of ours keep their kind."""
    import traceback  # noqa: PLC0415

    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    if isinstance(error, SyntaxError) and error.filename == str(file):
        line: int | None = error.lineno
    else:
        line = frames[-1].lineno if frames else None
    place = f"{shown_path(file)}, line {line}" if line else shown_path(file)
    if isinstance(error, tf.TimefenceError):
        return type(error)(f"{place}: {error}")
    said = error.msg if isinstance(error, SyntaxError) and error.filename == str(file) else str(error)
    kind = type(error).__name__
    if isinstance(error, ModuleNotFoundError) and error.name == "timefence":
        fix = "Write `import timefence_pl as timefence`: the definitions are the same."
    else:
        fix = "Correct the file; --debug shows the traceback."
    return tf.TimefenceConfigError(message(f"{place}: {kind}: {said}".rstrip(": "), fix=fix))


def _features(value: Any) -> list[tf.Feature | tf.Window]:
    if isinstance(value, tf.Feature | tf.Window):
        return [value]
    if isinstance(value, tf.FeatureSet):
        return list(value)
    if isinstance(value, list | tuple):
        return [f for v in value for f in _features(v)]
    if isinstance(value, set | frozenset):
        return sorted((f for v in value for f in _features(v)), key=lambda f: f.name)
    if isinstance(value, Mapping):
        return [f for v in value.values() for f in _features(v)]
    return []


def _distinct(features: Iterable[tf.Feature | tf.Window]) -> list[tf.Feature | tf.Window]:
    found: list[tf.Feature | tf.Window] = []
    for feature in features:
        if not any(feature is f for f in found):
            found.append(feature)
    return found


def _nothing(file: Path, values: Mapping[str, Any]) -> Exception:
    functions = [n for n, v in values.items() if callable(v) and not isinstance(v, type)]
    sources = [n for n, v in values.items() if isinstance(v, tf.Source)]
    seen = [f"sources: {listing(sources)}"] if sources else []
    seen += [f"functions, which are not called: {listing(functions)}"] if functions else []
    return tf.TimefenceConfigError(
        message(
            f"{file} declares no feature.",
            where="\n".join(seen),
            why="Nothing would be built, and nothing checked.",
            fix="Assign features to module variables: spend = tf.Feature(...), or features = [...].",
        )
    )
