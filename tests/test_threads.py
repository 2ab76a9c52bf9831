"""Idle threads release their cores, unless the user has set how they wait."""

import os
import subprocess
import sys

import pytest

_CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "None"),
    ],
)
def test_the_package_sets_how_long_threads_spin_before_torch_is_loaded(given: dict[str, str], expected: str) -> None:
    code = "import os, sys, flowmodel; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], env=_CLEAN | given, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [expected, "False"]
