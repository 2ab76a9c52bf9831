"""Only the package `registry` imports MLflow."""

import ast
import subprocess
import sys
from pathlib import Path

from flowmodel.store import PROJECT_ROOT

REGISTRY = PROJECT_ROOT / "flowmodel" / "registry"


def _imported(path: Path) -> set[str]:
    """First names of all modules that the file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_nothing_but_the_registry_imports_mlflow():
    files = [path for room in ("flowmodel", "pipelines") for path in (PROJECT_ROOT / room).rglob("*.py")]
    importing = {path for path in files if "mlflow" in _imported(path)}
    assert importing and all(path.is_relative_to(REGISTRY) for path in importing)


def test_what_trains_evaluates_and_compares_runs_without_mlflow():
    rooms = ("training", "evaluation", "comparison", "release", "model")
    files = [path for room in rooms for path in sorted((PROJECT_ROOT / "flowmodel" / room).rglob("*.py"))]
    modules = [".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files]
    script = "import importlib, sys\nsys.modules['mlflow'] = None\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", script, *modules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
