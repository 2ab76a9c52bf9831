"""The shipped weights as a folder, sampled with ONNX Runtime."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.export.model_export import export_model, zip_folder
from flowmodel.files import sha256_file
from flowmodel.model.checkpoint import save_checkpoint
from flowmodel.model.generator import Generator
from flowmodel.model.pretrained import pretrained_weights
from flowmodel.runtime.model_folder import CARD, FINISHER, NETWORK, TOKENIZER, TOWERS, ModelFolder
from flowmodel.runtime.onnx_generator import OnnxGenerator
from flowmodel.store import PROJECT_ROOT
from tests.test_no_pickle import is_pickle

PROMPTS = ["red heart, noto style", "pizza", "👍🏽", "blue house, twemoji style"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the exporter takes its time

# Samples with only numpy, onnxruntime, tokenizers and Pillow installed, and prints the peak memory and the imported packages.
_ALONE = """
import sys
from pathlib import Path
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "pydantic", "pyarrow", "yaml", "safetensors", "rich", "typer", "scipy"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from flowmodel.runtime.onnx_generator import OnnxGenerator
[heart] = OnnxGenerator.load(sys.argv[1], tower=sys.argv[2]).images(["❤️, noto style"])
heart.save(sys.argv[3])
status = Path("/proc/self/status")  # of Linux; elsewhere nothing is told of memory
print(status.read_text().partition("VmHWM:")[2].split()[0] if status.exists() else 0)
print(*sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
"""


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.from_pretrained(device="cpu")


def test_the_same_seed_gives_the_same_image_as_with_pytorch(exported, generator):
    onnx = OnnxGenerator(exported)
    assert onnx.nfe() == generator.nfe() == 20
    for finish in (True, False):
        expected = generator.sample(PROMPTS, seed=3, finish=finish).numpy().astype(int)
        found = onnx.sample(PROMPTS, seed=3, finish=finish)
        assert found.shape == expected.shape and found.dtype == np.uint8
        assert np.abs(found - expected).mean(axis=(1, 2, 3)).max() < 0.1


def test_batches_and_other_ways_of_sampling_are_the_same_too(exported, generator):
    options = {"seed": 1, "steps": 3, "guidance": 2.0, "solver": "heun"}
    expected = generator.sample(PROMPTS, **options).numpy().astype(int)
    for batch_size in (64, 3):
        found = OnnxGenerator(exported).sample(PROMPTS, **options, batch_size=batch_size)
        assert np.abs(found - expected).mean(axis=(1, 2, 3)).max() < 0.1
    assert OnnxGenerator(exported).sample([]).shape == (0, 4, 64, 64)


def test_a_tower_of_eight_bits_says_nearly_the_same(exported, generator):
    whole, small = generator.encode(PROMPTS), OnnxGenerator(exported, tower="int8").encode(PROMPTS)
    assert exported.file(TOWERS["int8"]).stat().st_size < 0.4 * exported.file(TOWERS["float32"]).stat().st_size
    assert (whole.pooled_BD.numpy() * small.pooled_BD).sum(1).min() > 0.9999
    assert np.array_equal(whole.mask_BL.numpy(), small.mask_BL)
    assert np.abs(whole.tokens_BLD.numpy() - small.tokens_BLD).max() < 0.1
    expected = generator.sample(PROMPTS, seed=3).numpy().astype(int)
    assert np.abs(OnnxGenerator(exported, tower="int8").sample(PROMPTS, seed=3) - expected).mean() < 1


def test_what_the_tower_cannot_take_in_is_reported_as_with_pytorch(exported, generator):
    prompts = ["красное сердце", "heart ☃︎", "a " * 300, "pizza", "兔子"]
    assert OnnxGenerator(exported).readability(prompts) == generator.readability(prompts)


@pytest.mark.parametrize("tower", ["float32", "int8"])
def test_it_draws_without_pytorch_in_little_memory(exported, tower, tmp_path):
    command = [sys.executable, "-c", _ALONE, str(exported.path), tower, str(tmp_path / "heart.png")]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    memory, packages = done.stdout.splitlines()
    assert int(memory) < 400 * 1024  # kB
    modules = {name for name in packages.split() if not name.startswith("_")}  # no hooks of installers
    assert modules - {"cython_runtime"} == {"flowmodel", "numpy", "onnxruntime", "tokenizers", "PIL"}
    with Image.open(tmp_path / "heart.png") as heart:
        assert heart.mode == "RGBA" and heart.size == (64, 64)
        red, green, _, alpha = heart.getpixel((32, 32))
        assert alpha > 224 and red > 2 * green and heart.getpixel((0, 0))[3] < 32


def test_it_says_what_it_is(exported):
    checkpoint, described = pretrained_weights(), exported.description
    assert described.checkpoint == checkpoint.digest and described.encoder_digest == checkpoint.header.encoder_digest
    assert {"fluent flat", "noto", "twemoji", "ultimate"} < set(described.styles) and len(described.styles) == 10
    card = exported.file(CARD).read_text(encoding="utf-8")
    for term in checkpoint.terms:
        assert {"source": term.source, "license": term.license}.items() <= described.terms[checkpoint.terms.index(term)].items()
        assert f"| {term.source} | {term.license} |" in card
    exported.verify()


def test_nothing_of_it_tells_where_it_was_made_or_needs_unpickling(exported):
    for path in exported.path.iterdir():
        content = path.read_bytes()
        assert str(PROJECT_ROOT).encode() not in content and b"site-packages" not in content, path
        assert not is_pickle(path), path
    assert {path.suffix for path in exported.path.iterdir()} == {".json", ".md", ".onnx", ".zlib"}


@pytest.mark.parametrize("name", [NETWORK, TOWERS["float32"], TOKENIZER, FINISHER])
def test_a_tampered_or_truncated_folder_draws_nothing(exported, name, tmp_path):
    copy = Path(shutil.copytree(exported.path, tmp_path / "copy", copy_function=os.link))
    content = (copy / name).read_bytes()
    for damaged in (content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
        (copy / name).unlink()
        (copy / name).write_bytes(damaged)
        with pytest.raises(FlowmodelError, match=rf"{name}: has .*export the model again"):
            OnnxGenerator.load(copy).sample(["pizza"], steps=1)


def test_the_zip_file_holds_all_of_it(exported, tmp_path):
    with zipfile.ZipFile(exported.path.with_name("icons.zip")) as opened:
        opened.extractall(tmp_path)
    again = ModelFolder.open(tmp_path / "icons")
    again.verify()
    assert again.digest == exported.digest
    assert zip_folder(again, tmp_path / "again.zip").digest == sha256_file(exported.path.with_name("icons.zip"))


def test_other_encoders_and_other_folders_are_refused(tmp_path):
    weights = pretrained_weights()
    other = save_checkpoint(tmp_path / "clip.safetensors", weights.tensors(), replace(weights.header, encoder="ViT-B-32/openai"))
    with pytest.raises(FlowmodelError, match="caption encoder is 'ViT-B-32/openai', and only minilm can be exported"):
        export_model(other, tmp_path / "out")
    with pytest.raises(FlowmodelError, match="not an exported model"):
        export_model(weights, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.safetensors"]


def test_the_command_draws_from_the_folder(exported, tmp_path):
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flowmodel", "sample", "pizza", "--out", str(tmp_path / "grid.png"), *options]
        environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "FLOWMODEL_STORE": str(tmp_path), "COLUMNS": "300"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = run("--model", str(exported.path), "--seed", "5", "--animate")
    assert done.returncode == 0 and "20 network evaluations per image, finished" in done.stdout, done.stderr
    [expected] = OnnxGenerator(exported).images(["pizza"], seed=5)
    with Image.open(tmp_path / "grid" / "pizza-0.png") as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(expected))
    with Image.open(tmp_path / "grid" / "pizza-animated.png") as frames:
        assert frames.n_frames > 24
        frames.seek(frames.n_frames - 1)
        assert np.array_equal(np.asarray(frames.convert("RGBA")), np.asarray(expected))
    refused = run("--model", str(exported.path), "--device", "cuda")
    assert refused.returncode == 2 and "runs on the CPU" in refused.stderr and len(refused.stderr.splitlines()) == 1


def test_it_animates_as_with_pytorch(exported, generator):
    for finish in (True, False):
        expected = generator.trajectory(PROMPTS[:2], seed=3, finish=finish).states_SBCHW.numpy().astype(int)
        found = OnnxGenerator(exported).trajectory(PROMPTS[:2], seed=3, finish=finish).states_SBCHW
        assert found.shape == expected.shape == (17, 2, 4, 64, 64) and found.dtype == np.uint8
        assert np.abs(found - expected).mean() < 0.1
    drawn = OnnxGenerator(exported).sample(PROMPTS[:2], seed=3)
    assert np.array_equal(OnnxGenerator(exported).trajectory(PROMPTS[:2], seed=3).states_SBCHW[-1], drawn)


def test_export_asks_for_a_folder(tmp_path):
    command = [sys.executable, "-m", "flowmodel", "export", "pretrained"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "FLOWMODEL_STORE": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: --out: missing") and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
