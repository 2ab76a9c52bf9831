"""The layers of docs/architecture.md: each package imports only from its layer or below."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from flowmodel.store import PROJECT_ROOT

LIBRARY = PROJECT_ROOT / "flowmodel"
# The packages' public modules.
ROOMS = {path.stem for path in LIBRARY.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()} - {
    "__init__",
    "__main__",
}


def _floors() -> dict[str, int]:
    """Layer of each package in the diagram, counted from the lowest line."""
    text = (PROJECT_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = text.partition("Each layer imports only")[2].partition("### ")[0]
    lines = [re.findall(r"\b(\w+)(?:/|\.py)(?!\w)", line) for line in drawing.splitlines() if line.startswith("    ")]
    return {name: height for height, names in enumerate(reversed(lines)) for name in names if name in ROOMS | {"pipelines"}}


def _imports(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """File, its package and the package of each import of the library, including those inside functions."""
    for path in folder.rglob("*.py"):
        relative = path.relative_to(PROJECT_ROOT).with_suffix("").parts
        own = relative[0] if relative[0] == "pipelines" else relative[1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                first, _, rest = name.partition(".")
                room = rest.partition(".")[0] if first == "flowmodel" else first
                if room != own and (room in ROOMS or first == "pipelines"):
                    yield path, own, room


def test_every_room_stands_on_one_floor_of_the_drawing():
    assert _floors().keys() == ROOMS | {"pipelines"}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_nothing_from_a_floor_above(room):
    floors = _floors()
    upward = {(path.name, other) for path, own, other in _imports(LIBRARY) if own == room and floors[other] > floors[own]}
    assert not upward


def test_no_rooms_import_one_another_in_a_circle():
    imported: dict[str, set[str]] = {room: set() for room in ROOMS}
    for _, own, other in _imports(LIBRARY):
        if own in ROOMS:
            imported[own].add(other)
    assert sum(map(len, imported.values())) > len(ROOMS)
    TopologicalSorter(imported).prepare()  # raises CycleError
