"""Nothing that flowmodel or the pipeline reads or writes can run code when it is opened: no file is a pickle."""

import ast
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from flowmodel.store import PROJECT_ROOT

FILES = sorted(
    file for folder in ("flowmodel", "pipelines", "benchmarks", "data") for file in (PROJECT_ROOT / folder).rglob("*.py")
)
PICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def _found(tree: ast.AST) -> list[str]:
    """Code in a module that reads or writes pickles, with line numbers."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: {name.name}" for name in node.names if name.name.partition(".")[0] in PICKLING]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLING:
            found.append(f"{node.lineno}: {node.module}")
        elif isinstance(node, ast.Call):
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            match ast.unparse(node.func):
                case "torch.load" if given.get("weights_only") != "True":
                    found.append(f"{node.lineno}: torch.load without weights_only=True")
                case "torch.save":
                    found.append(f"{node.lineno}: torch.save")
                case name if given.get("allow_pickle", "False") != "False" or name.endswith((".read_pickle", ".to_pickle")):
                    found.append(f"{node.lineno}: {name}")
    return found


def is_pickle(file: Path) -> bool:
    """Whether a file is a pickle (of protocol 2 or later), or contains one as torch.save and np.save write it."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith((".pkl", ".pickle")) for name in archive.namelist())
    with file.open("rb") as content:
        begin = content.read(256)
    return begin[:1] == b"\x80" or (begin.startswith(b"\x93NUMPY") and b"'|O'" in begin)


def test_no_module_reads_or_writes_pickles():
    assert len(FILES) > 150
    found = {file.relative_to(PROJECT_ROOT).as_posix(): _found(ast.parse(file.read_text(encoding="utf-8"))) for file in FILES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(p)",
        "torch.save(x, p)",
        "np.load(p, allow_pickle=True)",
        "pd.read_pickle(p)",
    ],
)
def test_each_way_to_read_or_write_them_would_be_found(line):
    assert len(_found(ast.parse(line))) == 1


@pytest.mark.parametrize("line", ["torch.load(p, weights_only=True)", "np.load(p)", "json.load(p)"])
def test_what_cannot_run_code_is_not_found(line):
    assert _found(ast.parse(line)) == []


def test_no_file_that_comes_with_the_project_is_one():
    for file in Path(PROJECT_ROOT / "data").glob("*/*"):
        if file.is_file() and PROJECT_ROOT / "data" / "store" not in file.parents:
            assert not is_pickle(file), file


def test_files_with_pickles_are_recognized(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    (tmp_path / "object").write_bytes(pickle.dumps(tmp_path))
    np.save(tmp_path / "objects.npy", np.array([tmp_path], object))
    np.save(tmp_path / "numbers.npy", np.zeros(3))
    assert sorted(file.name for file in tmp_path.iterdir() if is_pickle(file)) == ["module.pt", "object", "objects.npy"]
