"""Values that do not change once made.

Takes nothing; gives a base class whose attributes are set once, by its subclass, through :meth:`Frozen._set`.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from timefence_pl.errors import TimefenceConfigError, message

__all__ = ["Frozen", "FrozenDict"]

_Value = TypeVar("_Value")


class Frozen:
    """Refuses to be changed, with an error that says what to do instead."""

    def _set(self, **values: object) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise self._refusal(name)

    def __delattr__(self, name: str) -> NoReturn:
        raise self._refusal(name)

    def _refusal(self, name: str) -> TimefenceConfigError:
        kind = type(self).__name__
        return TimefenceConfigError(
            message(f"{kind} is frozen; {name!r} cannot be changed.", fix=f"Make a new {kind} with the value you want.")
        )


class FrozenDict(dict[str, _Value]):
    """A mapping of names that refuses to be changed, and can be pickled."""

    def _refuse(self, *_args: Any, **_named: Any) -> NoReturn:
        raise TimefenceConfigError(
            message(
                "This mapping is part of a frozen definition.", fix="Make a new definition with the value you want."
            )
        )

    __setitem__ = __delitem__ = __ior__ = update = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self) -> tuple[type[FrozenDict[_Value]], tuple[dict[str, _Value]]]:
        return type(self), (dict(self),)
