from pathlib import Path

import pandas as pd
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.icons.rgba import encode_png
from flowmodel.icons.sources import SourceConfig, read_icons
from flowmodel.schemas import ICONS, validate
from tests.icons.helpers import plain, write_folder

PNG = encode_png(plain(height=6, width=10))
CONFIG = SourceConfig(name="mine", kind="folder", path="icons", licence="CC0-1.0")


def read(tmp_path: Path, captions: str, files: dict[str, bytes]) -> pd.DataFrame:
    write_folder(tmp_path / "icons", captions, files)
    return validate(ICONS, read_icons(CONFIG, tmp_path), where="test").set_index("key")


def test_a_good_folder(tmp_path: Path) -> None:
    captions = 'file,name,keywords,group\nRed Heart.png,red heart,"love, valentine",symbols\nu1f44b_1f3fd.png,wave,hand;hello,\n'
    icons = read(tmp_path, captions, {"Red Heart.png": PNG, "u1f44b_1f3fd.png": PNG})
    heart, wave = icons.loc["red-heart"], icons.loc["1f44b-1f3fd"]
    assert (heart["id"], heart["name"], heart["group"], heart["char"]) == ("mine/red-heart", "red heart", "symbols", "")
    assert list(heart["keywords"]) == ["love", "valentine"]
    assert (heart["width"], heart["height"], heart["png"]) == (10, 6, PNG)
    assert (heart["licence"], heart["origin"]) == ("CC0-1.0", "icons")
    assert list(wave["keywords"]) == ["hand", "hello"]
    assert (wave["char"], wave["base_key"], wave["skin_tone"]) == ("👋🏽", "1f44b", "medium")
    assert set(icons["status"]) == {"ok"}


def test_bad_pictures_are_quarantined_with_file_and_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(PNG)
    (tmp_path / "icons").mkdir()
    (tmp_path / "icons" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "icons" / "folder.png").mkdir()
    names = ["good", "broken", "zero", "text", "missing", "../outside", "link", "folder", "l" * 300, "nameless"]
    captions = "file,name,keywords\n" + "".join(f"{name}.png,{'' if name == 'nameless' else 'thing'},\n" for name in names)
    files = {"good.png": PNG, "broken.png": PNG[:-30], "zero.png": b"", "text.png": b"hello", "nameless.png": PNG}
    icons = read(tmp_path, captions, files)
    assert icons.index[icons["status"] == "ok"].tolist() == ["good"]
    reasons = icons["reason"].to_dict()
    assert reasons["good"] == ""
    assert reasons["broken"].startswith("broken.png: corrupt PNG")
    assert reasons["zero"] == "zero.png: empty file"
    assert reasons["text"] == "text.png: not a PNG picture"
    assert reasons["missing"] == "missing.png: no such file"
    assert reasons["outside"] == "../outside.png: lies outside the source's folder"
    assert reasons["link"] == "link.png: lies outside the source's folder"
    assert reasons["folder"] == "folder.png: no such file"
    assert "can't be read (File name too long)" in reasons["l" * 300]
    assert reasons["nameless"] == "nameless.png: column 'name' is empty in captions.csv"


def test_an_absolute_path_outside_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    icons = read(tmp_path, f"file,name,keywords\n{tmp_path / 'secret.png'},secret,\n", {})
    assert icons["status"].tolist() == ["quarantined"]
    assert icons["png"].tolist() == [b""]


@pytest.mark.parametrize(
    ("captions", "complaint"),
    [
        (
            "file,title,keywords\na.png,a,\n",
            r"column\(s\) missing: name; found: file, title, keywords; needed: file, name, keywords",
        ),
        ("", r"column\(s\) missing: file, name, keywords; found: none"),
        ("file,name,keywords\n", "lists no pictures"),
        ("file,name,keywords\na.png,a,\n,b,\n", "line 3: column 'file' is empty"),
        ("file,name,keywords\n\na.png,heart,love,red\n", "line 3: 4 values for 3 columns; put keywords with commas in quotes"),
        ("file,name,keywords\na b.png,a,\na-b.png,b,\n", "'a-b.png' and 'a b.png' both give the key 'a-b'; rename"),
    ],
)
def test_unusable_captions_are_one_clear_line(tmp_path: Path, captions: str, complaint: str) -> None:
    with pytest.raises(FlowmodelError, match=complaint) as caught:
        read(tmp_path, captions, {"a.png": PNG})
    assert "captions.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_captions_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "icons").mkdir()
    with pytest.raises(FlowmodelError, match=r"captions\.csv: no such file; write one with the columns file, name, keywords"):
        read_icons(CONFIG, tmp_path)


def test_captions_in_another_encoding_are_refused_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "icons", "", {"a.png": PNG})
    (folder / "captions.csv").write_bytes("file,name,keywords\na.png,café,\n".encode("latin-1"))
    with pytest.raises(FlowmodelError, match="not a CSV file in UTF-8"):
        read_icons(CONFIG, tmp_path)
    (folder / "captions.csv").write_bytes("file,name,keywords\na.png,café,\n".encode("utf-8-sig"))
    assert read_icons(CONFIG, tmp_path)["name"].tolist() == ["café"]


def test_names_without_ascii_letters_still_get_distinct_keys(tmp_path: Path) -> None:
    icons = read(tmp_path, "file,name,keywords\n日本.png,japan,\n中国.png,china,\n", {"日本.png": PNG, "中国.png": PNG})
    assert len(icons) == 2
    assert set(icons["status"]) == {"ok"}
