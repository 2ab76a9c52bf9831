"""The contents of a store, the references to them, and the removal of unreferenced contents.

Roots are the latest results of each asset (`artifacts/`), the registered model versions and unfinished trainings. Everything that
the roots depend on is kept; only unreferenced contents are ever removed. Caches are kept.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path

from flowmodel.files import read_json, sha256_file
from flowmodel.locks import alone
from flowmodel.store import Store

# Glob patterns of each kind, in the order of the pipeline. A match is kept or removed as a whole.
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
    "artifacts": "artifacts/runs/*",  # results of finished runs other than the latest
}
_KEPT = {
    "registered_model": "the last registered version",
    "architecture_comparison": "tables and images of comparisons",
    "downloads": "cache of the sources",
    "caption_vectors": "cache of all data sets",
    "features": "cache of evaluations",
    "models": "cache of models that were fetched from an MLflow server",
    "exports": "cache of exported models, and of the studio",
    "mlflow": "runs and models; `mlflow gc` removes what was deleted there",
    "dagster": "runs and their logs",
    "notifications": "sent and waiting notifications",
}
_LOCKS = {"runs", "registering.lock", "starting.lock"}
# Tables of earlier releases, which no code reads anymore.
_FORMER = ("rgba_tensors",)


@dataclass(frozen=True)
class Registered:
    """A registered version: the digests of its checkpoint and of its training data set."""

    version: str
    checkpoint_digest: str
    dataset_digest: str


@dataclass(frozen=True)
class Entry:
    """A file or folder of the store.

    Attributes:
        companions: files that belong to this one only.
        referred_by: descriptions of what refers to it; empty if nothing does.
    """

    kind: str
    path: Path
    referred_by: str
    companions: tuple[Path, ...] = ()

    @cached_property
    def files(self) -> dict[int, int]:
        """Bytes by inode, because a data set may hold a hard link to the same file."""
        files = [file for path in (self.path, *self.companions) for file in (path.rglob("*") if path.is_dir() else [path])]
        return {(status := file.lstat()).st_ino: status.st_size for file in files if file.is_file()}

    @property
    def written(self) -> float:
        """When its newest file was written, in seconds since 1970."""
        files = [file for path in (self.path, *self.companions) for file in (path, *path.rglob("*"))]
        return max(file.lstat().st_mtime for file in files)

    def remove(self) -> None:
        for path in (self.path, *self.companions):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def disk_usage(entries: Iterable[Entry]) -> int:
    """Bytes of all of them."""
    return sum({inode: size for entry in entries for inode, size in entry.files.items()}.values())


def inventory(store: Store, registered: Iterable[Registered], runs: Iterable[str] = ()) -> list[Entry]:
    """Everything in `store`. `registered` are the model versions in its MLflow registry, `runs` those whose results are kept.

    Raises FlowmodelError when a record or a checkpoint can't be read, because its references are unknown then.
    """
    referrer_of = _references(store, list(registered), list(runs))
    found = {
        path: Entry(kind, path, referrer_of.get(path, ""), _companions(path))
        for kind, pattern in _ENTRIES.items()
        for path in sorted(store.root.glob(pattern))
    }
    known = {path.relative_to(store.root).parts[0] for path in found} | _ENTRIES.keys() | _LOCKS
    others = (path for path in sorted(store.root.glob("*")) if path.name not in known)
    kept = _KEPT | dict.fromkeys(_FORMER, "")
    return [*found.values(), *(Entry(path.name, path, kept.get(path.name, "not made by this release")) for path in others)]


def unreferenced(
    store: Store, registered: Iterable[Registered], runs: Iterable[str] = (), unchanged_since: float = inf
) -> list[Entry]:
    """What nothing refers to, and was last written before `unchanged_since` (seconds since 1970)."""
    unused = (entry for entry in inventory(store, registered, runs) if not entry.referred_by)
    return [entry for entry in unused if entry.written < unchanged_since]


def clean(store: Store, registered: Iterable[Registered]) -> list[Entry]:
    """Remove what :func:`unreferenced` finds, and return it.

    Raises FlowmodelError when a process uses `store`, or as :func:`inventory` does.
    """
    with alone(store):
        unused = unreferenced(store, registered)
        for entry in unused:
            entry.remove()
        for memory, table in _memories(store):
            if not table.exists():
                memory.unlink()
        for former in _FORMER:
            (store.root / "artifacts" / f"{former}.json").unlink(missing_ok=True)
    return unused


def _references(store: Store, registered: list[Registered], runs: list[str]) -> dict[Path, str]:
    """Descriptions of what refers to a file or folder."""
    words: dict[Path, str] = {}
    for path, asset in _recorded(store):
        for each in (path, *path.parents):  # a training is referenced by its folder, not by its last checkpoint
            words.setdefault(each, f"asset {asset}")
    for run in runs:
        results = store.root / "artifacts" / "runs" / run
        words[results] = f"run {run[:8]}"
        for path in (store.locate(read_json(record)["path"]) for record in results.rglob("*.json")):
            for each in (path, *path.parents):
                words.setdefault(each, f"run {run[:8]}")
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
    """The latest result of each asset, with the asset's name."""
    records = store.root / "artifacts"
    for record in sorted(records.rglob("*.json")):
        asset = record.relative_to(records).with_suffix("")
        if asset.parts[0] not in ("runs", *_FORMER):
            yield store.locate(read_json(record)["path"]), asset.as_posix()


def _memories(store: Store) -> list[tuple[Path, Path]]:
    """For each source, the file that records its state and the resulting table."""
    return [(path, path.parent / read_json(path)["table"]) for path in store.root.glob("icons/*/*.json")]


def _why_kept(training: Path, registered: list[Registered]) -> str:
    from flowmodel.model.checkpoint import FINAL, FINISHED

    if not (training / FINAL).exists():
        return "unfinished; the same run continues it"
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
    """The preview images next to a table."""
    return tuple(sorted(set(path.parent.glob(f"{path.stem}.*")) - {path})) if path.suffix == ".parquet" else ()
