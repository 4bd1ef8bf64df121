"""Modules of a user's project, written to disk and imported as a fresh process would."""

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def project(folder: Path, sources: Mapping[str, str]) -> Iterator[Callable[[str], Any]]:
    """Write ``{module: source}`` into a folder; yields a function that imports one of them.

    The modules are forgotten afterwards, so that another version of the project can be imported under the same names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        path = folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
    before, written = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = written
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]
