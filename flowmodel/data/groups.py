"""Groups of things that belong together, directly or through others (disjoint sets, Tarjan 1975)."""

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T", str, tuple[str, str])


class Groups(Generic[T]):
    """At first every member is alone. A group is named by its smallest member."""

    def __init__(self, members: Iterable[T]) -> None:
        self._parent: dict[T, T] = {member: member for member in members}

    def name(self, member: T) -> T:
        """The smallest of all that belong to `member`; raises KeyError for something that was never a member."""
        while self._parent[member] != member:
            self._parent[member] = member = self._parent[self._parent[member]]
        return member

    def join(self, one: T, other: T) -> None:
        low, high = sorted((self.name(one), self.name(other)))
        self._parent[high] = low
