"""Type-state: what engines compute is sealed until the disclosure gate has judged it.

``Sealed`` has no repr, no iteration, no equality and no pickle, so that a value cannot slip into a log, an
error or a response by accident. A house test keeps calls of :meth:`Sealed.unseal` inside ``disclosure``,
``methods`` and the runtime's referral and linkage jobs.
"""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Sealed(Generic[T]):
    """A value that only the disclosure gate may look at."""

    __slots__ = ("__value",)

    def __init__(self, value: T) -> None:
        self.__value = value

    def unseal(self) -> T:
        """The value, for the gate alone."""
        return self.__value

    def __repr__(self) -> str:
        """Say nothing about the value."""
        return "Sealed(…)"

    def __iter__(self) -> NoReturn:
        """Refuse iteration."""
        raise TypeError

    def __eq__(self, other: object) -> bool:
        """Refuse comparison: equality would be an oracle."""
        raise TypeError

    def __hash__(self) -> int:
        """Refuse hashing for the same reason."""
        raise TypeError

    def __reduce__(self) -> NoReturn:
        """Refuse pickling and copying."""
        raise TypeError
