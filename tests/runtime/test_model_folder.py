"""The description of an exported model's folder, and refusals."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_json, write_json
from flowmodel.runtime.model_folder import DESCRIPTION, Description, ModelFolder, Sampling

SAMPLING = Sampling("euler", 16, 0.7, 4.0, (0.0, 0.3))
DESCRIBED = Description("mine", "c" * 64, 32, 64, 4, 1000, "minilm", "e" * 64, 256, SAMPLING, ("noto",), ({"source": "noto"},))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "network.onnx").write_bytes(b"one")
    (tmp_path / "tokenizer.json").write_bytes(b"two")
    written = {path.name: path for path in tmp_path.iterdir()}
    write_json(tmp_path / DESCRIPTION, DESCRIBED.to_json(written))
    return tmp_path


def test_what_is_written_is_read(folder):
    opened = ModelFolder.open(folder)
    assert opened.description == DESCRIBED
    assert "network.onnx" in opened and "finisher.onnx" not in opened
    assert opened.file("network.onnx") == folder / "network.onnx"
    opened.verify()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"One", "has SHA-256"), (b"on", "has 2 bytes instead of 3"), (b"", "has 0 bytes instead of 3"), (None, "missing")],
)
def test_a_file_that_was_changed_is_refused(folder, content, words):
    (folder / "network.onnx").unlink() if content is None else (folder / "network.onnx").write_bytes(content)
    with pytest.raises(FlowmodelError, match=rf"network\.onnx: {words}.*export the model again"):
        ModelFolder.open(folder).file("network.onnx")
    with pytest.raises(FlowmodelError, match=words):
        ModelFolder.open(folder).verify()


def test_a_description_that_was_changed_is_refused(folder):
    text = (folder / DESCRIPTION).read_text()
    (folder / DESCRIPTION).write_text(text.replace('"steps": 16', '"steps": 17'))
    with pytest.raises(FlowmodelError, match=r"model\.json: its digest does not match"):
        ModelFolder.open(folder)
    (folder / DESCRIPTION).write_text(text[: len(text) // 2])
    with pytest.raises(FlowmodelError, match=r"model\.json: not valid JSON"):
        ModelFolder.open(folder)


def _rewritten(folder: Path, **changes: object) -> Path:
    """With a digest that fits again, as another program would write it."""
    values = json.loads((folder / DESCRIPTION).read_text()) | changes
    del values["digest"]
    return write_json(folder / DESCRIPTION, values | {"digest": sha256_json(values)})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "has format 2, and this release reads 1"),
        ({"files": None}, "a field is missing or has the wrong type"),
        ({"sampling": {}}, "a field is missing"),
        ({"sampling": {"solver": "rk4"}}, "solver: 'rk4' must be one of euler, midpoint, heun"),
    ],
)
def test_an_invalid_description_is_named(folder, changes, words):
    _rewritten(folder, **changes)
    with pytest.raises(FlowmodelError, match=words):
        ModelFolder.open(folder)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("steps", 1.5), ("steps", True), ("guidance", -1), ("guidance", "4")])
def test_bad_sampling_options_are_named(name, value):
    values = vars(SAMPLING) | {name: value}
    with pytest.raises(FlowmodelError, match=rf"sampling options: {name}: "):
        Sampling.of(values, "sampling options")
    assert Sampling.of(vars(SAMPLING), "") == replace(SAMPLING)


def test_another_folder_is_not_a_model(tmp_path):
    with pytest.raises(FlowmodelError, match=r"model\.json: no such file"):
        ModelFolder.open(tmp_path)
    write_json(tmp_path / DESCRIPTION, ["something else"])
    with pytest.raises(FlowmodelError, match="not the description of an exported model"):
        ModelFolder.open(tmp_path)
