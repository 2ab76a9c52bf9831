"""The command line, in a separate process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowmodel.files import read_json
from tests.cli.forked import run_forked
from tests.conftest import TINY

_STARTED: set[str] = set()


def _flowmodel(*arguments: object, store: Path, columns: int = 200) -> subprocess.CompletedProcess[str]:
    words, environment = list(map(str, arguments)), os.environ | {"FLOWMODEL_STORE": str(store), "COLUMNS": str(columns)}
    if words[0] in _STARTED:
        return run_forked(words, environment)
    _STARTED.add(words[0])  # the first call of each command is a new process, which prints nothing else while it imports
    command = [sys.executable, "-c", "from flowmodel.cli import main; main()", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def _assert_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and result.stderr.startswith("error: "), result.stderr
    for word in words:
        assert word in result.stderr


def test_an_old_field_costs_one_line_with_its_new_name(tmp_path):
    result = _flowmodel("train", "--out", tmp_path, "--set", "training.accumulate=x", store=tmp_path)
    warning, error = result.stderr.splitlines()
    assert warning.startswith("warning: ") and "training.accumulate is now called training.grad_accum_steps" in warning
    assert error.startswith("error: ") and "training.grad_accum_steps" in error and result.returncode == 2


def test_sample_draws_transparent_images_and_a_grid(tiny_training, tmp_path):
    def draw(name: str, *options: object) -> Path:
        out = tmp_path / name / "grid.png"
        result = _flowmodel(
            "sample",
            "red heart",
            "pizza",
            "--count",
            2,
            "--out",
            out,
            "--model",
            tiny_training.checkpoint.path,
            *options,
            store=tmp_path,
        )
        assert result.returncode == 0, result.stderr
        return out

    first, again, other = draw("first"), draw("again"), draw("other", "--seed", 1, "--steps", 1, "--guidance", 1)
    names = sorted(path.name for path in first.with_suffix("").iterdir())
    assert names == ["pizza-0.png", "pizza-1.png", "red-heart-0.png", "red-heart-1.png"]
    for name in names:
        with Image.open(first.with_suffix("") / name) as image:
            assert image.mode == "RGBA" and image.size == (16, 16)
        assert (first.with_suffix("") / name).read_bytes() == (again.with_suffix("") / name).read_bytes()
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    assert np.asarray(Image.open(first)).shape[2] == 3


def test_paths_are_not_broken_in_a_narrow_terminal(tiny_training, tmp_path):
    out = tmp_path / ("a-long-name-" * 6) / "grid.png"
    options = ("--animate", "--out", out, "--model", tiny_training.checkpoint.path)
    result = _flowmodel("sample", "pizza", *options, store=tmp_path, columns=80)
    assert result.returncode == 0, result.stderr
    animated, drawn = result.stdout.splitlines()[-2:]
    folder = out.with_suffix("")
    assert drawn.startswith(f"1 image in {folder}/, grid in {out} (model ")
    assert animated == f"noise turning into icons: {folder}/pizza-animated.png"
    with Image.open(animated.partition(": ")[2]) as frames:
        assert frames.n_frames > 1


def test_every_image_is_a_file_of_its_own_and_is_counted(tiny_training, tmp_path):
    prompts = [
        "赤いハート",
        "ピザ",
        "犬",
        "🍕",
        "Pizza",
        "pizza",
        "pizza",
        "a very long prompt " * 5 + "one",
        "a very long prompt " * 5 + "two",
    ]
    out, options = tmp_path / "grid.png", ("--model", tiny_training.checkpoint, "--animate")
    result = _flowmodel("sample", *prompts, "--out", out, *options, store=tmp_path)
    assert result.returncode == 0, result.stderr
    images = [path.name for path in (tmp_path / "grid").iterdir() if not path.name.endswith("-animated.png")]
    assert result.stdout.splitlines()[-1].startswith(f"{len(images)} images in ") and len(images) == len(prompts)
    assert len({name.casefold() for name in images}) == len(prompts)
    assert {"赤いハート-0.png", "ピザ-0.png", "犬-0.png", "pizza-0.png", "pizza-1.png"} <= set(images)
    assert len(list((tmp_path / "grid").iterdir())) == len(prompts) + len(set(prompts))

    alone = _flowmodel("sample", "pizza", "--out", out, "--model", tiny_training.checkpoint, store=tmp_path)
    assert alone.stdout.startswith("1 image in ")


def test_train_leaves_a_checkpoint_and_does_not_repeat_it(prepared, tmp_path):
    options = [part for override in TINY for part in ("--set", override)]
    first = _flowmodel("train", "--recipe", "from_scratch", "--out", tmp_path / "run", *options, store=prepared.store.root)
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "run" / "final.safetensors").exists() and (tmp_path / "run" / "grid.png").exists()
    second = _flowmodel("train", "--recipe", "from_scratch", "--out", tmp_path / "run", *options, store=prepared.store.root)
    assert second.returncode == 0 and "already finished" in second.stdout
    assert not (tmp_path / "run" / "finished.safetensors").exists()
    options += ["--set", "finisher={channels: 8, blocks: 1, steps: 4, batch_size: 4, drawings: 1}"]
    for words in ("finisher trained: ", "finisher was already trained: "):
        finished = _flowmodel("train", "--recipe", "from_scratch", "--out", tmp_path / "run", *options, store=prepared.store.root)
        assert finished.returncode == 0 and f"{words}{tmp_path / 'run' / 'finished.safetensors'}" in finished.stdout
        assert "already finished" in finished.stdout


def test_sample_says_whether_images_are_finished(tiny_finished, tmp_path):
    for options, words in (
        ([], "network evaluations per image, finished, seed"),
        (["--no-finish"], "evaluations per image, seed"),
    ):
        out = tmp_path / "grid.png"
        result = _flowmodel("sample", "pizza", "--out", out, "--model", tiny_finished.checkpoint, *options, store=tmp_path)
        assert result.returncode == 0 and words in result.stdout, result.stderr


def test_sample_writes_the_format_that_is_requested(tiny_training, tmp_path):
    cases = {
        "svg": (["--size", 512], ["pizza-0.svg", "pizza-1.svg"]),
        "ico": (["--background", "#fff"], ["pizza-0.ico", "pizza-1.ico"]),
        "sheet": ([], ["sheet.json", "sheet.png"]),
        "png": (["--size", 48, "--no-trace"], ["pizza-0.png", "pizza-1.png"]),
        "webp": (["--background", "#00ff80"], ["pizza-0.webp", "pizza-1.webp"]),
        "icns": ([], ["pizza-0.icns", "pizza-1.icns"]),
        "favicon": ([], ["pizza-0", "pizza-1"]),
    }
    for format, (options, names) in cases.items():
        asked = (
            "--count",
            2,
            "--out",
            tmp_path / format / "grid.png",
            "--model",
            tiny_training.checkpoint.path,
            "--format",
            format,
        )
        result = _flowmodel("sample", "pizza", *asked, *options, store=tmp_path)
        assert result.returncode == 0, result.stderr
        assert sorted(path.name for path in (tmp_path / format / "grid").iterdir()) == names
    assert 'width="512" height="512" viewBox="0 0 16 16"' in (tmp_path / "svg" / "grid" / "pizza-0.svg").read_text()
    with Image.open(tmp_path / "png" / "grid" / "pizza-0.png") as image:
        assert image.size == (48, 48)
    with Image.open(tmp_path / "webp" / "grid" / "pizza-0.webp") as image:
        assert image.size == (512, 512) and np.asarray(image.convert("RGBA"))[..., 3].min() == 255


def test_evaluate_leaves_a_page_and_its_numbers(tiny_training, tmp_path):
    out, numbers = tmp_path / "report.html", tmp_path / "metrics.json"
    model = tiny_training.checkpoint.path
    options = ("--model", model, "--seed", 7, "--out", out, "--json", numbers, "--icons", 8, "--no-sweeps")
    result = _flowmodel("evaluate", *options, store=tiny_training.store.root)
    assert result.returncode == 0, result.stderr
    assert f"report {out}, metrics {numbers}" in result.stdout and out.read_text().startswith("<!doctype html>")
    values = read_json(numbers)
    assert {"metrics", "baselines", "settings"} <= values.keys() and values["settings"]["seeds"] == [7, 8, 9]
    assert values["metrics"]["train"]["count"] == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--out", "x", "--recipe", "nonsense"], ["recipe 'nonsense': no such recipe", "laptop", "quickstart"]),
        (["train", "--out", "x", "--set", "training.stepz=3"], ["training.stepz: unknown field", "steps"]),
        (["train", "--out", "x", "--set", "training.steps=many"], ["training.steps", "'many'"]),
        (["train", "--out", "x", "--set", "training.steps"], ["--set training.steps: write it as field.path=value"]),
        (["train", "--out", "x", "--sources", "nowhere.yaml"], ["nowhere.yaml: no such file"]),
        (["sample", "pizza", "--model", "nowhere.safetensors"], ["nowhere.safetensors"]),
        (["sample", "pizza", ""], ["prompt ''", "is empty"]),
        (["sample", "pizza", "--out", "grid.jpeg"], ["--out grid.jpeg", "ends in .png"]),
        (["sample", "pizza", "--background", "sky"], ["background 'sky'", "#fff"]),
        (["sample", "pizza", "--format", "ico", "--size", "64"], ["--size 64", "leave out --size"]),
        (["evaluate", "--out", "report.pdf"], ["report.pdf: choose a name that ends in .html"]),
        (["summary"], ["nothing is registered in this store yet", "make quickstart"]),
    ],
)
def test_bad_input_gives_one_clear_line(arguments, words, tmp_path):
    _assert_one_line(_flowmodel(*arguments, store=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []
