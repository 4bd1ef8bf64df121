"""Configuration files as nested values that know the line each key stands in.

Takes the text of a TOML or YAML file, gives a :class:`Document`. Knows no key; malformed text is an error with its line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from timefence_pl.errors import TimefenceConfigError, message

__all__ = ["Document", "read_toml", "read_yaml"]

Path_ = tuple[str, ...]
_HEADER: Final = re.compile(r"\s*\[{1,2}\s*(.+?)\s*\]{1,2}\s*(#.*)?$")
_WORD: Final = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY: Final = re.compile(rf"\s*({_WORD}(?:\s*\.\s*{_WORD})*)\s*=")
_AT: Final = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True)
class Document:
    """A configuration file's values.

    Attributes:
        file: The file.
        data: Its values.
        lines: The line of each key, from 1, by the names that lead to it.
    """

    file: Path
    data: Mapping[str, Any]
    lines: Mapping[Path_, int] = field(default_factory=dict)

    def place(self, *names: str) -> str:
        """Where a key stands, as in ``timefence.toml, line 7``."""
        while names and names not in self.lines:
            names = names[:-1]
        return f"{self.file}, line {self.lines[names]}" if names else str(self.file)

    def under(self, *names: str) -> Document:
        """The table that these names lead to, as a document of its own."""
        data: Any = self.data
        for name in names:
            data = data[name]
        depth = len(names)
        return Document(self.file, data, {k[depth:]: v for k, v in self.lines.items() if k[:depth] == names})


def read_toml(file: Path) -> Document:
    """Read a TOML file.

    Raises:
        TimefenceConfigError: If it cannot be read, with the line of the fault.
    """
    import tomllib  # noqa: PLC0415 - help needs none

    text = _text(file)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
        last = max(1, len(text.splitlines()))
        line = int(found[1]) if found else last
        raise _malformed(
            file, line, _AT.sub("", str(error)).replace("(at end of document)", "").strip(), "TOML"
        ) from error
    return Document(file, data, _toml_lines(text))


def read_yaml(file: Path) -> Document:
    """Read a YAML file; one that is empty holds nothing.

    Raises:
        TimefenceConfigError: If it cannot be read, with the line of the fault, or PyYAML is not installed.
    """
    try:
        import yaml  # noqa: PLC0415 - optional
    except ImportError as error:
        raise TimefenceConfigError(
            message(
                f"Reading {file} needs the package PyYAML.",
                fix=('pip install "timefence-pl[yaml]"', "write the configuration as timefence.toml"),
            )
        ) from error
    text = _text(file)
    loader: Any = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(file, {})
        lines: dict[Path_, int] = {}
        _yaml_lines(file, node, (), lines)
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _malformed(file, 1 if mark is None else mark.line + 1, error.problem or "", "YAML") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _malformed(file, line, f"the character {error.character!r} is not allowed", "YAML") from error
    except (ValueError, RecursionError) as error:  # a date that does not exist, an endless alias
        raise _malformed(file, 1, str(error), "YAML") from error
    finally:
        if loader is not None:
            loader.dispose()
    if data is None:
        return Document(file, {})
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise _malformed(file, node.start_mark.line + 1, f"it is {kind}, not a mapping of keys", "YAML")
    odd = next((k for k in data if not isinstance(k, str)), None)
    if odd is not None:
        raise _malformed(file, 1, f"the key {odd!r} is not text", "YAML")
    return Document(file, data, lines)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _malformed(file, line, "it is not UTF-8 text", "configuration") from error
    except OSError as error:
        raise TimefenceConfigError(
            message(f"The configuration {file} cannot be read: {error.strerror}.", fix="Check the path.")
        ) from error


def _malformed(file: Path, line: int, reason: str, kind: str) -> TimefenceConfigError:
    return TimefenceConfigError(
        message(f"{file}, line {line}: not valid {kind}: {reason or 'cannot be read'}.", fix="Correct the line.")
    )


def _toml_lines(text: str) -> dict[Path_, int]:
    """The line of each key, read beside the parser, which does not tell: one key a line, outside long strings."""
    lines: dict[Path_, int] = {}
    table: Path_ = ()
    inside = ""
    for number, line in enumerate(text.split("\n"), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        header = _HEADER.match(line)
        key = _KEY.match(line)
        if header and not key:
            table = _names(header[1])
            for depth in range(1, len(table) + 1):
                lines.setdefault(table[:depth], number)
        elif key:
            full = table + _names(key[1])
            for depth in range(1, len(full) + 1):
                lines.setdefault(full[:depth], number)
        for quotes in ('"""', "'''"):
            if line.count(quotes) % 2:
                inside = quotes
    return lines


def _names(dotted: str) -> Path_:
    return tuple(w.strip("\"'") for w in re.findall(_WORD, dotted))


def _yaml_lines(file: Path, node: Any, names: Path_, lines: dict[Path_, int]) -> None:
    if node.id != "mapping":
        return
    for key, value in node.value:
        if key.id != "scalar":
            continue
        path = (*names, key.value)
        line = key.start_mark.line + 1
        if path in lines:
            raise _malformed(file, line, f"the key {key.value!r} is given twice, first in line {lines[path]}", "YAML")
        lines[path] = line
        if len(names) < 8:  # an alias may lead back to where it stands
            _yaml_lines(file, value, path, lines)
