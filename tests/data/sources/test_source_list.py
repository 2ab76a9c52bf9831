from pathlib import Path

import pytest

from flowmodel.data.sources.config import locate
from flowmodel.data.sources.source_list import MODELS, load_sources, sources_file
from flowmodel.errors import FlowmodelError

NOTO = "{name: noto, kind: bundled, path: noto.parquet}"


def listing(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sources.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_sources_are_read_with_defaults(tmp_path: Path) -> None:
    mine = "{name: mine, kind: folder, path: /icons, style: line art, license: MIT}"
    noto, other = load_sources(listing(tmp_path, f"sources: [{NOTO}, {mine}]"))
    assert (noto.name, noto.kind, noto.style, noto.license, noto.trim) == ("noto", "bundled", "noto", "", False)
    assert (other.style, other.license) == ("line art", "MIT")
    assert locate(noto.path, tmp_path) == tmp_path / "noto.parquet"
    assert locate(other.path, tmp_path) == Path("/icons")


def test_old_names_are_read_with_a_warning_that_names_the_new_ones(tmp_path: Path) -> None:
    icons = "{name: mine, kind: iconify, set: tabler, version: 1.0.0, licence: MIT, colour: '#112233'}"
    with pytest.warns(FutureWarning) as told:
        (mine,) = load_sources(listing(tmp_path, f"sources: [{icons}]"))
    assert (mine.license, mine.color) == ("MIT", "#112233")
    lines = [str(warning.message) for warning in told]
    assert ["licence is now called license" in lines[0], "colour is now called color" in lines[1], len(lines)] == [True, True, 2]
    assert all("sources[0] ('mine')" in line for line in lines)


def test_there_is_a_model_for_each_kind() -> None:
    assert list(MODELS) == ["bundled", "folder", "npm", "iconify", "font", "html_chart"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sources: [", "not valid YAML"),
        ("", "one list called 'sources'"),
        ("sources: []", "one list called 'sources'"),
        ("sources: {noto: 1}", "one list called 'sources'"),
        (f"source: [{NOTO}]", "one list called 'sources'"),
        ("sources: [noto]", r"sources\[0\]: must be a mapping"),
        (
            "sources: [{name: x, path: p}]",
            r"\('x'\): kind: missing; choose one of bundled, folder, npm",
        ),
        (f"sources: [{NOTO}, {{name: x, kind: folder}}]", r"sources\[1\] \('x'\): path: missing; kind folder requires it"),
        ("sources: [{name: x, kind: zip, path: p}]", r"\('x'\): kind: 'zip' is unknown; choose one of bundled, folder"),
        ("sources: [{name: x, kind: [npm]}]", r"\('x'\): kind: '\['npm'\]' is unknown"),
        (
            "sources: [{name: Big X, kind: folder, path: p}]",
            r"name: must be lower-case letters, .* such as my-icons, got 'Big X'$",
        ),
        ("sources: [{name: 5, kind: folder, path: p}]", r"sources\[0\]: name: .*got 5"),
        (
            "sources: [{name: x, kind: folder, path: p, licens: MIT}]",
            r"licens: unknown field of kind folder \(known: name, ",
        ),
        ("sources: [{name: x, kind: npm, package: left-pad, version: 1.0.0}]", r"package: .*got 'left-pad'"),
        ("sources: [{name: x, kind: npm, package: openmoji, version: ^17}]", r"version: .*got '\^17'"),
        ("sources: [{name: x, kind: npm, package: openmoji, version: 17.0.0, integrity: md5}]", "integrity: .*got 'md5'"),
        ("sources: [{name: x, kind: iconify, version: 1.0.0}]", "set: missing; kind iconify requires it"),
        ("sources: [{name: x, kind: html_chart, url: 'file:///etc/passwd'}]", "url: .*got 'file:///etc/passwd'"),
        (
            "sources: [{name: a-b, kind: folder, path: p}, {name: a_b, kind: folder, path: q}]",
            r"sources\[1\]: name 'a_b' is taken by sources\[0\]; choose another",
        ),
        (f"sources: [{NOTO}, {NOTO}]", r"sources\[1\]: name 'noto' is taken by sources\[0\]"),
    ],
)
def test_wrong_sources_give_one_clear_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(FlowmodelError, match=complaint) as caught:
        load_sources(listing(tmp_path, text))
    assert "sources.yaml" in str(caught.value)
    assert "\n" not in str(caught.value) and "pattern" not in str(caught.value)


def test_a_missing_sources_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match=r"nowhere\.yaml: no such file"):
        load_sources(tmp_path / "nowhere.yaml")


def test_the_environment_names_another_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWMODEL_SOURCES", raising=False)
    assert sources_file().name == "sources.yaml" and load_sources(sources_file())[0].name == "noto"
    monkeypatch.setenv("FLOWMODEL_SOURCES", str(tmp_path / "mine.yaml"))
    assert sources_file() == tmp_path / "mine.yaml"
