"""Referenced files are kept; others can be removed."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file, write_bytes, write_json
from flowmodel.inventory import Registered, clean, disk_usage, inventory
from flowmodel.locks import alone, in_use, run_lock
from flowmodel.model.checkpoint import FINAL, FINISHED, save_checkpoint, step_path
from flowmodel.store import Store


@dataclass(frozen=True)
class Stored:
    """A store with one finished training, its data set, evaluation and grid, and no record of any of them."""

    store: Store
    training: Path
    checkpoint_digest: str
    dataset_digest: str

    @property
    def dataset(self) -> Path:
        [folder] = self.store.datasets.iterdir()
        return folder

    @property
    def evaluation(self) -> Path:
        return self.store.file("evaluation", self.training.name)

    @property
    def grid(self) -> Path:
        return self.store.file("sample_grid", f"{self.training.name}.png")

    def record(self, asset: str, path: Path) -> None:
        write_json(self.store.root / "artifacts" / f"{asset}.json", {"path": self.store.relative(path), "digest": ""})

    def removed(self, *registered: Registered) -> set[str]:
        return {entry.path.relative_to(self.store.root).as_posix() for entry in clean(self.store, registered)}

    @property
    def everything(self) -> set[str]:
        paths = (self.training, self.dataset, self.evaluation, self.grid)
        return {path.relative_to(self.store.root).as_posix() for path in paths}


@pytest.fixture
def stored(tiny_training, tmp_path) -> Stored:
    store, dataset = Store(tmp_path / "store"), tiny_training.dataset
    training = store.trainings / tiny_training.folder.name
    training.mkdir(parents=True)
    shutil.copy(tiny_training.folder / FINAL, training / FINAL)
    shutil.copytree(dataset.folder, store.datasets / dataset.folder.name, copy_function=os.link)
    stored = Stored(store, training, tiny_training.checkpoint.digest, dataset.digest)
    write_json(stored.evaluation / "metrics.json", {})
    write_bytes(stored.grid, b"")
    return stored


def test_unreferenced_entries_are_removed_only_once(stored):
    everything = stored.everything
    assert {entry.referred_by for entry in inventory(stored.store, [])} == {""}
    assert stored.removed() == everything
    assert not any((stored.store.root / path).exists() for path in everything)
    assert stored.removed() == set()


def test_the_latest_of_an_asset_keeps_what_it_was_made_of(stored):
    stored.record("flow_checkpoint", stored.training / FINAL)
    assert stored.removed() == set()
    referred = {entry.kind: entry.referred_by for entry in inventory(stored.store, [])}
    assert referred["flow_checkpoint"] == "asset flow_checkpoint"
    assert referred["datasets"] == referred["evaluation"] == f"training {stored.training.name}"


def test_a_registered_version_keeps_its_training_and_its_data_set(stored):
    assert stored.removed(Registered("3", stored.checkpoint_digest, stored.dataset_digest)) == set()
    others = stored.everything - {stored.dataset.relative_to(stored.store.root).as_posix()}
    assert stored.removed(Registered("3", "another", stored.dataset_digest)) == others  # trained elsewhere


def test_a_registered_version_with_a_finisher_keeps_its_training(stored, tiny_finished):
    finished = shutil.copy(tiny_finished.checkpoint.path, stored.training / FINISHED)
    assert stored.removed(Registered("3", sha256_file(finished), stored.dataset_digest)) == set()


def test_an_unfinished_training_and_its_data_set_stay(stored, tiny_training):
    (stored.training / FINAL).unlink()
    save_checkpoint(step_path(stored.training, 10), {}, tiny_training.checkpoint.header)
    assert stored.removed() == set()


def test_a_table_goes_with_its_images_and_with_the_memory_of_its_source(stored):
    folder = stored.store.root / "icons" / "noto"
    for table, memory, seconds in (("0a", "1a", 1), ("0b", "1b", 2), ("0c", "1c", 3)):
        write_bytes(folder / f"{table}.parquet", b"")
        write_bytes(folder / f"{table}.png", b"")
        os.utime(write_json(folder / f"{memory}.json", {"table": f"{table}.parquet", "digest": ""}), (seconds, seconds))
    (stored.store.root / "artifacts" / "icons").mkdir(parents=True)
    stored.record("icons/noto", folder / "0b.parquet")
    assert {path for path in stored.removed() if path.startswith("icons")} == {"icons/noto/0a.parquet"}
    assert {path.name for path in folder.iterdir()} == {f"0{x}.{y}" for x in "bc" for y in ("parquet", "png")} | {
        "1b.json",  # of the recorded table
        "1c.json",  # of the newest: what the next run takes, where nothing has changed
    }


def test_files_of_earlier_releases_are_removed_and_foreign_files_are_kept(stored):
    write_bytes(stored.store.root / "rgba_tensors" / "tensors-64.safetensors", b"")
    stored.record("rgba_tensors", stored.store.root / "rgba_tensors" / "tensors-64.safetensors")
    write_bytes(stored.store.root / "captions" / "captions.parquet", b"")
    mine = write_bytes(stored.store.root / "mine" / "notes.txt", b"")
    vectors = write_bytes(stored.store.root / "caption_vectors" / "0a" / "0b.parquet", b"")
    expected = stored.everything | {"rgba_tensors", "captions/captions.parquet"}
    assert stored.removed() == expected
    assert mine.exists() and vectors.exists() and not (stored.store.root / "artifacts" / "rgba_tensors.json").exists()


def test_nothing_is_removed_while_the_store_is_in_use(stored):
    with run_lock(stored.store, "0a1b"), pytest.raises(FlowmodelError, match="run 0a1b is at work in this store"):
        stored.removed()
    with in_use(stored.store), pytest.raises(FlowmodelError, match="another process is at work in this store"):
        stored.removed()
    assert stored.training.exists()


def test_several_processes_may_work_but_only_one_may_clean(stored):
    with in_use(stored.store), in_use(stored.store):
        pass
    with alone(stored.store), pytest.raises(FlowmodelError, match="at work"), alone(stored.store):
        pass


def test_nothing_is_removed_if_a_record_or_a_checkpoint_cannot_be_read(stored):
    broken = write_bytes(stored.store.root / "artifacts" / "captions.json", b"{")
    with pytest.raises(FlowmodelError, match=r"captions\.json: not valid JSON"):
        stored.removed()
    broken.unlink()
    stored.record("flow_checkpoint", write_bytes(stored.training / FINAL, b""))
    with pytest.raises(FlowmodelError, match=r"final\.safetensors: not a flowmodel checkpoint"):
        stored.removed()
    assert stored.evaluation.exists() and stored.dataset.exists()


def test_a_file_of_two_names_is_counted_once(stored):
    table = write_bytes(stored.store.root / "splits" / "0a.parquet", bytes(1000))
    before = disk_usage(inventory(stored.store, []))
    os.link(table, stored.dataset / "splits-again.parquet")
    assert disk_usage(inventory(stored.store, [])) == before > 1000
