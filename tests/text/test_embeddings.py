import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from flowmodel.data.tables import caption_embeddings
from flowmodel.errors import FlowmodelError
from flowmodel.files import parquet_metadata, read_parquet, write_parquet
from flowmodel.store import PROJECT_ROOT
from flowmodel.text import embeddings
from flowmodel.text.embeddings import embed_captions, load_embeddings
from flowmodel.text.encoders import load_encoder
from flowmodel.text.minilm import MiniLm


def write_captions(path: Path, texts: Sequence[str]) -> Path:
    rows = {"caption_id": [f"test/{i}#name" for i in range(len(texts))], "text": list(texts)}
    return write_parquet(path, pa.table(rows, schema=pa.schema([("caption_id", pa.string()), ("text", pa.string())])))


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    return write_captions(tmp_path / "c.parquet", ["red heart", "fire engine with a ladder", "red heart", "star"])


def forbid_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: MiniLm, texts: Sequence[str]) -> None:
        raise AssertionError(f"must not be encoded again: {texts}")

    monkeypatch.setattr(MiniLm, "encode", refuse)


def test_every_caption_comes_back_in_order(captions: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    report = embed_captions(captions, "minilm", tmp_path / "e.parquet", lines.append)
    assert (report.encoded, report.reused) == (4, 0)
    (line,) = lines
    assert line.startswith("encoded 3 of 3 new texts with minilm ("), "the same text is encoded once"
    loaded = load_embeddings(report.artifact.path)
    assert loaded.caption_ids == [f"test/{i}#name" for i in range(4)]
    assert loaded.texts == ["red heart", "fire engine with a ladder", "red heart", "star"]
    assert (loaded.encoder, loaded.encoder_digest, loaded.width) == ("minilm", load_encoder("minilm").digest, 384)
    assert loaded.pooled_ND.dtype == torch.float32
    assert {tokens.dtype for tokens in loaded.tokens} == {torch.float16}
    expected = load_encoder("minilm").encode(loaded.texts)
    assert np.allclose(loaded.pooled_ND.numpy(), expected.pooled_BD, atol=1e-5)
    assert [tuple(tokens.shape) for tokens in loaded.tokens] == [tokens.shape for tokens in expected.tokens]
    for tokens, wanted in zip(loaded.tokens, expected.tokens, strict=True):
        assert np.allclose(tokens.numpy(), wanted, atol=4e-3)


def test_the_table_keeps_the_contract(captions: Path, tmp_path: Path) -> None:
    path = embed_captions(captions, "minilm", tmp_path / "e.parquet").artifact.path
    caption_embeddings(384).check(read_parquet(path), where=path)
    assert parquet_metadata(path).keys() == {"encoder", "encoder_digest", "dimension"}
    assert parquet_metadata(path)["dimension"] == "384"


def test_unchanged_captions_keep_the_digest_and_need_no_weights(
    captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embed_captions(captions, "minilm", tmp_path / "e.parquet")
    forbid_encoding(monkeypatch)
    second = embed_captions(captions, "minilm", tmp_path / "e.parquet")
    assert (second.encoded, second.reused) == (0, 4)
    assert second.artifact == first.artifact


def test_only_new_texts_are_encoded_and_old_ones_stay_bit_for_bit(
    captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "e.parquet"
    before = load_embeddings(embed_captions(captions, "minilm", out).artifact.path)
    encoded: list[str] = []
    encode = MiniLm.encode
    monkeypatch.setattr(MiniLm, "encode", lambda self, texts: (encoded.extend(texts), encode(self, texts))[1])
    more = write_captions(tmp_path / "more.parquet", ["moon", "red heart", "fire engine with a ladder"])
    report = embed_captions(more, "minilm", out)
    assert (report.encoded, report.reused) == (1, 2)
    assert encoded == ["moon"]
    after = load_embeddings(out)
    assert torch.equal(after.pooled_ND[1:], before.pooled_ND[:2])
    assert all(torch.equal(new, old) for new, old in zip(after.tokens[1:], before.tokens[:2], strict=True))


def test_other_weights_encode_everything_again(captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "e.parquet"
    embed_captions(captions, "minilm", out)
    other = load_encoder("minilm")
    other.digest = "0" * 64
    monkeypatch.setattr(embeddings, "load_encoder", lambda name: other)
    report = embed_captions(captions, "minilm", out)
    assert (report.encoded, report.reused) == (4, 0)
    assert load_embeddings(out).encoder_digest == "0" * 64


def test_an_unreadable_earlier_file_is_made_again(captions: Path, tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(b"half a file")
    assert embed_captions(captions, "minilm", tmp_path / "e.parquet").encoded == 4


def test_no_captions_give_an_empty_table(tmp_path: Path) -> None:
    captions = write_captions(tmp_path / "c.parquet", [])
    for _ in range(2):
        loaded = load_embeddings(embed_captions(captions, "minilm", tmp_path / "e.parquet").artifact.path)
        assert tuple(loaded.pooled_ND.shape) == (0, 384)
        assert loaded.tokens == []


def test_a_wrong_digest_is_refused(captions: Path, tmp_path: Path) -> None:
    path = embed_captions(captions, "minilm", tmp_path / "e.parquet").artifact.path
    assert load_embeddings(path, load_encoder("minilm").digest).caption_ids
    with pytest.raises(FlowmodelError, match=rf"encoder digest is 53aa51.*, expected {'f' * 64}; embed the captions again"):
        load_embeddings(path, "f" * 64)


def test_unusable_files_are_one_clear_line(captions: Path, tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match=r"nowhere\.parquet"):
        load_embeddings(tmp_path / "nowhere.parquet")
    with pytest.raises(FlowmodelError, match="not a caption embedding table"):
        load_embeddings(captions)
    with pytest.raises(FlowmodelError, match=r"nowhere\.parquet: no such file"):
        embed_captions(tmp_path / "nowhere.parquet", "minilm", tmp_path / "e.parquet")


class Interrupted(Exception):
    pass


def test_an_interrupted_run_goes_on_where_it_was_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "_CHUNK", 8)
    captions = write_captions(tmp_path / "many.parquet", [f"icon {'of a thing ' * (i % 4)}{i}" for i in range(30)])
    whole = embed_captions(captions, "minilm", tmp_path / "whole.parquet").artifact

    def stop(line: str) -> None:
        if line.startswith("encoded 16"):
            raise Interrupted

    out = tmp_path / "e.parquet"
    with pytest.raises(Interrupted):
        embed_captions(captions, "minilm", out, stop)
    assert not out.exists() and len(list((tmp_path / ".e.parquet.parts").glob("*.parquet"))) == 2
    lines: list[str] = []
    resumed = embed_captions(captions, "minilm", out, lines.append).artifact
    assert lines[0].startswith("encoded 8 of 14 new texts")
    assert resumed.digest == whole.digest
    assert not (tmp_path / ".e.parquet.parts").exists()


_KILLED = """
import os, signal, sys
from pathlib import Path
from flowmodel.text import embeddings
embeddings._CHUNK = 8
kill = lambda line: line.startswith("encoded 16") and os.kill(os.getpid(), signal.SIGKILL)
embeddings.embed_captions(Path(sys.argv[1]), "minilm", Path(sys.argv[2]), kill)
"""


@pytest.mark.slow
def test_a_killed_run_loses_no_finished_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = write_captions(tmp_path / "many.parquet", [f"icon number {i}" for i in range(30)])
    out = tmp_path / "e.parquet"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(captions), str(out)], cwd=PROJECT_ROOT)
    assert done.returncode == -signal.SIGKILL and not out.exists()
    monkeypatch.setattr(embeddings, "_CHUNK", 8)
    lines: list[str] = []
    resumed = embed_captions(captions, "minilm", out, lines.append).artifact
    assert lines[0].startswith("encoded 8 of 14 new texts")
    assert resumed.digest == embed_captions(captions, "minilm", tmp_path / "whole.parquet").artifact.digest


def test_parts_of_other_weights_are_not_used(captions: Path, tmp_path: Path) -> None:
    parts = tmp_path / ".e.parquet.parts"
    parts.mkdir()
    embed_captions(captions, "minilm", parts / "part.parquet")
    table = read_parquet(parts / "part.parquet")
    metadata = parquet_metadata(parts / "part.parquet") | {"encoder_digest": "0" * 64}
    write_parquet(parts / "part.parquet", table, metadata)
    lines: list[str] = []
    embed_captions(captions, "minilm", tmp_path / "e.parquet", lines.append)
    assert lines[0].startswith("encoded 3 of 3")
