"""Reports as files: JSON text of plain values, and text written where the user asked for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from timefence_pl.choices import path_of, shortened
from timefence_pl.errors import TimefenceStoreError, message

__all__ = ["json_text", "written"]


def json_text(value: Any) -> str:
    """Plain values as JSON; what JSON has no form for, as text."""
    return orjson.dumps(_plain(value), option=orjson.OPT_INDENT_2).decode()


def written(make: Callable[[], str], path: str | Path | None) -> str:
    """The text, written to ``path`` too, if given; made once the path is known to be one.

    Raises:
        TimefenceConfigError: If it is no path.
        TimefenceStoreError: If the file cannot be written.
    """
    target = None if path is None else path_of(path, "path")
    text = make()
    if target is not None:
        try:
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise TimefenceStoreError(
                message(
                    f"The report cannot be written to {shortened(str(path))}: {error.strerror}.",
                    fix="Check the folder.",
                )
            ) from error
    return text


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
