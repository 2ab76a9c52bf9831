"""Caption vectors, each encoded once."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.files import parquet_metadata, read_parquet
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.tables import CAPTION_EMBEDDINGS, CAPTIONS, caption_vectors
from flowmodel.text import embeddings, vectors
from flowmodel.text.embeddings import embed_captions
from flowmodel.text.encoders import load_encoder
from flowmodel.text.minilm import MiniLm
from flowmodel.text.vectors import CaptionVectors

TEXTS = ["red heart", "fire engine with a ladder", "red heart", "star"]


def write_captions(path: Path, texts: Sequence[str] = TEXTS) -> Path:
    return CAPTIONS.write(path, [(f"test/{i}#name", f"test/{i}", text, "name", "en") for i, text in enumerate(texts)]).path


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    return write_captions(tmp_path / "c.parquet")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def folder(store: Store) -> Path:
    return store.caption_vectors(load_encoder("minilm").digest)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is encoded, in order."""
    texts_so_far: list[str] = []
    encode = MiniLm.encode
    monkeypatch.setattr(MiniLm, "encode", lambda self, texts: (texts_so_far.extend(texts), encode(self, texts))[1])
    return texts_so_far


def test_vectors_come_back_in_the_order_that_is_requested(captions: Path, store: Store, tmp_path: Path) -> None:
    lines: list[str] = []
    report = embed_captions(captions, "minilm", store, tmp_path / "e.parquet", lines.append)
    assert (report.encoded, report.reused) == (3, 0)
    (line,) = lines
    assert line.startswith("encoded 3 of 3 new texts with minilm ("), "the same text is encoded once"
    asked = ["star", "red heart"]
    pooled_UD, tokens = CaptionVectors(folder(store)).read(asked)
    expected = load_encoder("minilm").encode(asked)
    assert (pooled_UD.dtype, {each.dtype for each in tokens}) == (np.float32, {np.dtype(np.float16)})
    assert np.allclose(pooled_UD, expected.pooled_BD, atol=1e-5)
    for found, wanted in zip(tokens, expected.tokens, strict=True):
        assert found.shape == wanted.shape and np.allclose(found, wanted, atol=4e-3)


def test_the_tables_keep_the_contract(captions: Path, store: Store, tmp_path: Path) -> None:
    path = embed_captions(captions, "minilm", store, tmp_path / "e.parquet").artifact.path
    index = CAPTION_EMBEDDINGS.read(path)
    assert index["text"].tolist() == ["fire engine with a ladder", "red heart", "star"]
    digest = load_encoder("minilm").digest
    assert parquet_metadata(path) == {"encoder": "minilm", "encoder_digest": digest, "dimension": "384"}
    (part,) = (folder(store) / f"{name}.parquet" for name in set(index["part"]))
    caption_vectors(384).check(read_parquet(part), where=part)


def test_another_data_set_encodes_only_what_is_new_and_going_back_encodes_nothing(
    captions: Path, store: Store, tmp_path: Path, encoded: list[str]
) -> None:
    out = tmp_path / "e.parquet"
    first = embed_captions(captions, "minilm", store, out)
    before = {path: path.read_bytes() for path in folder(store).glob("*.parquet")}
    more = write_captions(tmp_path / "more.parquet", ["moon", "red heart"])
    encoded.clear()
    report = embed_captions(more, "minilm", store, out)
    assert (report.encoded, report.reused, encoded) == (1, 1, ["moon"])
    encoded.clear()
    again = embed_captions(captions, "minilm", store, out)
    assert (again.encoded, again.reused, encoded) == (0, 3, [])
    assert again.artifact == first.artifact
    assert {path: path.read_bytes() for path in before} == before, "the cache only grows"


def test_other_weights_encode_everything_again(captions: Path, store: Store, tmp_path: Path, monkeypatch) -> None:
    embed_captions(captions, "minilm", store, tmp_path / "e.parquet")
    other = load_encoder("minilm")
    other.digest = "0" * 64
    monkeypatch.setattr(embeddings, "load_encoder", lambda name: other)
    assert embed_captions(captions, "minilm", store, tmp_path / "e.parquet").encoded == 3


def test_no_captions_have_no_vectors(store: Store, tmp_path: Path) -> None:
    captions = write_captions(tmp_path / "c.parquet", [])
    assert embed_captions(captions, "minilm", store, tmp_path / "e.parquet").encoded == 0
    assert CaptionVectors(folder(store)).read([])[1] == []


def test_a_text_that_was_never_encoded_is_named(store: Store) -> None:
    with pytest.raises(FlowmodelError, match="holds no vectors of 'moon'; prepare the data set again"):
        CaptionVectors(folder(store)).read(["moon"])


def test_a_damaged_part_is_encoded_again_and_a_changed_one_is_reported(captions: Path, store: Store, tmp_path: Path) -> None:
    out = tmp_path / "e.parquet"
    embed_captions(captions, "minilm", store, out)
    (part,) = folder(store).glob("*.parquet")
    whole = part.read_bytes()
    part.write_bytes(b"half a file")
    assert embed_captions(captions, "minilm", store, out).encoded == 3
    assert part.read_bytes() == whole, "it has its name by its content"
    part.rename(part.with_stem("0" * 16))
    with pytest.raises(FlowmodelError, match="changed since it was written; remove it and prepare the data set again"):
        CaptionVectors(folder(store)).read(["star"])


MANY = [f"icon {'of a thing ' * (i % 4)}{i}" for i in range(30)]


class Interrupted(Exception):
    pass


def test_an_interrupted_run_continues_where_it_was(store: Store, tmp_path: Path, monkeypatch, encoded: list[str]) -> None:
    monkeypatch.setattr(vectors, "CHUNK", 8)
    captions = write_captions(tmp_path / "many.parquet", MANY)

    def stop(line: str) -> None:
        if line.startswith("encoded 16"):
            raise Interrupted

    with pytest.raises(Interrupted):
        embed_captions(captions, "minilm", store, tmp_path / "e.parquet", stop)
    assert len(list(folder(store).glob("*.parquet"))) == 2
    lines: list[str] = []
    report = embed_captions(captions, "minilm", store, tmp_path / "e.parquet", lines.append)
    assert lines[0].startswith("encoded 8 of 14 new texts") and (report.encoded, report.reused) == (14, 16)
    assert sorted(encoded) == sorted(MANY)


# Arguments: captions, store, file of the table, and after how many texts it kills itself.
_WRITER = """
import os, signal, sys
from pathlib import Path
from flowmodel.store import Store
from flowmodel.text import vectors
from flowmodel.text.embeddings import embed_captions
vectors.CHUNK = 8
captions, store, out, last = sys.argv[1:]
kill = lambda line: line.startswith(f"encoded {last} ") and os.kill(os.getpid(), signal.SIGKILL)
print(embed_captions(Path(captions), "minilm", Store(Path(store)), Path(out), kill).encoded)
"""


def _writer(captions: Path, store: Store, out: Path, last: int = -1) -> subprocess.Popen:
    command = [sys.executable, "-c", _WRITER, str(captions), str(store.root), str(out), str(last)]
    return subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_run_loses_no_finished_part_and_leaves_no_lock(store: Store, tmp_path: Path, encoded: list[str]) -> None:
    captions = write_captions(tmp_path / "many.parquet", MANY)
    killed = _writer(captions, store, tmp_path / "e.parquet", last=16)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "e.parquet").exists()
    assert embed_captions(captions, "minilm", store, tmp_path / "e.parquet").encoded == len(encoded) == 14


@pytest.mark.slow
def test_two_processes_at_once_encode_every_text_once_and_both_end_well(store: Store, tmp_path: Path) -> None:
    captions = write_captions(tmp_path / "many.parquet", MANY)
    writers = [_writer(captions, store, tmp_path / f"{number}.parquet") for number in (1, 2)]
    counts = [int(writer.communicate()[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sum(counts) == len(MANY)
    texts = [text for part in folder(store).glob("*.parquet") for text in read_parquet(part, ["text"])["text"].to_pylist()]
    assert sorted(texts) == sorted(MANY)
    one, two = (CAPTION_EMBEDDINGS.read(tmp_path / f"{number}.parquet") for number in (1, 2))
    assert one.equals(two)
