from pathlib import Path

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.icons.rgba import encode_png
from flowmodel.icons.sources import SourceConfig, ingest_icons, load_sources, read_icons, source_fingerprint
from flowmodel.icons.table import read_icon_table
from tests.icons.helpers import icon_row, plain, write_folder, write_icons

NOTO = "{name: noto, kind: bundled, path: noto.parquet}"


def sources_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sources.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_sources_are_read_with_defaults(tmp_path: Path) -> None:
    mine = "{name: mine, kind: folder, path: /icons, style: line art, licence: MIT}"
    noto, other = load_sources(sources_file(tmp_path, f"sources: [{NOTO}, {mine}]"))
    assert (noto.name, noto.kind, noto.style, noto.licence) == ("noto", "bundled", "noto", "")
    assert (other.style, other.licence) == ("line art", "MIT")
    assert noto.locate(tmp_path) == tmp_path / "noto.parquet"
    assert other.locate(tmp_path) == Path("/icons")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sources: [", "not valid YAML"),
        ("", "one list called 'sources'"),
        ("sources: []", "one list called 'sources'"),
        ("sources: {noto: 1}", "one list called 'sources'"),
        (f"source: [{NOTO}]", "one list called 'sources'"),
        ("sources: [noto]", r"sources\[0\]: must be a mapping"),
        (f"sources: [{NOTO}, {{name: x, kind: folder}}]", r"sources\[1\] \('x'\): path: missing"),
        ("sources: [{name: x, kind: zip, path: p}]", r"\('x'\): kind: 'zip' is unknown; there are bundled, folder"),
        ("sources: [{name: Big X, kind: folder, path: p}]", r"name: .*got 'Big X'"),
        ("sources: [{name: 5, kind: folder, path: p}]", r"sources\[0\]: name: .*got 5"),
        ("sources: [{name: x, kind: folder, path: p, licens: MIT}]", r"licens: unknown field \(known: name, .*licence"),
        (f"sources: [{NOTO}, {NOTO}]", r"sources\[1\]: name 'noto' is taken by sources\[0\]"),
    ],
)
def test_wrong_sources_are_one_clear_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(FlowmodelError, match=complaint) as caught:
        load_sources(sources_file(tmp_path, text))
    assert "sources.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_sources_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match=r"nowhere\.yaml: no such file"):
        load_sources(tmp_path / "nowhere.yaml")


def test_bundled_takes_the_configured_name(tmp_path: Path) -> None:
    write_icons(tmp_path / "set.parquet", [icon_row("b", licence="MIT", origin="web"), icon_row("a", licence="MIT")])
    icons = read_icons(SourceConfig(name="mine", kind="bundled", path="set.parquet", origin="me"), tmp_path)
    assert icons["id"].tolist() == ["mine/a", "mine/b"]
    assert set(icons["source"]) == {"mine"}
    assert set(icons["licence"]) == {"MIT"}, "what the file says stays where the entry says nothing"
    assert set(icons["origin"]) == {"me"}


def test_ingest_is_repeatable_and_readable(tmp_path: Path) -> None:
    write_icons(tmp_path / "set.parquet", [icon_row("a"), icon_row("b")])
    config = SourceConfig(name="mine", kind="bundled", path="set.parquet")
    first, second = (ingest_icons(config, tmp_path, tmp_path / name) for name in ("1.parquet", "2.parquet"))
    assert first.digest == second.digest
    assert len(read_icon_table(first.path)) == 2


@pytest.mark.parametrize("kind", ["bundled", "folder"])
def test_a_missing_source_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    config = SourceConfig(name="mine", kind=kind, path="nowhere")
    for act in (read_icons, source_fingerprint):
        with pytest.raises(FlowmodelError, match=r"nowhere: no such (file|folder); correct its path"):
            act(config, tmp_path)


def test_a_bundled_file_that_breaks_the_contract_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(FlowmodelError, match="not a readable Parquet file"):
        read_icons(SourceConfig(name="mine", kind="bundled", path="set.parquet"), tmp_path)


def test_fingerprint_follows_settings_and_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "icons", "file,name,keywords\na.png,a,\n", {"a.png": encode_png(plain())})
    config = SourceConfig(name="mine", kind="folder", path="icons")
    before = source_fingerprint(config, tmp_path)
    assert source_fingerprint(config, tmp_path) == before
    assert source_fingerprint(config.model_copy(update={"style": "flat"}), tmp_path) != before
    (tmp_path / "icons" / "a.png").write_bytes(encode_png(plain(height=9)))
    changed = source_fingerprint(config, tmp_path)
    assert changed != before
    (tmp_path / "icons" / "captions.csv").write_text("file,name,keywords\na.png,a red square,\n")
    assert source_fingerprint(config, tmp_path) != changed
