import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flowmodel.data.sources.config import FolderSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.ingest import read_icons
from flowmodel.errors import FlowmodelError
from flowmodel.images.decode import decode_png
from flowmodel.images.notes import split_notes
from flowmodel.images.rgba import encode_png
from flowmodel.tables import ICONS
from tests.data.helpers import RED, plain, write_folder

PNG = encode_png(plain(height=6, width=10))
CONFIG = FolderSource(name="mine", kind="folder", path="icons", license="CC0-1.0")


def read_folder(tmp_path: Path, config: FolderSource = CONFIG, log: Callable[[str], None] = lambda line: None) -> pd.DataFrame:
    rows = read_icons(config, SourceContext(tmp_path, tmp_path / "downloads", log)).rows
    return ICONS.build(rows, where="test").to_pandas().set_index("key")


def read(tmp_path: Path, captions: str, files: dict[str, bytes], name: str = "captions.csv") -> pd.DataFrame:
    folder = write_folder(tmp_path / "icons", captions, files)
    (folder / "captions.csv").rename(folder / name)
    return read_folder(tmp_path)


def test_hugging_face_metadata_gives_captions_that_are_kept_as_they_are(tmp_path: Path) -> None:
    icons = read(tmp_path, 'file_name,text\na.png,"a cat, asleep; red"\n', {"a.png": PNG}, "metadata.csv")
    assert icons.loc["a", "name"] == "a cat, asleep; red"
    assert list(icons.loc["a", "captions"]) == ["a cat, asleep; red"]


def test_json_lines_may_list_several_captions(tmp_path: Path) -> None:
    lines = '{"file": "a.png", "name": "cat", "captions": ["one", "two"], "keywords": ["pet"], "license": "MIT"}\n\n'
    lines += '{"file_name": "1f600.png", "text": "a big grin", "extra": 3}\n'
    icons = read(tmp_path, lines, {"a.png": PNG, "1f600.png": PNG}, "captions.jsonl")
    assert list(icons.loc["a", "captions"]) == ["one", "two"] and list(icons.loc["a", "keywords"]) == ["pet"]
    grin = icons.loc["1f600"]
    assert (grin["name"], grin["group"], list(grin["captions"])) == ("a big grin", "smileys-emotion", ["a big grin"])
    assert "grin" in list(grin["keywords"]), "an emoji's keywords come from Unicode where the file has none"
    assert set(icons["license"]) == {"CC0-1.0"}, "the entry in sources.yaml has the last word"


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("{", r"captions\.jsonl: line 1: not valid JSON"),
        ("[1]", "line 1: must be an object"),
        ('{"file": "a.png"}', "line 1: must have 'file' .* and 'name'"),
        ('{"file": 3, "name": "x"}', "line 1: 'file' must be a text, got 3"),
        ('{"file": "a.png", "name": "x", "keywords": [1]}', r"'keywords' must be a text or a list of texts, got \[1\]"),
    ],
)
def test_unusable_json_lines_give_one_clear_line(tmp_path: Path, lines: str, complaint: str) -> None:
    with pytest.raises(FlowmodelError, match=complaint):
        read(tmp_path, lines, {"a.png": PNG}, "captions.jsonl")


def test_every_format_becomes_a_png_and_a_wrong_ending_is_quarantined(tmp_path: Path) -> None:
    image = Image.fromarray(plain(height=12, width=12))
    files = {name: io.BytesIO() for name in ("a.webp", "b.jpg", "c.gif", "e.png")}
    for name, buffer in files.items():
        image.convert("RGB").save(buffer, {"a.webp": "WEBP", "c.gif": "GIF"}.get(name, "JPEG"))
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"><rect width="2" height="1" fill="#dc1414"/></svg>'
    content = {name: buffer.getvalue() for name, buffer in files.items()} | {"d.svg": svg, "f.txt": b"hello"}
    captions = "file,name,keywords\n" + "".join(f"{name},thing {name[0]},\n" for name in content)
    icons = read(tmp_path, captions, content)
    assert icons.index[icons["status"] == "ok"].tolist() == ["a", "b", "c", "d"]
    for key in "abcd":
        rgba = decode_png(icons.loc[key, "png"])
        assert np.abs(rgba[rgba.shape[0] // 2, rgba.shape[1] // 2].astype(int) - RED).max() <= 6, key
    assert (icons.loc["d", "width"], icons.loc["d", "height"]) == (256, 128)
    assert icons.loc["e", "reason"] == "e.png: is a JPEG image, although its name says PNG"
    assert icons.loc["f", "reason"].startswith("f.txt: not an image by its file extension, which must be one of .png")


def test_the_captions_file_can_be_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "icons", "file,name,keywords\na.png,first,\n", {"a.png": PNG})
    (folder / "other.csv").write_text("file,name\na.png,second\n")
    assert read_folder(tmp_path)["name"].tolist() == ["first"]
    assert read_folder(tmp_path, CONFIG.model_copy(update={"captions": "other.csv"}))["name"].tolist() == ["second"]
    with pytest.raises(FlowmodelError, match=r"nowhere\.csv: can't be read"):
        read_folder(tmp_path, CONFIG.model_copy(update={"captions": "nowhere.csv"}))


def test_a_valid_folder_is_read(tmp_path: Path) -> None:
    captions = 'file,name,keywords,group\nRed Heart.png,red heart,"love, valentine",symbols\nu1f44b_1f3fd.png,wave,hand;hello,\n'
    icons = read(tmp_path, captions, {"Red Heart.png": PNG, "u1f44b_1f3fd.png": PNG})
    heart, wave = icons.loc["red-heart"], icons.loc["1f44b-1f3fd"]
    assert (heart["id"], heart["name"], heart["group"], heart["char"]) == ("mine/red-heart", "red heart", "symbols", "")
    assert list(heart["keywords"]) == ["love", "valentine"]
    assert (heart["width"], heart["height"], heart["png"]) == (10, 6, PNG)
    assert (heart["license"], heart["origin"]) == ("CC0-1.0", "icons")
    assert list(wave["keywords"]) == ["hand", "hello"]
    assert (wave["char"], wave["base_key"], wave["skin_tone"]) == ("👋🏽", "1f44b", "medium")
    assert set(icons["status"]) == {"ok"}


def test_bad_images_are_quarantined_with_file_and_reason_and_the_rest_is_read(tmp_path: Path) -> None:
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
    assert reasons["text"] == "text.png: not a PNG image"
    assert reasons["missing"] == "missing.png: no such file"
    assert reasons["outside"] == "../outside.png: is outside the source's folder"
    assert reasons["link"].startswith("link.png: is a link that leads out of the source's folder; set follow_links: true")
    assert reasons["folder"] == "folder.png: no such file"
    assert "can't be read (File name too long)" in reasons["l" * 300]
    assert reasons["nameless"] == "nameless.png: has no name"


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
            r"must have 'file' \(or 'file_name'\) and 'name' \(or 'text'\); found: file, title, keywords",
        ),
        ("", "must have 'file' .*found: nothing"),
        ("file,name,keywords\n", "lists no images"),
        ("file,name,keywords\na.png,a,\n,b,\n", "line 3: column 'file' is empty"),
        ("file,name,keywords\n\na.png,heart,love,red\n", "line 3: 4 values for 3 columns; put texts with commas in quotes"),
    ],
)
def test_unusable_captions_give_one_clear_line(tmp_path: Path, captions: str, complaint: str) -> None:
    with pytest.raises(FlowmodelError, match=complaint) as caught:
        read(tmp_path, captions, {"a.png": PNG})
    assert "captions.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_captions_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "icons").mkdir()
    with pytest.raises(FlowmodelError, match=r"no captions file \(captions\.csv, .*write captions\.csv with the columns"):
        read_folder(tmp_path)


def test_names_without_ascii_letters_still_get_distinct_keys(tmp_path: Path) -> None:
    icons = read(tmp_path, "file,name,keywords\n日本.png,japan,\n中国.png,china,\n", {"日本.png": PNG, "中国.png": PNG})
    assert icons.index.tolist() == ["日本", "中国"]
    assert set(icons["status"]) == {"ok"}


def test_images_that_no_line_names_are_omitted_and_logged(tmp_path: Path) -> None:
    files = dict.fromkeys(("a.png", "b.PNG", "c.webp", "._a.png", "notes.txt"), PNG)
    folder = write_folder(tmp_path / "icons", "file,name\n./a.png,a\nmore/d.png,d\n", files)
    for name in ("d.png", "e.svg"):
        (folder / "more").mkdir(exist_ok=True)
        (folder / "more" / name).write_bytes(PNG)
    log: list[str] = []
    assert read_folder(tmp_path, log=log.append).index.tolist() == ["a", "more-d"]
    (line,) = [line for line in log if "are omitted" in line]
    assert line.endswith("captions.csv: images that are not listed are omitted: 3 (b.PNG, c.webp, more/e.svg)")


def tell(tmp_path: Path, config: FolderSource = CONFIG) -> tuple[pd.DataFrame, str]:
    """The icons, and all log lines."""
    log: list[str] = []
    return read_folder(tmp_path, config, log.append), "\n".join(log)


def test_files_of_one_name_in_several_folders_or_formats_are_different_icons(tmp_path: Path) -> None:
    names = ["thin/bell.png", "bold/bell.png", "bell.svgx.png", "sun.png", "sun.webp", "c+.png", "c-.png"]
    for name in names:
        (tmp_path / "icons" / name).parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(plain())
        image.save(tmp_path / "icons" / name)
    lines = "".join(f"{name},icon {number}\n" for number, name in enumerate(names))
    (tmp_path / "icons" / "captions.csv").write_text("file,name\n" + lines)
    icons = read_folder(tmp_path)
    assert set(icons["status"]) == {"ok"}
    assert icons["name"].tolist() == [f"icon {number}" for number in range(len(names))]
    assert icons.index.tolist()[:5] == ["thin-bell", "bold-bell", "bell-svgx", "sun-png", "sun-webp"]
    assert all(key.startswith("c-") for key in icons.index[5:])


def test_several_lines_about_one_image_are_several_captions_of_one_icon(tmp_path: Path) -> None:
    lines = "file_name,text\na.png,a blue kite\nb.png,a drum\n./a.png,something that flies\na.png,a blue kite\n"
    icons = read(tmp_path, lines, {"a.png": PNG, "b.png": PNG}, "metadata.csv")
    assert icons.index.tolist() == ["a", "b"]
    assert list(icons.loc["a", "captions"]) == ["a blue kite", "something that flies"]
    assert icons.loc["a", "name"] == "a blue kite"


def test_lines_about_one_image_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    lines = "file,name,license\na.png,kite,MIT\na.png,flier,CC0-1.0\n"
    with pytest.raises(FlowmodelError, match=r"line 3: license of 'a\.png' is 'CC0-1\.0', and 'MIT' in .*line 2"):
        read(tmp_path, lines, {"a.png": PNG})


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("Zoe\u0308.png", "Zo\u00eb.png"),
        ("Zo\u00eb.png", "Zoe\u0308.png"),
        ("KITE.png", "kite.PNG"),
        ("kite", "kite.webp"),
        ("set\\\\kite.png", "set/kite.png"),
        ("./set/../set/kite.png", "set/kite.png"),
        ("back\\\\slash.png", "back\\slash.png"),
    ],
)
def test_a_file_is_found_by_variants_of_its_name(tmp_path: Path, written: str, there: str) -> None:
    path = tmp_path / "icons" / there
    path.parent.mkdir(parents=True)
    Image.fromarray(plain()).save(path, path.suffix[1:])
    (tmp_path / "icons" / "captions.jsonl").write_text(f'{{"file": "{written}", "name": "kite"}}\n', encoding="utf-8")
    icons = read_folder(tmp_path)
    assert (icons["status"].tolist(), icons["reason"].tolist()) == (["ok"], [""])


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("kites.png", "no such file; did you mean 'set/kite.png'?"),
        ("kite.png", "no such file; did you mean 'set/kite.png'?"),
        ("set/kite.gif", "no such file; did you mean 'set/kite.png'?"),
        ("DRUM.png", "matches Drum.png and drum.png; write the exact name"),
        ("../set/kite.png", "is outside the source's folder"),
        ("xyz.png", "no such file"),
    ],
)
def test_an_ambiguous_name_gets_a_suggestion(tmp_path: Path, written: str, reason: str) -> None:
    (tmp_path / "icons" / "set").mkdir(parents=True)
    for name in ("set/kite.png", "drum.png", "Drum.png"):
        (tmp_path / "icons" / name).write_bytes(PNG)
    (tmp_path / "icons" / "captions.csv").write_text(f"file,name\n{written},thing\n")
    assert read_folder(tmp_path)["reason"].tolist() == [f"{written}: {reason}"]


def test_links_out_of_the_folder_are_followed_if_the_entry_allows_it(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / "3f2a").write_bytes(PNG)
    (tmp_path / "icons").mkdir()
    (tmp_path / "icons" / "kite.png").symlink_to("../blobs/3f2a")
    (tmp_path / "icons" / "gone.png").symlink_to("../blobs/nothing")
    (tmp_path / "icons" / "captions.csv").write_text("file,name\nkite.png,kite\ngone.png,gone\n../blobs/3f2a,blob\n")
    assert "set follow_links: true" in read_folder(tmp_path).loc["kite", "reason"]
    icons = read_folder(tmp_path, CONFIG.model_copy(update={"follow_links": True}))
    assert icons["status"].tolist() == ["ok", "quarantined", "quarantined"]
    assert icons["reason"].tolist()[1:] == ["gone.png: is a broken link", "../blobs/3f2a: is outside the source's folder"]


def test_a_number_is_a_code_point_only_if_unambiguous(tmp_path: Path) -> None:
    numbers = "file,name\n2708.png,lamp\n2615.png,table\n"
    icons = read(tmp_path, numbers, dict.fromkeys(("2708.png", "2615.png"), PNG))
    assert (icons.index.tolist(), icons["char"].tolist()) == (["icon-2708", "icon-2615"], ["", ""])
    told = CONFIG.model_copy(update={"code_points": True})
    assert read_folder(tmp_path, told)["char"].tolist() == ["✈", "☕"]
    assert "set code_points: true" in tell(tmp_path)[1]

    (tmp_path / "icons" / "captions.csv").write_text(numbers + "1f40c.png,\n23-20e3.png,\na9.png,\n")
    for name in ("1f40c.png", "23-20e3.png", "a9.png"):
        (tmp_path / "icons" / name).write_bytes(PNG)
    icons = read_folder(tmp_path)
    assert icons.index.tolist() == ["2708", "2615", "1f40c", "0023-20e3", "00a9"]
    assert icons["name"].tolist() == ["lamp", "table", "snail", "keycap: #", "copyright"]
    assert read_folder(tmp_path, CONFIG.model_copy(update={"code_points": False}))["char"].tolist() == [""] * 5


def test_text_files_next_to_the_images_are_captions(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "icons", "", dict.fromkeys(("one.png", "two.png"), PNG))
    (folder / "captions.csv").unlink()
    (folder / "one.txt").write_text("a paper kite, folded\n\n a toy \n", encoding="utf-8")
    icons, log = tell(tmp_path)
    assert list(icons.loc["one", "captions"]) == ["a paper kite, folded", "a toy"]
    assert icons["name"].tolist() == ["a paper kite, folded", "two"]
    assert "images with captions from text files: 1" in log and "two.png is 'two'" in log


def test_without_captions_icons_are_named_after_their_files_and_that_is_logged(tmp_path: Path) -> None:
    files = ["ArrowLeft_24px.png", "shopping-cart@2x.png", "1f40c.png", "Müll eimer.png"]
    folder = write_folder(tmp_path / "icons", "", dict.fromkeys(files, PNG))
    (folder / "captions.csv").unlink()
    (folder / "shopping-cart@2x.webp").write_bytes(b"worse")
    icons, log = tell(tmp_path)
    assert sorted(icons["name"]) == ["Müll eimer", "arrow left", "shopping cart", "snail"]
    assert "images without captions, named after their files: 4 (" in log
    assert "omitted: shopping-cart@2x.webp" in log


def test_a_captions_file_in_a_folder_names_files_of_that_folder(tmp_path: Path) -> None:
    for part, text in (("train", "red kite"), ("test", "green kite")):
        (tmp_path / "icons" / part).mkdir(parents=True)
        (tmp_path / "icons" / part / "metadata.csv").write_text(f"file_name,text\nkite.png,{text}\n")
        (tmp_path / "icons" / part / "kite.png").write_bytes(PNG)
    icons, log = tell(tmp_path)
    assert icons["name"].to_dict() == {"test-kite": "green kite", "train-kite": "red kite"}
    assert icons["notes"].tolist() == ["from the folder 'test'", "from the folder 'train'"]
    assert "test/metadata.csv, train/metadata.csv" in log
    one = CONFIG.model_copy(update={"captions": "train/metadata.csv"})
    assert read_folder(tmp_path, one)["name"].to_dict() == {"train-kite": "red kite"}


def test_one_icon_in_several_formats_with_the_same_texts_is_one_icon(tmp_path: Path) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><rect width="1" height="1"/></svg>'
    lines = "file,name\nkite.png,kite\nkite.svg,kite\nkite.webp,kite\n"
    write_folder(tmp_path / "icons", lines, {"kite.png": PNG, "kite.svg": svg, "kite.webp": b"x"})
    icons, log = tell(tmp_path)
    assert icons.index.tolist() == ["kite"] and icons.loc["kite", "width"] == 256
    assert log.count("kite.png") == 1


def test_changes_to_a_drawing_are_noted_and_one_that_lost_its_paint_is_set_aside(tmp_path: Path) -> None:
    def svg(body: str) -> bytes:
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{body}</svg>'.encode()

    fade = '<animate attributeName="opacity" values="0;1" dur="1s" fill="freeze"/>'
    files = {
        "fading.svg": svg(f'<path d="M0 0h9v9" opacity="0">{fade}</path><text>x</text>'),
        "themed.svg": svg('<path d="M0 0h9v9" fill="var(--of-the-page)"/>'),
        "sprite.svg": svg('<symbol id="a"><path d="M0 0h9v9"/></symbol>'),
        "wide.svg": svg('<path d="M0 0h16v16H0" style="fill:#dc1414;fill:color(display-p3 0.8 0.2 0.1)"/>'),
    }
    icons = read(tmp_path, "file,name\n" + "".join(f"{name},{name[:-4]}\n" for name in files), files)
    assert split_notes(icons.loc["fading", "notes"]) == ["its text is not rendered", "the final state of its animation"]
    assert icons.loc["themed", "reason"].startswith("themed.svg: can't be rendered as in a browser: fill is var(--of-the-page)")
    assert icons.loc["sprite", "reason"].startswith("sprite.svg: renders as an empty image (it is a sprite")
    assert decode_png(icons.loc["wide", "png"])[128, 128].tolist() == list(RED)
    assert icons["status"].value_counts().to_dict() == {"ok": 2, "quarantined": 2}


def test_a_text_file_is_found_in_another_unicode_form_and_case(tmp_path: Path) -> None:
    folder = tmp_path / "icons"
    folder.mkdir()
    for image in ("Café.png", "Drum.png", "drum.png", "Kite.PNG"):
        (folder / image).write_bytes(PNG)
    for text in ("Cafe\u0301.txt", "drum.txt", "kite.TXT"):
        (folder / text).write_text(f"what is in {text[:4].lower()}\n")
    icons, log = tell(tmp_path)
    assert list(icons.loc["café", "captions"]) == ["what is in cafe"] and list(icons.loc["kite", "captions"]) == [
        "what is in kite"
    ]
    drums = icons.loc[[key for key in icons.index if "drum" in key], "captions"]
    assert sorted(map(list, drums)) == [[], ["what is in drum"]], "the text of one is not that of the other"
    assert "images without captions, named after their files: 1 (" in log


def test_files_of_formats_that_are_not_read_are_reported(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "icons", "file,name\na.png,a\n", {"a.png": PNG, "b.HEIC": b"x", "c.eps": b"x", "d.eps": b"x"}
    )
    (folder / "notes.docx").write_bytes(b"x")
    assert "files in unsupported formats are omitted: 3 (.eps, .heic)" in tell(tmp_path)[1]
