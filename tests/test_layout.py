"""The layers of docs/architecture.md: each package imports only from its layer or below."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from flowmodel.store import PROJECT_ROOT

LIBRARY = PROJECT_ROOT / "flowmodel"
# The packages' public modules.
PACKAGES = {path.stem for path in LIBRARY.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()} - {
    "__init__",
    "__main__",
}


def _layers() -> dict[str, int]:
    """Layer of each package in the diagram, counted from the lowest line."""
    text = (PROJECT_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    diagram = text.partition("Each layer imports only")[2].partition("### ")[0]
    lines = [re.findall(r"\b(\w+)(?:/|\.py)(?!\w)", line) for line in diagram.splitlines() if line.startswith("    ")]
    return {name: height for height, names in enumerate(reversed(lines)) for name in names if name in PACKAGES | {"pipelines"}}


@cache
def _imports(folder: Path) -> tuple[tuple[Path, str, str], ...]:
    """File, its package and the package of each import of the library, including those inside functions."""
    return tuple(_found_imports(folder))


def _found_imports(folder: Path) -> Iterator[tuple[Path, str, str]]:
    for path in folder.rglob("*.py"):
        relative = path.relative_to(PROJECT_ROOT).with_suffix("").parts
        own = relative[0] if relative[0] == "pipelines" else relative[1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                first, _, rest = name.partition(".")
                package = rest.partition(".")[0] if first == "flowmodel" else first
                if package != own and (package in PACKAGES or first == "pipelines"):
                    yield path, own, package


def test_every_package_is_in_one_layer_of_the_diagram():
    assert _layers().keys() == PACKAGES | {"pipelines"}


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_imports_nothing_from_a_layer_above(package):
    layers = _layers()
    upward = {(path.name, other) for path, own, other in _imports(LIBRARY) if own == package and layers[other] > layers[own]}
    assert not upward


def test_no_packages_import_one_another_in_a_circle():
    imported: dict[str, set[str]] = {package: set() for package in PACKAGES}
    for _, own, other in _imports(LIBRARY):
        if own in PACKAGES:
            imported[own].add(other)
    assert sum(map(len, imported.values())) > len(PACKAGES)
    TopologicalSorter(imported).prepare()  # raises CycleError
