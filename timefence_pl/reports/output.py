"""Reports as files: JSON text of plain values, and text written where the user asked for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from timefence_pl.choices import path_of, shortened
from timefence_pl.errors import TimefenceStoreError, message
from timefence_pl.store.files import write_whole

__all__ = ["json_text", "written"]


def json_text(value: Any) -> str:
    """Plain values as JSON; what JSON has no form for, as text."""
    return orjson.dumps(_plain(value), option=orjson.OPT_INDENT_2).decode()


def written(make: Callable[[], str], path: str | Path | None) -> str:
    """The text, written to ``path`` too, if given; made once the path is known to be one.

    Raises:
        TimefenceConfigError: If it is no path.
        TimefenceStoreError: If the file cannot be written; what stood there is unchanged.
    """
    target = None if path is None else path_of(path, "path")
    text = make()
    if target is not None:
        try:
            _write(target, text.encode(errors="backslashreplace"))
        except OSError as error:
            raise TimefenceStoreError(
                message(
                    f"The report cannot be written to {shortened(str(path))}: {error.strerror}.",
                    fix="Check the folder and the free space; a file that stood there is unchanged.",
                )
            ) from error
    return text


def _write(target: Path, data: bytes) -> None:
    """Put a report in place whole; what a link leads to is replaced, not the link."""
    real = Path(os.path.realpath(target))
    if real.exists() and not real.is_file():
        real.write_bytes(data)  # a terminal, a pipe; a folder refuses
        return
    real.parent.stat()  # a folder that is not there is not made
    write_whole(real, data)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 64 else str(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124 - NaN
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
