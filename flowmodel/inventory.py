"""The contents of a store, what refers to them, and the removal of everything that nothing refers to.

Records are what each asset gave last (`artifacts/`), the registered versions of the model, trainings that are not finished, and
what any of these was made of. What no record points to can be removed, and nothing else ever is. Caches serve all, and stay.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flowmodel.files import read_json, sha256_file
from flowmodel.locks import alone
from flowmodel.store import Store

# For each kind, in the order of the pipeline, what is kept or removed as a whole.
_ENTRIES = {
    "icons": "icons/**/*.parquet",
    "normalized_icons": "normalized_icons/*.parquet",
    "captions": "captions/*.parquet",
    "caption_embeddings": "caption_embeddings/*.parquet",
    "duplicates": "duplicates/*.parquet",
    "splits": "splits/*.parquet",
    "datasets": "datasets/*",
    "flow_checkpoint": "flow_checkpoint/*",
    "evaluation": "evaluation/*",
    "sample_grid": "sample_grid/*",
    "gate_decision": "gate_decision/*",
    "artifacts": "artifacts/runs/*",  # what runs that have ended made, beside the latest of all
}
_KEPT = {
    "registered_model": "what was registered last",
    "architecture_comparison": "tables and pictures of comparisons",
    "downloads": "cache of the sources",
    "caption_vectors": "cache of all data sets",
    "features": "cache of evaluations",
    "models": "cache of models that were fetched from an MLflow server",
    "mlflow": "runs and models; `mlflow gc` removes what was deleted there",
    "dagster": "runs and their logs",
}
_LOCKS = {"runs", "registering.lock"}
# What earlier releases made of the icons, and none reads any more.
_FORMER = ("rgba_tensors",)


@dataclass(frozen=True)
class Registered:
    """A registered version: the digests of its checkpoint, and of the data set that it was trained on."""

    version: str
    checkpoint_digest: str
    dataset_digest: str


@dataclass(frozen=True)
class Entry:
    """A file or folder of the store.

    Attributes:
        companions: files beside it that are about it alone.
        referred_by: what points to it, in words; empty where nothing does.
    """

    kind: str
    path: Path
    referred_by: str
    companions: tuple[Path, ...] = ()

    @cached_property
    def files(self) -> dict[int, int]:
        """Bytes by inode: the same file may have a second name, in a data set."""
        files = [file for path in (self.path, *self.companions) for file in (path.rglob("*") if path.is_dir() else [path])]
        return {(status := file.lstat()).st_ino: status.st_size for file in files if file.is_file()}

    def remove(self) -> None:
        for path in (self.path, *self.companions):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def disk_usage(entries: Iterable[Entry]) -> int:
    """Bytes of all of them."""
    return sum({inode: size for entry in entries for inode, size in entry.files.items()}.values())


def inventory(store: Store, registered: Iterable[Registered]) -> list[Entry]:
    """All that lies in `store`; `registered` are the versions that its MLflow knows.

    Raises FlowmodelError when a record or a checkpoint can't be read: then nobody knows what it points to.
    """
    referrer_of = _references(store, list(registered))
    found = {
        path: Entry(kind, path, referrer_of.get(path, ""), _companions(path))
        for kind, pattern in _ENTRIES.items()
        for path in sorted(store.root.glob(pattern))
    }
    known = {path.relative_to(store.root).parts[0] for path in found} | _ENTRIES.keys() | _LOCKS
    others = (path for path in sorted(store.root.glob("*")) if path.name not in known)
    kept = _KEPT | dict.fromkeys(_FORMER, "")
    return [*found.values(), *(Entry(path.name, path, kept.get(path.name, "not made by this release")) for path in others)]


def clean(store: Store, registered: Iterable[Registered]) -> list[Entry]:
    """Remove what no record points to; returns what that was.

    Raises FlowmodelError when somebody is at work in `store`, or :func:`inventory` does.
    """
    with alone(store):
        unused = [entry for entry in inventory(store, registered) if not entry.referred_by]
        for entry in unused:
            entry.remove()
        for memory, table in _memories(store):
            if not table.exists():
                memory.unlink()
        for former in _FORMER:
            (store.root / "artifacts" / f"{former}.json").unlink(missing_ok=True)
    return unused


def _references(store: Store, registered: list[Registered]) -> dict[Path, str]:
    """What points to a file or folder, in words."""
    words: dict[Path, str] = {}
    for path, asset in _recorded(store):
        for each in (path, *path.parents):  # of a training its folder, not its last checkpoint
            words.setdefault(each, f"asset {asset}")
    newest = {table.parent: table for _, table in sorted(_memories(store), key=lambda pair: pair[0].stat().st_mtime)}
    words |= {table: "the source, as it was read last" for table in newest.values() if table not in words}
    for training in store.trainings.glob("*"):
        if why := words.get(training) or _why_kept(training, registered):
            made_of_it = (store.file("evaluation", training.name), store.file("sample_grid", f"{training.name}.png"))
            for path in (training, *made_of_it, *_dataset(store, _dataset_digest(training))):
                words.setdefault(path, why if path == training else f"training {training.name}")
    for model in registered:
        for path in _dataset(store, model.dataset_digest):
            words.setdefault(path, f"version {model.version} of the model")
    return words


def _recorded(store: Store) -> Iterator[tuple[Path, str]]:
    """What each asset gave last, and the asset."""
    records = store.root / "artifacts"
    for record in sorted(records.rglob("*.json")):
        asset = record.relative_to(records).with_suffix("")
        if asset.parts[0] not in ("runs", *_FORMER):
            yield store.locate(read_json(record)["path"]), asset.as_posix()


def _memories(store: Store) -> list[tuple[Path, Path]]:
    """For each reading of a source, the file that records its state and the table that was made."""
    return [(path, path.parent / read_json(path)["table"]) for path in store.root.glob("icons/*/*.json")]


def _why_kept(training: Path, registered: list[Registered]) -> str:
    from flowmodel.model.checkpoint import FINAL, FINISHED

    if not (training / FINAL).exists():
        return "not finished, the same run continues it"
    digests = {sha256_file(path) for path in (training / FINAL, training / FINISHED) if path.exists()}
    return next((f"version {each.version} of the model" for each in registered if each.checkpoint_digest in digests), "")


def _dataset_digest(training: Path) -> str | None:
    from flowmodel.model.checkpoint import FINAL, read_header, step_checkpoints

    final = training / FINAL
    newest = final if final.exists() else next((path for _, path in reversed(step_checkpoints(training))), None)
    return read_header(newest).dataset_digest if newest else None


def _dataset(store: Store, digest: str | None) -> list[Path]:
    return [path for path in store.datasets.glob("*") if digest and digest.startswith(path.name)]


def _companions(path: Path) -> tuple[Path, ...]:
    """Beside a table the pictures that show it."""
    return tuple(sorted(set(path.parent.glob(f"{path.stem}.*")) - {path})) if path.suffix == ".parquet" else ()
