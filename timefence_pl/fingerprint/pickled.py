"""The Python functions inside a plan.

Takes the bytes that Polars made of a function a moment ago in this very process, gives the function back. Never takes
bytes from a file or a store: loading a pickle runs what it says.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from typing import Any, Final

from timefence_pl.fingerprint.keys import Uncacheable
from timefence_pl.fingerprint.msgpack import unpack

__all__ = ["column_function", "holds_function", "plain_function"]

_COLUMN_MAGIC: Final = b"PLPYFN"
_VERSION: Final = bytes((sys.version_info.minor, sys.version_info.micro))


def holds_function(data: bytes) -> bool:
    """Whether bytes look like a function that Polars pickled."""
    return data.startswith((b"PLPY", b"PLNAMEDFN")) or (data[:1] in (b"\0", b"\1") and data[1:4] == _VERSION + b"\x80")


def plain_function(data: bytes) -> Any:
    """The function of ``map_groups``, ``reduce``, ``name.map`` and their like.

    The layout: one byte for how it was pickled, Python's minor and micro version, the pickle.

    Raises:
        Uncacheable: If the layout is another, or the function cannot be had back.
    """
    if data[:1] not in (b"\0", b"\1") or data[1:3] != _VERSION:
        raise Uncacheable("the plan holds a function in a layout that is not known")
    try:
        return _Loader(io.BytesIO(data[3:])).load()
    except Uncacheable:
        raise
    except Exception as error:
        name = type(error).__name__
        raise Uncacheable(f"the plan holds a function that cannot be read back ({name})") from error


def column_function(data: bytes) -> tuple[Any, list[Any]]:
    """The function of ``map_batches`` and ``map_elements``, and what Polars knows of it.

    The layout: a magic word; MessagePack of the output type, the field found when the expression last ran (left out
    here: it depends on nothing else), whether it is elementwise and whether it returns a scalar; a plain function.

    Raises:
        Uncacheable: As :func:`plain_function`.
    """
    if not data.startswith(_COLUMN_MAGIC):
        raise Uncacheable("the plan holds a function in a layout that is not known")
    try:
        facts, end = unpack(data, len(_COLUMN_MAGIC))
        output, _, elementwise, scalar = facts
    except (TypeError, ValueError) as error:
        raise Uncacheable("the plan holds a function in a layout that is not known") from error
    return plain_function(data[end:]), [output, elementwise, scalar]


class _Loader(pickle.Unpickler):
    """Loads functions that cloudpickle stored by value, but leaves the classes of the main script as they are.

    Cloudpickle would set all attributes of a living class again, to copies whose globals no longer follow the
    script's.
    """

    def find_class(self, module: str, name: str, /) -> Any:
        if module == "cloudpickle.cloudpickle" and name in _LIVING:
            return _LIVING[name]
        return super().find_class(module, name)


def _living_class(tracker: int) -> Callable[..., Any]:
    def find(*arguments: Any) -> Any:
        known = getattr(sys.modules.get("cloudpickle.cloudpickle"), "_DYNAMIC_CLASS_TRACKER_BY_ID", {})
        found = known.get(arguments[tracker])
        if found is None:
            raise Uncacheable("the plan holds a function that uses a class which cannot be traced")
        return found

    return find


_LIVING: Final[dict[str, Callable[..., Any]]] = {
    "_make_skeleton_class": _living_class(4),
    "_make_skeleton_enum": _living_class(5),
    "_class_setstate": lambda kind, _: kind,
}
