"""A missing package gives one line with its install command."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import dagster as dg
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.extras import MODULES, missing_extra, require
from flowmodel.store import PROJECT_ROOT
from pipelines.failures import readable_failures

PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Runs the command line where the packages of the first argument are not installed.
_WITHOUT = """
import sys
absent = sys.argv.pop(1).split(",")
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in absent: raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from flowmodel.cli import main
main()
"""


def _without(absent: str, arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FLOWMODEL_STORE": str(folder / "store"), "PYTHONPATH": str(PROJECT_ROOT)}
    command = [sys.executable, "-c", _WITHOUT, absent, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", each)[0].lower().replace("_", "-") for each in requirements}


def _required(extra: str) -> set[str]:
    """Distributions that the extra brings, those of the extras that it includes too."""
    found: set[str] = set()
    for each in PROJECT["optional-dependencies"][extra]:
        included = re.match(r"flowmodel\[(.*)\]", each)
        found |= set().union(*map(_required, included[1].split(","))) if included else _names([each])
    return found


@pytest.fixture(scope="module")
def distributions() -> Mapping[str, list[str]]:
    """The names of the distributions that bring a package."""
    return packages_distributions()


@pytest.mark.parametrize("extra", MODULES)
def test_an_extra_brings_the_packages_of_its_modules(extra, distributions):
    if extra == "ray":
        pytest.importorskip("ray")
    for module in MODULES[extra]:
        if module not in ("huggingface_hub", "markupsafe"):  # come with transformers and with jinja2
            assert _names(distributions[module]) & _required(extra), module


def test_all_brings_everything_except_ray_and_drawing_needs_none_of_it():
    everything = set().union(*map(_required, MODULES))
    assert _required("all") == everything - {"dagster-ray", "ray"} and not everything & _names(PROJECT["dependencies"])


@pytest.mark.parametrize(
    ("absent", "extra", "arguments"),
    [
        ("vtracer", "vector", ["sample", "pizza", "--model", "pretrained", "--steps", "1", "--format", "svg"]),
        ("pandas", "data", ["train", "--recipe", "quickstart", "--out", "run"]),
        ("accelerate", "train", ["train", "--recipe", "quickstart", "--out", "run"]),
        ("jinja2", "data", ["evaluate", "--model", "pretrained"]),
        ("mlflow", "pipeline", ["champion", "set", "1"]),
    ],
)
def test_a_command_names_the_extra_that_it_needs(absent, extra, arguments, tmp_path, monkeypatch):
    if absent == "mlflow":  # a local database is used without MLflow
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    done = _without(absent, arguments, tmp_path)
    assert done.stderr == f"error: package '{absent}': not installed; run: pip install 'flowmodel[{extra}]'\n"
    assert done.returncode == 2


def test_drawing_works_without_any_extra(tmp_path):
    done = _without(",".join(module for modules in MODULES.values() for module in modules), ["sample", "pizza 🍕"], tmp_path)
    assert done.returncode == 0 and (tmp_path / "samples.png").is_file(), done.stderr


def test_an_asset_names_the_extra_that_it_needs():
    with pytest.raises(dg.Failure) as caught, readable_failures():
        raise ModuleNotFoundError("No module named 'open_clip.model'", name="open_clip.model")
    assert "pip install 'flowmodel[clip]'" in caught.value.description
    with pytest.raises(ModuleNotFoundError), readable_failures():
        raise ModuleNotFoundError("No module named 'mine'", name="mine")


def test_only_what_comes_with_an_extra_is_explained(monkeypatch):
    assert missing_extra(ModuleNotFoundError("No module named 'mine'", name="mine")) is None
    require("pandas", "accelerate")
    monkeypatch.setattr("flowmodel.extras.find_spec", lambda name: None)
    with pytest.raises(FlowmodelError, match=r"'accelerate'.*flowmodel\[train\]"):
        require("accelerate")
