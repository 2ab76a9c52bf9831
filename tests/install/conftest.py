"""Environments with the installed packages but without this checkout, made once without downloads."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from flowmodel.store import PROJECT_ROOT
from tests.pipelines.conftest import RECIPE, write_icons

_SHIPPED = ("data/bundled", "data/pretrained", "data/pretrained-fast")
_IN_A_WHEEL = ("flowmodel", "pipelines", *_SHIPPED, "pyproject.toml", "setup.py", "README.md", "LICENSE")


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and an empty working folder outside the checkout."""

    folder: Path
    work: Path

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / "python"

    @property
    def variables(self) -> dict[str, str]:
        # Variables that point to this checkout or to a store are removed.
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FLOWMODEL_", "MLFLOW_TRACKING"))
        }
        path = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])
        return kept | {"PATH": path, "VIRTUAL_ENV": str(self.folder), "COLUMNS": "200", "DAGSTER_HOME": str(self.work)}

    def run(self, *command: object, **variables: str) -> str:
        """The output of `python command`, which must succeed."""
        done = subprocess.run(
            [str(self.python), *map(str, command)],
            cwd=self.work,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout


def _environment(root: Path) -> Environment:
    folder, work = root / "environment", root / "elsewhere"
    venv.create(folder, with_pip=False)
    work.mkdir()
    environment = Environment(folder, work)
    # A line of a .pth file is a folder to import from. Whose own .pth files are not read, so that an editable flowmodel there
    # is not seen.
    site = Path(environment.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "installed.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return environment


@pytest.fixture(scope="session")
def bare(tmp_path_factory) -> Environment:
    """Without flowmodel."""
    environment = _environment(tmp_path_factory.mktemp("bare"))
    missing = "import importlib.util; print(importlib.util.find_spec('flowmodel'), importlib.util.find_spec('pipelines'))"
    assert environment.run("-c", missing) == "None None\n"
    program = environment.python.with_name("uvicorn")  # MLflow starts it by its name
    program.write_text(f"#!{environment.python}\nfrom uvicorn import main\nmain()\n")
    program.chmod(0o755)
    return environment


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """Built of a copy, because building leaves files behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in _IN_A_WHEEL:
        path, target = PROJECT_ROOT / name, source / name
        target.parent.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, target)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Environment:
    """With flowmodel from its wheel."""
    environment = _environment(tmp_path_factory.mktemp("installed"))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(environment.python),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    done = subprocess.run(pip, env=environment.variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(environment.folder) in environment.run(
        "-c", "import flowmodel, pipelines; print(flowmodel.__file__, pipelines.__file__)"
    )
    return environment


@pytest.fixture(scope="session")
def quickstart(installed) -> Environment:
    """The installed package after its job has trained and registered a tiny model, in the current folder."""
    work = installed.work
    write_icons(work / "icons")
    (work / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    sources = {"sources": [{"name": "mine", "kind": "folder", "path": "icons", "license": "CC0-1.0"}]}
    (work / "sources.yaml").write_text(yaml.safe_dump(sources))
    job = ("dagster", "job", "execute", "-m", "pipelines.definitions", "-j", "quickstart")
    installed.run("-m", *job, FLOWMODEL_RECIPE="recipe.yaml", FLOWMODEL_SOURCES="sources.yaml")
    return installed
