"""Timing in turns."""

from benchmarks.measure import interleave, median_ratio


def test_runs_take_turns_after_a_warm_up_that_does_not_count():
    order: list[str] = []
    times = interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3, warm_up=2)
    assert order == ["a", "b"] * 5
    assert [len(column) for column in times.values()] == [3, 3]
    assert all(seconds >= 0 for column in times.values() for seconds in column)


def test_the_ratio_is_that_of_neighbours_so_that_a_slow_spell_does_not_count():
    assert median_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0
