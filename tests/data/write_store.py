"""Writes a small store of this release, which later releases must open: `python -m tests.data.write_store ARCHIVE.tar.xz`.

It runs the whole job on fourteen icons, omits everything that can be computed or fetched again, and replaces local paths by
neutral ones. tests/pipelines/test_upgrades.py opens every archive in tests/data/stores.
"""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import yaml
from PIL import Image

from flowmodel.store import PROJECT_ROOT
from tests.pipelines.conftest import RECIPE, write_icons

# The recipe of the pipeline's tests, with a smaller network and training.
SMALL = RECIPE | {
    "network": RECIPE["network"] | {"channels": [8], "head_dim": 4, "embedding_dim": 16},
    "training": RECIPE["training"] | {"steps": 6, "batch_size": 4, "log_every": 2, "sample_every": 6, "checkpoint_every": 3},
    "evaluation": RECIPE["evaluation"]
    | {"gate": {"rules": [{"metric": "near_copy_rate", "split": "unseen_concept", "waived": "fourteen icons learn nothing"}]}},
}
ICONS, SIDE = 14, 24
# Caches, images, and those parts of a registered model that are the same in every store.
LEFT_OUT = {"exports", "features", "caption_vectors", "onnx", "code", "ema", "trajectory.png", "report.html", "downloads"}


def make(folder: Path) -> None:
    """Run the job on a project in `folder`; its store is `folder/store`."""
    icons = folder / "icons"
    write_icons(icons, ICONS)
    for file in icons.glob("*.png"):
        Image.open(file).convert("RGBA").resize((SIDE, SIDE), Image.Resampling.BOX).save(file)
    sources = {"sources": [{"name": "mine", "kind": "folder", "path": str(icons), "license": "CC0-1.0"}]}
    (folder / "sources.yaml").write_text(yaml.safe_dump(sources))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(SMALL))
    environment = os.environ | {
        "FLOWMODEL_STORE": str(folder / "store"),
        "FLOWMODEL_SOURCES": str(folder / "sources.yaml"),
        "FLOWMODEL_RECIPE": str(folder / "recipe.yaml"),
        "DAGSTER_HOME": str(folder / "store" / "dagster"),
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    subprocess.run([sys.executable, "-m", "pipelines.run"], cwd=PROJECT_ROOT, env=environment, check=True)


def pack(folder: Path, archive: Path) -> None:
    """Write the store of the project in `folder` to `archive`."""
    neutral = {
        str(folder.resolve()): "/srv/flowmodel",
        sys.prefix: "/usr",
        str(PROJECT_ROOT): "/srv/checkout",
        socket.gethostname(): "machine",
    }
    with tempfile.TemporaryDirectory() as place:
        store = Path(shutil.copytree(folder / "store", Path(place, "store"), ignore=lambda _, names: LEFT_OUT & set(names)))
        for path in store.rglob("*"):
            if path.suffix == ".db":
                _replace_in_database(path, neutral)
            elif path.suffix in {".json", ".yaml", ".csv"} or path.name == "MLmodel":
                path.write_text(_replaced(path.read_text(encoding="utf-8"), neutral), encoding="utf-8")
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "w:xz", preset=9) as tar:
            tar.add(store, "store", filter=_without_owner)
    print(f"{archive}: {archive.stat().st_size / 1000:.0f} kB")


def _replaced(text: str, neutral: Mapping[str, str]) -> str:
    for own, instead in neutral.items():
        text = text.replace(own, instead)
    return text


def _replace_in_database(path: Path, neutral: Mapping[str, str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.create_function("replaced", 1, lambda value: _replaced(value, neutral) if isinstance(value, str) else value)
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall():
                if any(word in kind.upper() for word in ("CHAR", "TEXT", "CLOB")):
                    database.execute(f'UPDATE OR IGNORE "{table}" SET "{column}" = replaced("{column}")')
        database.execute("VACUUM")


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as project:
        make(Path(project))
        pack(Path(project), Path(sys.argv[1]))
