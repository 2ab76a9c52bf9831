"""The bundled icons are complete, and can be rebuilt byte for byte."""

import hashlib
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from flowmodel.files import read_json
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import ICONS
from flowmodel.text.translation import read_table

BUNDLED = PROJECT_ROOT / "data" / "bundled"
BUILD = BUNDLED / "build.py"


@pytest.fixture(scope="module")
def noto() -> pd.DataFrame:
    return ICONS.read(BUNDLED / "noto.parquet")


def test_every_base_emoji_is_there(noto: pd.DataFrame) -> None:
    assert len(noto) == 1911
    assert (BUNDLED / "noto.parquet").stat().st_size < 12e6
    assert set(noto["status"]) == {"ok"}
    assert set(noto["skin_tone"]) == {""}
    assert noto["name"].is_unique
    assert (noto["width"] == 64).all()
    assert (noto["height"] == 64).all()
    assert (noto["keywords"].map(len) > 0).all()
    assert noto["group"].nunique() == 10


def test_texts_belong_to_their_images(noto: pd.DataFrame) -> None:
    heart = noto.set_index("key").loc["2764"]
    assert (heart["name"], heart["char"], heart["group"], heart["subgroup"]) == ("red heart", "❤️", "smileys-emotion", "heart")
    assert "love" in list(heart["keywords"])


def test_each_image_has_the_digest_that_it_names(noto: pd.DataFrame) -> None:
    assert all(hashlib.sha256(png).hexdigest() == digest for png, digest in zip(noto["png"], noto["sha256"], strict=True))


def test_readme_names_the_digest_and_licenses() -> None:
    readme = (BUNDLED / "README.md").read_text(encoding="utf-8")
    for name in ("noto.parquet", "emojibase.parquet", "emoji.json", "english.zlib"):
        assert hashlib.sha256((BUNDLED / name).read_bytes()).hexdigest() in readme, name
    assert "Apache License" in (BUNDLED / "LICENSE-noto").read_text(encoding="utf-8")
    assert "MIT License" in (BUNDLED / "LICENSE-emojibase").read_text(encoding="utf-8")


def test_another_package_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "npm"
    folder.mkdir()
    (folder / "emojibase-data-17.0.0.tgz").write_bytes(b"something else")
    environment = {
        "PATH": "",
        "npm_config_registry": "http://127.0.0.1:9",
        "npm_config_fetch_retries": "0",
    }  # nothing can be fetched
    command = [sys.executable, str(BUILD), "--downloads", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_names_and_translations_follow_from_the_bundled_texts() -> None:
    build, texts = runpy.run_path(str(BUILD)), BUNDLED / "emojibase.parquet"
    assert build["emoji_names"](texts) == read_json(BUNDLED / "emoji.json")
    assert build["english"](texts) == read_table(BUNDLED / "english.zlib")


@pytest.mark.slow
@pytest.mark.network
def test_the_files_can_be_remade_byte_for_byte(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(BUILD), "--out", str(tmp_path)], capture_output=True, text=True)
    if done.returncode == 2:
        pytest.skip(f"the npm registry is not reachable: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert read_table(tmp_path / "english.zlib") == read_table(BUNDLED / "english.zlib")  # zlib's bytes differ by its version
    for name in ("noto.parquet", "emojibase.parquet", "emoji.json"):
        assert (tmp_path / name).read_bytes() == (BUNDLED / name).read_bytes(), name
