"""The bundled icons keep their promises, and can be remade byte for byte."""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from flowmodel.icons.table import read_icon_table
from flowmodel.store import PROJECT_ROOT

BUNDLED = PROJECT_ROOT / "data" / "bundled"
BUILD = BUNDLED / "build.py"


@pytest.fixture(scope="module")
def noto() -> pd.DataFrame:
    return read_icon_table(BUNDLED / "noto.parquet")


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


def test_texts_belong_to_their_pictures(noto: pd.DataFrame) -> None:
    heart = noto.set_index("key").loc["2764"]
    assert (heart["name"], heart["char"], heart["group"], heart["subgroup"]) == ("red heart", "❤️", "smileys-emotion", "heart")
    assert "love" in list(heart["keywords"])


def test_each_picture_has_the_digest_that_it_names(noto: pd.DataFrame) -> None:
    assert all(hashlib.sha256(png).hexdigest() == digest for png, digest in zip(noto["png"], noto["sha256"], strict=True))


def test_readme_names_the_digest_and_licences() -> None:
    readme = (BUNDLED / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256((BUNDLED / "noto.parquet").read_bytes()).hexdigest() in readme
    assert "Apache License" in (BUNDLED / "LICENSE-noto").read_text(encoding="utf-8")
    assert "MIT License" in (BUNDLED / "LICENSE-emojibase").read_text(encoding="utf-8")


def test_another_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.tgz").write_bytes(b"something else")
    command = [sys.executable, str(BUILD), "--google", str(tmp_path / "other.tgz"), "--emojibase", str(tmp_path / "nowhere.tgz")]
    done = subprocess.run([*command, "--out", str(tmp_path / "noto.parquet")], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is not emoji-datasource-google@16.0.0" in done.stderr
    assert not (tmp_path / "noto.parquet").exists()


@pytest.mark.slow
@pytest.mark.network
def test_it_can_be_remade_byte_for_byte(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    spec = importlib.util.spec_from_file_location("build", BUILD)
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    try:
        packages = [build.fetch(package, tmp_path) for package in (build.GOOGLE, build.EMOJIBASE)]
    except build.FlowmodelError as error:
        pytest.skip(f"the npm registry is not reachable: {error}")
    build.build(*packages, tmp_path / "noto.parquet")
    assert (tmp_path / "noto.parquet").read_bytes() == (BUNDLED / "noto.parquet").read_bytes()
