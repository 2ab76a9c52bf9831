import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmodel.data.groups import groups

MEMBERS = st.text("abcdefgh", min_size=1, max_size=1)


@given(
    st.sets(MEMBERS, min_size=1).flatmap(
        lambda of: st.tuples(st.just(of), st.lists(st.tuples(*[st.sampled_from(sorted(of))] * 2)))
    )
)
def test_groups_are_the_connected_components_named_by_their_smallest_member(case: tuple[set[str], list[tuple[str, str]]]) -> None:
    members, links = case
    smallest = {member: member for member in members}  # brute force: spread the smallest until nothing changes
    for _ in members:
        for a, b in links:
            smallest[a] = smallest[b] = min(smallest[a], smallest[b])
    assert groups(members, links) == smallest


def test_a_repeated_link_counts_as_one_and_an_unknown_icon_is_refused() -> None:
    assert groups([("b", ""), ("a", "")], [(("b", ""), ("a", ""))] * 256) == {("a", ""): ("a", ""), ("b", ""): ("a", "")}
    assert groups([], []) == {}
    with pytest.raises(KeyError):
        groups(["a"], [("a", "b")])
