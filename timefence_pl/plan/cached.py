"""A property that is computed once.

Takes a method, gives a property that keeps its value. It holds no lock while it computes: before Python 3.12 the standard
library's ``cached_property`` holds one for all objects of a class, so that threads with an object each wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

__all__ = ["cached"]

T = TypeVar("T")


class cached(Generic[T]):  # noqa: N801 - used as a decorator
    """Keeps what a method without arguments gives in the object's dictionary, under the method's name.

    Two threads that ask one object at once may both compute it.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> cached[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> cached[T] | T:
        if instance is None:
            return self
        value = self._compute(instance)
        vars(instance)[self._name] = value  # found from now on before this descriptor, which has no __set__
        return value
