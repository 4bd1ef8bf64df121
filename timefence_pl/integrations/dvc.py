"""DVC: what a ``.dvc`` file says of data, checked against the data's real bytes.

Takes the path of a file or folder, gives plain values. Needs PyYAML (extra ``dvc``), not DVC. The hashes are those of
DVC 3 (``hash: md5``, over the bytes) and of DVC 2 (no ``hash``: over the bytes with line ends converted where the file is
text); a folder's is that of the listing of its files' hashes and names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from timefence_pl.choices import is_file
from timefence_pl.errors import (
    DvcMismatchError,
    DvcUnsupportedHashError,
    NotFoundError,
    TimefenceConfigError,
    TimefenceValidationError,
    listing,
    message,
)

__all__ = ["checked_output"]

_BLOCK: Final = 1 << 20
_SNIFFED: Final = 512
#: The bytes of text, as DVC tells it.
_TEXT: Final = frozenset(range(32, 127)) | frozenset(b"\n\r\t\f\b")
_IGNORED: Final = frozenset((".dvc", ".git", ".hg"))


def checked_output(path: str | Path) -> dict[str, Any]:
    """What the ``.dvc`` file beside data says of it, once that was found true.

    Args:
        path: The data (its ``.dvc`` file stands beside it), or the ``.dvc`` file itself.

    Returns:
        ``path``, ``dvc_file``, ``md5`` (as in the ``.dvc`` file), ``legacy`` (whether text was hashed with its line
        ends converted), ``size_bytes``, ``n_files``.

    Raises:
        NotFoundError: If there is no such data or ``.dvc`` file.
        TimefenceValidationError: If the ``.dvc`` file cannot be read, or does not name the data.
        DvcMismatchError: If the data is not what it says.
        DvcUnsupportedHashError: If it names no hash that can be checked here.
    """
    data, pointer = _places(path)
    entry = _entry(pointer, data.name)
    md5 = entry.get("md5")
    if not isinstance(md5, str) or not md5:
        other = [k for k in ("etag", "checksum", "files") if k in entry]
        raise DvcUnsupportedHashError(
            message(
                f"{str(pointer)!r} has no md5 of {data.name!r}" + (f", only {listing(other)}." if other else "."),
                why="An ETag or checksum of a remote store says nothing of the bytes here.",
                fix=f"Add the data itself: dvc add {data.name}.",
            )
        )
    if entry.get("hash", "md5") != "md5":
        raise DvcUnsupportedHashError(
            message(f"{str(pointer)!r} names the hash {entry['hash']!r}.", fix="Only md5 can be checked here.")
        )
    ways = ("bytes",) if "hash" in entry else ("blocks", "file")
    folder = md5.endswith(".dir")
    if folder != data.is_dir():
        kind = "a folder" if folder else "a file"
        raise _mismatch(data, pointer, kind, "a folder" if data.is_dir() else "a file")
    files = _files(data) if folder else [data]
    found = {
        "size": sum(f.stat().st_size for f in files),
        "nfiles": len(files) if folder else None,
    }
    for name, actual in found.items():
        if isinstance(entry.get(name), int) and actual is not None and entry[name] != actual:
            raise _mismatch(data, pointer, f"{name} {entry[name]:,}", f"{name} {actual:,}")
    hashes = [_folder_md5(data, files, way) if folder else _md5(data, way) for way in ways]
    if md5 not in hashes:
        raise _mismatch(data, pointer, f"md5:{md5}", f"md5:{hashes[0]}")
    return {
        "path": str(data),
        "dvc_file": str(pointer),
        "md5": md5,
        "legacy": "hash" not in entry,
        "size_bytes": found["size"],
        "n_files": len(files),
    }


def _places(path: str | Path) -> tuple[Path, Path]:
    if not isinstance(path, str | os.PathLike):
        raise TimefenceConfigError(message(f"{path!r:.100} is not a path.", fix="Give the path of the data."))
    given = Path(path).expanduser().absolute()
    pointer = given if given.suffix == ".dvc" and is_file(given) else given.with_name(f"{given.name}.dvc")
    data = pointer.with_suffix("") if pointer == given else given
    if not is_file(pointer):
        raise NotFoundError(
            message(
                f"There is no {str(pointer)!r}.",
                why="Without it there is no version of the data to link to.",
                fix=f"Run: dvc add {data.name}",
            )
        )
    if not os.path.exists(data):  # noqa: PTH110 - names of any length
        raise NotFoundError(
            message(f"{str(pointer)!r} is there, its data {str(data)!r} is not.", fix=f"Run: dvc checkout {data.name}")
        )
    return data, pointer


def _entry(pointer: Path, name: str) -> Mapping[str, Any]:
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise TimefenceConfigError(
            message("Reading .dvc files needs PyYAML.", fix='pip install "timefence-pl[dvc]"')
        ) from error
    try:
        content = yaml.safe_load(pointer.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TimefenceValidationError(
            message(
                f"{str(pointer)!r} cannot be read.", where=str(error).splitlines()[0], fix="Run: dvc add, once more."
            )
        ) from error
    outs = content.get("outs") if isinstance(content, dict) else None
    entries = [o for o in outs if isinstance(o, dict)] if isinstance(outs, list) else []
    found = [o for o in entries if str(o.get("path", "")).rstrip("/") == name]
    if len(found) != 1:
        raise TimefenceValidationError(
            message(
                f"{str(pointer)!r} does not say what {name!r} is.",
                where=f"it names: {listing(o.get('path') for o in entries)}",
                fix=f"Run: dvc add {name}",
            )
        )
    return found[0]


def _files(folder: Path) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(n for n in folders if n not in _IGNORED)
        found += [Path(where) / n for n in names]
    return sorted(found)


def _folder_md5(folder: Path, files: list[Path], way: str) -> str:
    listed = [{"md5": _md5(f, way), "relpath": f.relative_to(folder).as_posix()} for f in files]
    text = json.dumps(sorted(listed, key=lambda e: e["relpath"]), sort_keys=True)
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"


def _md5(path: Path, way: str) -> str:
    """The hash of a file: of its ``"bytes"``, or with line ends converted in what DVC takes for text.

    That is told block by block (``"blocks"``), or by the beginning of the file (``"file"``), as by older versions of DVC
    2. A line end cut in two by a block stays as it is, as there.
    """
    state = hashlib.md5(usedforsecurity=False)
    text: bool | None = False if way == "bytes" else None
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if way == "blocks" or text is None:
                text = _is_text(block[:_SNIFFED])
            state.update(block.replace(b"\r\n", b"\n") if text else block)
    return state.hexdigest()


def _is_text(block: bytes) -> bool:
    """Whether DVC takes what begins so for text: no null byte, and no more than three tenths of it other bytes."""
    if b"\0" in block:
        return False
    return sum(byte not in _TEXT for byte in block) / len(block) <= 0.30


def _mismatch(data: Path, pointer: Path, expected: str, actual: str) -> DvcMismatchError:
    return DvcMismatchError(
        message(
            f"{str(data)!r} is not what its .dvc file says.",
            where=f"dvc file: {pointer}\nexpected: {expected}\nactual:   {actual}",
            why="A model trained on it would be linked to another version of the data.",
            fix=[f"Version the present data: dvc add {data.name}", f"Or go back to the old: dvc checkout {data.name}"],
        ),
        expected=expected,
        actual=actual,
    )
