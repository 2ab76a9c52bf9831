import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flowmodel.errors import FlowmodelError
from flowmodel.images.rgba import encode_png
from flowmodel.images.tensors import load_tensors, pack_tensors
from tests.data.helpers import icon_row, plain, write_icons


@pytest.fixture
def normalised(tmp_path: Path) -> Path:
    half = icon_row("half", png=encode_png(plain((255, 0, 0, 128))))
    return write_icons(tmp_path / "n.parquet", [icon_row("a"), half, icon_row("q", status="quarantined", reason="x", png=b"")])


def test_packed_icons_come_back_premultiplied_and_without_quarantined_ones(normalised: Path, tmp_path: Path) -> None:
    tensors = load_tensors(pack_tensors(normalised, tmp_path / "t.safetensors").path)
    assert tensors.ids == ("test/a", "test/half")
    assert tensors.rgba_N4HW.shape == (2, 4, 8, 8)
    assert tensors.rgba_N4HW.dtype == torch.uint8
    assert tensors.rgba_N4HW[1, :, 0, 0].tolist() == [128, 0, 0, 128]
    assert tensors.size == 8


def test_the_digest_names_the_content_in_every_process(normalised: Path, tmp_path: Path) -> None:
    digest = pack_tensors(normalised, tmp_path / "t.safetensors").digest
    code = "import sys, pathlib, flowmodel.images.tensors as t; print(t.pack_tensors(*map(pathlib.Path, sys.argv[1:])).digest)"
    command = [sys.executable, "-c", code, str(normalised), str(tmp_path / "other.safetensors")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == digest


def test_no_usable_icon_is_one_clear_line(tmp_path: Path) -> None:
    path = write_icons(tmp_path / "n.parquet", [icon_row("q", status="quarantined", reason="x", png=b"")])
    with pytest.raises(FlowmodelError, match="no usable icon"):
        pack_tensors(path, tmp_path / "t.safetensors")


def test_pictures_of_several_sizes_are_refused(tmp_path: Path) -> None:
    path = write_icons(tmp_path / "n.parquet", [icon_row("a"), icon_row("b", png=encode_png(plain(height=9)))])
    with pytest.raises(FlowmodelError, match="differ in size"):
        pack_tensors(path, tmp_path / "t.safetensors")


def test_unreadable_files_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match="no such file"):
        load_tensors(tmp_path / "nowhere.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    save_file({"rgba": torch.zeros(2, 4, 8, 8)}, tmp_path / "short.safetensors", {"ids": '["a"]'})
    for name in ("bad", "other", "short"):
        with pytest.raises(FlowmodelError, match="remove it and make it again"):
            load_tensors(tmp_path / f"{name}.safetensors")
