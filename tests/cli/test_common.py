"""How commands resolve `--model`."""

import os
import shutil
import subprocess
import sys

import numpy as np
from PIL import Image

from flowmodel.cli.common import exported, quicker
from flowmodel.images.rgba import premultiply
from flowmodel.model.generator import Generator
from flowmodel.store import Store


def test_a_folder_that_is_not_an_exported_model_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert exported(None, "auto") is None and exported("pretrained", "auto") is None
    (tmp_path / "pretrained").mkdir()
    assert exported("pretrained", "auto") is None


_WITHOUT_PYTORCH = """
import sys
from flowmodel.cli import app
app(sys.argv[1:], standalone_mode=False)
assert "torch" not in sys.modules
"""


def test_a_few_images_are_sampled_without_pytorch_if_the_store_has_an_export(tiny_training, tiny_export, tmp_path):
    store, checkpoint = tiny_training.store, tiny_training.checkpoint
    assert quicker(store, checkpoint, "cpu", 16).folder.path.samefile(tiny_export)
    for device, images in (("cuda", 1), ("auto", 17)):
        assert quicker(store, checkpoint, device, images) is None
    assert quicker(Store(tmp_path), checkpoint, "auto", 1) is None
    damaged = Store(tmp_path / "damaged")
    copy = shutil.copytree(tiny_export, damaged.exports / tiny_export.name)
    assert quicker(damaged, checkpoint, "auto", 1) is not None
    (copy / "network.onnx").write_bytes((copy / "network.onnx").read_bytes()[:-1])
    assert quicker(damaged, checkpoint, "auto", 1) is None
    command = [sys.executable, "-c", _WITHOUT_PYTORCH, "sample", "red heart", "--model", str(checkpoint.path), "--seed", "4"]
    environment = os.environ | {"FLOWMODEL_STORE": str(store.root), "COLUMNS": "300"}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "grid.png")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and f"model {checkpoint}" in done.stdout, done.stderr
    [expected_4HW] = Generator.load(checkpoint, "cpu").sample(["red heart"], seed=4).numpy()
    with Image.open(tmp_path / "grid" / "red-heart-0.png") as drawn:
        found_4HW = premultiply(np.asarray(drawn)[None])[0].transpose(2, 0, 1)
    assert np.abs(found_4HW.astype(int) - expected_4HW).mean() < 1
