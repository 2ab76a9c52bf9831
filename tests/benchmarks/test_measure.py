"""Timing in turns, and rows of several processes."""

import subprocess
import sys

import pytest

from benchmarks.measure import interleave, median_ratio, read_rows, run_jobs


def test_runs_take_turns_after_a_warm_up_that_does_not_count():
    order: list[str] = []
    times = interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3, warm_up=2)
    assert order == ["a", "b"] * 5
    assert [len(column) for column in times.values()] == [3, 3]
    assert all(seconds >= 0 for column in times.values() for seconds in column)


def test_the_ratio_is_that_of_neighbors_so_that_a_slow_spell_does_not_count():
    assert median_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0


def test_rows_of_jobs_are_kept_if_one_of_them_fails(tmp_path):
    rows = tmp_path / "rows.jsonl"
    assert read_rows(rows) == []
    told = "import os; print('on the way'); print('[{\"threads\": ' + os.environ['OMP_NUM_THREADS'] + '}, {\"threads\": 0}]')"
    commands = [[sys.executable, "-c", code] for code in (told, "raise SystemExit(3)", told)]
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        run_jobs(commands, rows, workers=2)
    assert read_rows(rows) == [{"threads": 1}, {"threads": 0}] * 2
