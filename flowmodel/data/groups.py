"""Connected components of linked members."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

T = TypeVar("T", str, tuple[str, str])


def groups(members: Iterable[T], links: Iterable[tuple[T, T]]) -> dict[T, T]:
    """Maps each member to its group, which is named by its smallest member. Raises KeyError for a link to a non-member."""
    ordered = sorted(set(members))
    number = {member: i for i, member in enumerate(ordered)}
    a_P, b_P = np.array([(number[a], number[b]) for a, b in links], np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(a_P), bool), (a_P, b_P)), shape=(len(ordered), len(ordered)))
    _, label_N = connected_components(graph, directed=False)
    smallest: dict[int, T] = {}
    return {member: smallest.setdefault(label, member) for member, label in zip(ordered, label_N.tolist(), strict=True)}
