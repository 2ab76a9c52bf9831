"""`flowmodel icons check` on typical folders."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flowmodel.cli import app
from flowmodel.data.inspection import inspect_sources
from flowmodel.data.inspection_files import write_findings
from flowmodel.data.sources.config import FolderSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.errors import FlowmodelError
from flowmodel.images.grid import contact_sheet
from flowmodel.images.rgba import encode_png
from tests.data.helpers import BLUE, GREEN, RED, plain, write_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six usable icons, of which two look alike and two have the same name, and several problems."""
    monkeypatch.setenv("FLOWMODEL_STORE", str(tmp_path / "store"))
    half = plain(RED, 80, 80)
    half[:, 40:] = 0
    images = {"kite.png": plain(RED, 80, 80), "twin.png": plain(RED, 80, 80), "drum.png": plain(BLUE, 80, 80)}
    images |= {"drum2.png": plain(GREEN, 80, 80), "horn.png": half, "small.png": plain((9, 200, 200, 255), 20, 20)}
    lines = (
        "kite.png,kite\ntwin.png,kite too\ndrum.png,drum\ndrum2.png,Drum\nhorn.png,ดาว\nsmall.png,ปลา\ngone.png,x\nbad.png,y\n"
    )
    return write_folder(
        tmp_path / "My Icons", "file,name\n" + lines, {name: encode_png(p) for name, p in images.items()} | {"bad.png": b"no"}
    )


def test_all_problems_are_found(folder: Path) -> None:
    config = FolderSource(name="icons", kind="folder", path=str(folder))
    found = inspect_sources([config], SourceContext(folder.parent, folder.parent / "dl"), 64, "minilm")
    assert found.usable == [f"icons/{name}" for name in ("drum", "drum2", "horn", "kite", "small", "twin")]
    assert found.unusable == {"no such file": ["icons/gone"], "not a PNG image": ["icons/bad"]}
    assert found.look_alikes == [["icons/kite", "icons/twin"]]
    assert found.same_name == {"drum": ["icons/drum", "icons/drum2"]}
    assert found.small == ["icons/small"]
    assert found.readability.unknown == ["ดาว", "ปลา"]
    assert found.files["icons/kite"] == "kite.png"
    assert not found.is_fine


def test_the_command_prints_problems_and_writes_a_page_a_sheet_and_captions(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["icons", "check", str(folder), "--out", str(out)])
    assert result.exit_code == 1
    for words in ("6 of 8 icons are usable", "1 x no such file (icons/gone)", "2 x 'drum'", "2 icons in 1 group", "ดาว"):
        assert words in result.output
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "My Icons: 6 of 8 icons are usable" in page and "no such file" in page and "kite too" in page
    assert page.count("data:image/png;base64,") >= 8 and "<script" not in page
    with (out / "captions.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["file"]: row["name"] for row in csv.DictReader(file)}
    assert rows["drum2.png"] == "Drum" and rows["gone.png"] == "x" and len(rows) == 8
    with Image.open(out / "contact-sheet.png") as sheet:
        assert sheet.width > 600


def test_its_captions_can_be_corrected_and_used(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    CliRunner().invoke(app, ["icons", "check", str(folder), "--out", str(out)])
    for name in ("bad.png", "drum2.png"):
        (folder / name).unlink()
    text = (out / "captions.csv").read_text(encoding="utf-8-sig").replace("ดาว", "star").replace("ปลา", "fish")
    kept = [line for line in text.splitlines() if not line.startswith(("bad", "gone", "drum2"))]
    (folder / "captions.csv").write_text("\n".join(kept), encoding="utf-8")
    result = CliRunner().invoke(app, ["icons", "check", str(folder), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "5 of 5 icons are usable" in result.output
    assert "Nothing needs fixing" in (out / "report.html").read_text(encoding="utf-8")


def test_its_captions_name_the_same_files_even_with_unusual_names(tmp_path: Path) -> None:
    names = ("new\nline.png", " lead.png", "a,b;c\"d'.png", "Shot 9.41\u202fAM.png", "-rf.png", "#x.png", "日\t本.png", "%2e.png")
    folder = tmp_path / "icons"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(encode_png(plain(RED, 64, 64)))
    config = FolderSource(name="icons", kind="folder", path=str(folder))
    context = SourceContext(tmp_path, tmp_path / "dl")
    before = inspect_sources([config], context, 64, "minilm")
    (folder / "captions.csv").write_bytes(write_findings(before, "icons", tmp_path / "out")["captions.csv"].read_bytes())
    after = inspect_sources([config], context, 64, "minilm")
    assert after.usable == before.usable and len(after.usable) == len(names) and after.files == before.files
    assert after.icons["name"].to_dict() == before.icons["name"].to_dict()


def test_a_list_of_sources_is_checked_too_and_a_wrong_place_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("sources: [{name: mine, kind: folder, path: My Icons}]")
    result = CliRunner().invoke(app, ["icons", "check", str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1 and "mine/gone" in result.output
    result = CliRunner().invoke(app, ["icons", "check", str(tmp_path / "nowhere")])
    assert isinstance(result.exception, FlowmodelError) and "no such folder or list of sources" in str(result.exception)


def test_a_white_icon_is_seen_on_the_contact_sheet() -> None:
    white = plain((255, 255, 255, 255), 32, 32)
    white[8:24, 8:24] = 0
    sheet = np.asarray(contact_sheet([Image.fromarray(white)], 1, cell=32)).astype(int)
    left, right = sheet[10:42, 10:42], sheet[10:42, 42:74]
    assert np.ptp(left) < 40, "white on white"
    assert right[2, 2].min() > 240 and right[16, 16].max() < 80, "and on dark, with its hole"
