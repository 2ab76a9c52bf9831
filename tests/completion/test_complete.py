"""Completing an icon set: a short fine-tuning, samples of the missing names, and marked near copies."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowmodel.completion.complete import RECORD, SHEET, STYLE, complete_set
from flowmodel.completion.names import read_names
from flowmodel.completion.near_copies import copied_icons
from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.files import read_json
from flowmodel.images.rgba import premultiply
from flowmodel.model.generator import Generator
from flowmodel.recipes import load_recipe
from flowmodel.store import Store
from flowmodel.training.observers import TrainingObserver
from tests.cli.forked import run_forked
from tests.conftest import TINY, use_caches
from tests.pipelines.conftest import write_icons

NAMES = ["paper plane", "Teapot & cup"]


@pytest.fixture(scope="module")
def recipe(tiny_training):
    overrides = [f"training.init_from={tiny_training.checkpoint.path}", "training.steps=6", "data.selection=null"]
    return load_recipe("from_scratch", [*TINY, *overrides])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, caches):
    root = tmp_path_factory.mktemp("set")
    use_caches(Store(root / "store"), caches)
    write_icons(root / "My Icons", 12)
    return root


@pytest.fixture(scope="module")
def completed(workplace, recipe):
    return complete_set(workplace / "My Icons", NAMES, workplace / "out", Store(workplace / "store"), recipe, count=2)


def test_every_name_has_its_drawings_as_png_and_svg(completed, workplace):
    stems = {drawing.stem for drawing in completed.drawings}
    assert [drawing.name for drawing in completed.drawings] == [name for name in NAMES for _ in range(2)]
    assert {path.stem for path in (workplace / "out" / "png").iterdir()} == stems and len(stems) == 4
    assert {path.stem for path in (workplace / "out" / "svg").iterdir()} == stems
    with Image.open(workplace / "out" / "png" / "paper-plane-0.png") as image:
        assert image.mode == "RGBA" and image.size == (16, 16)
    assert {entry["stem"] for entry in read_json(workplace / "out" / RECORD)} == stems


def test_the_contact_sheet_has_a_row_per_name(completed, workplace):
    with Image.open(workplace / "out" / SHEET) as sheet:
        assert sheet.height > len(NAMES) * 112 and sheet.width > 4 * 112


def test_no_icon_of_the_set_is_held_out_and_the_style_is_the_folders_name(completed):
    assert set(completed.dataset.splits.values()) == {"train"} and len(completed.dataset.ids) == 12
    assert set(completed.dataset.icons["source"]) == {"my-icons"}
    assert set(completed.checkpoint.header.trained_ids) == set(completed.dataset.ids)


def test_more_names_need_no_training_and_keep_earlier_drawings(completed, workplace, recipe, tmp_path):
    store, out = (Path(shutil.copytree(workplace / name, tmp_path / name, symlinks=True)) for name in ("store", "out"))
    before = (out / "png" / "paper-plane-1.png").read_bytes()
    again = complete_set(workplace / "My Icons", ["lantern", *NAMES], out, Store(store), recipe, count=2)
    assert completed.trained_now and not again.trained_now and again.checkpoint.digest == completed.checkpoint.digest
    assert (out / "png" / "paper-plane-1.png").read_bytes() == before
    assert (out / "png" / "lantern-0.png").exists()


def test_ctrl_c_in_the_training_and_before_sampling_changes_no_file(completed, workplace, recipe, tmp_path):
    class StopsAtTheFifthStep(TrainingObserver):
        def on_log(self, step, values):
            signal.raise_signal(signal.SIGINT)

    def stops_before_sampling(line):
        if line.startswith("sampling"):
            signal.raise_signal(signal.SIGINT)

    given = (workplace / "My Icons", NAMES, tmp_path / "out", Store(tmp_path / "store"), recipe)
    with pytest.raises(Resumable, match="SIGINT after step 5"):
        complete_set(*given, count=2, observers=[StopsAtTheFifthStep()])
    with pytest.raises(KeyboardInterrupt):
        complete_set(*given, count=2, log=stops_before_sampling)
    assert not (tmp_path / "out").exists()
    resumed = complete_set(*given, count=2)
    assert not resumed.trained_now and resumed.checkpoint.digest == completed.checkpoint.digest
    assert resumed.drawings == completed.drawings
    for file in [f"{kind}/{drawing.stem}.{kind}" for drawing in completed.drawings for kind in ("png", "svg")]:
        assert (tmp_path / "out" / file).read_bytes() == (workplace / "out" / file).read_bytes(), file


def test_icons_that_the_selection_leaves_out_are_not_shown_as_icons_of_the_set(workplace, tiny_training, tmp_path):
    icons, store = (Path(shutil.copytree(workplace / name, tmp_path / name, symlinks=True)) for name in ("My Icons", "store"))
    keys = [path.stem for path in icons.glob("*.png")]
    Image.new("RGBA", (64, 64), "#f0f").save(icons / "a-square.png")
    with (icons / "captions.csv").open("a", encoding="utf-8") as file:
        file.write("a-square.png,square,\n")
    (tmp_path / "selection.txt").write_text("\n".join(keys), encoding="utf-8")
    start = [f"training.init_from={tiny_training.checkpoint.path}", "training.steps=2", "data.selection=null"]

    def shown(*overrides: str) -> bool:
        recipe = load_recipe("from_scratch", [*TINY, *start, *overrides])
        done = complete_set(icons, [f"lantern {number}" for number in range(7)], tmp_path / "out", Store(store), recipe, count=1)
        assert len(done.dataset.ids) == 13
        with Image.open(done.sheet) as sheet:
            return bool((np.asarray(sheet) == (255, 0, 255)).all(-1).any())

    assert shown() and not shown(f"data.selection={tmp_path / 'selection.txt'}")


def _squares(count: int) -> torch.Tensor:
    """Icons that all differ: a colored square in a different place each."""
    icons = np.zeros((count, 32, 32, 4), np.uint8)
    for number in range(count):
        y, x = 4 * (number // 6), 4 * (number % 6)
        icons[number, y : y + 10, x : x + 10] = (40 * (number % 6), 30 * (number // 6), 120, 255)
    return torch.from_numpy(premultiply(icons).transpose(0, 3, 1, 2).copy())


def test_a_copy_is_marked_and_another_shape_is_not():
    icons = _squares(42)
    blurred = torch.nn.functional.avg_pool2d(icons[7:8].float(), 3, 1, 1).round().to(torch.uint8)
    ring = torch.zeros(1, 4, 32, 32, dtype=torch.uint8)
    ring[:, :, 4:28, 4:28], ring[:, :, 10:22, 10:22] = 255, 0
    samples = torch.cat([icons[3:4], blurred, ring])
    for enlarged in (samples, samples.repeat_interleave(2, -1).repeat_interleave(2, -2)):
        assert copied_icons(enlarged, icons) == [3, 7, None]


def test_a_set_of_three_icons_has_no_near_copies():
    assert copied_icons(_squares(3), _squares(3)) == [None, None, None]


def test_the_command_draws_four_of_each_name_reports_near_copies_and_registers_the_model(
    completed, workplace, tiny_training, tmp_path
):
    icons, store = (Path(shutil.copytree(workplace / name, tmp_path / name, symlinks=True)) for name in ("My Icons", "store"))
    # With this learning rate the model stays the initial one, whose sample is now an icon of the set.
    start = ["training.learning_rate=1e-9", f"training.init_from={tiny_training.checkpoint.path}", "data.selection=null"]
    overrides = [*TINY, *start, "training.steps=2"]
    [sample] = Generator.load(tiny_training.checkpoint, "cpu").images([f"paper plane, {STYLE} style"], seed=0)
    sample.save(icons / "glider.png")
    with (icons / "captions.csv").open("a", encoding="utf-8") as file:
        file.write("glider.png,glider,\n")
    (tmp_path / "missing.txt").write_text("# to do\npaper  plane\n\nlantern\npaper plane\n", encoding="utf-8")

    def run(*options: str) -> str:
        command = ["complete", str(icons), "--names", str(tmp_path / "missing.txt"), "--out", str(tmp_path / "out")]
        command += ["--recipe", "from_scratch", *(word for each in overrides for word in ("--set", each)), *options]
        done = run_forked(command, os.environ | {"FLOWMODEL_STORE": str(store), "COLUMNS": "200"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = run()
    assert "training: recipe tiny, 13 icons" in first and "sampling 2 x 4 icons" in first
    assert "near copy: paper-plane-0 of my-icons/glider" in first and "8 samples of 2 names" in first
    stems = {f"{name}-{number}" for name in ("paper-plane", "lantern") for number in range(4)}
    for kind in ("png", "svg"):
        assert {path.stem for path in (tmp_path / "out" / kind).iterdir()} == stems
    copied = {entry["stem"]: entry["near_copy_of"] for entry in read_json(tmp_path / "out" / RECORD)}
    assert copied.keys() == stems and copied["paper-plane-0"] == "my-icons/glider"
    again = run("--register")
    assert "was already finished" in again and "registered as version 1" in again


def test_names_are_read_in_order(tmp_path):
    (tmp_path / "missing.txt").write_text("# to do\npaper  plane\n\nlantern\n", encoding="utf-8")
    assert read_names(tmp_path / "missing.txt") == ["paper plane", "lantern"]


@pytest.mark.parametrize(("content", "words"), [("# none\n", "holds no names"), (None, "No such file")])
def test_a_list_without_names_gives_one_line(tmp_path, content, words):
    if content is not None:
        (tmp_path / "missing.txt").write_text(content)
    with pytest.raises(FlowmodelError, match=words):
        read_names(tmp_path / "missing.txt")
