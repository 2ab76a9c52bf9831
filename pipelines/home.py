"""Dagster's home folder, which is in the store unless DAGSTER_HOME names another one.

Without it Dagster would forget every run, and with it the settings of dagster.yaml.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from filelock import FileLock

from flowmodel.errors import FlowmodelError
from flowmodel.registry.dead_runs import close_dead_runs
from flowmodel.store import IS_CHECKOUT, PROJECT_ROOT, Store, unfit_for_addresses
from pipelines.pools import ACCELERATOR, store_default_limit
from pipelines.stale_runs import end_stale_runs

SETTINGS = "dagster.yaml"
_MATTERING = ("concurrency", "run_monitoring", "run_retries")  # sections that change how runs are executed


def prepare_home(store: Store) -> Path:
    """Make sure that this process and its children have a DAGSTER_HOME, and end runs whose process no longer exists.

    The project's settings are written into the store's own home, and into one that is new or empty. Any other home is left
    unchanged, and a message lists the settings that it lacks. Raises FlowmodelError when DAGSTER_HOME is not an absolute path.
    """
    own = store.root / "dagster"
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(own.resolve()))).expanduser()
    if not home.is_absolute():
        raise FlowmodelError(f"DAGSTER_HOME: '{home}' is not an absolute path; use one, or unset it")
    if unfit := unfit_for_addresses(home):
        raise FlowmodelError(f"{home}: {unfit}")
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "true")
    is_ours = home.resolve() == own.resolve() or not home.exists() or not any(home.iterdir())
    home.mkdir(parents=True, exist_ok=True)
    if IS_CHECKOUT and is_ours:
        shutil.copyfile(PROJECT_ROOT / SETTINGS, home / SETTINGS)
    elif IS_CHECKOUT and (lacking := lacking_settings(home / SETTINGS)):
        print(
            f"DAGSTER_HOME: {home} is not this project's own, so its settings are not changed; {SETTINGS} there lacks "
            f"{', '.join(lacking)}, without which two trainings may run at the same time and killed runs are not restarted: "
            f"copy them from {PROJECT_ROOT / SETTINGS}, or unset DAGSTER_HOME"
        )
    store.root.mkdir(parents=True, exist_ok=True)
    # Dagster creates its tables on first use, and two processes that do so at the same time conflict.
    with FileLock(store.root / "starting.lock"), dg.DagsterInstance.get() as instance:
        if is_ours:
            _migrate(instance, home)
        instance.all_asset_keys()
        instance.all_instigator_state()
        store_default_limit(instance, ACCELERATOR)
        for run_id in end_stale_runs(instance, store):
            print(f"run {run_id[:8]} belongs to a killed process and has been marked as ended", flush=True)
    for run_id in close_dead_runs(store):
        print(f"MLflow run {run_id[:8]} belongs to a training that was killed, and is marked as killed")
    return home


def _migrate(instance: dg.DagsterInstance, home: Path) -> None:
    """Bring the tables of an earlier release of Dagster up to date; raises FlowmodelError if a later one made them."""
    from alembic.util import CommandError

    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    versions = [storage.alembic_version() for storage in storages if storage]
    if all(version is None or version[0] in (None, version[1]) for version in versions):
        return
    try:
        instance.upgrade(print_fn=None)
    except CommandError:
        problem = "its tables were written by a later release of Dagster; update flowmodel, or unset DAGSTER_HOME"
        raise FlowmodelError(f"{home}: {problem}") from None
    print(f"{home}: tables of an earlier Dagster release were migrated", flush=True)


def lacking_settings(file: Path) -> list[str]:
    """The dotted names of the project's settings that are missing in `file`, the dagster.yaml of another home.

    Raises FlowmodelError when it is not a YAML mapping.
    """
    try:
        theirs = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    except yaml.YAMLError as error:
        raise FlowmodelError(
            f"{file}: not valid YAML ({' '.join(str(error).split())}); correct it, or unset DAGSTER_HOME"
        ) from None
    if not isinstance(theirs or {}, dict):
        raise FlowmodelError(f"{file}: not a mapping; correct it, or unset DAGSTER_HOME")
    ours = yaml.safe_load((PROJECT_ROOT / SETTINGS).read_text(encoding="utf-8"))
    there = set(_names(theirs or {}))
    return [name for name in _names({section: ours[section] for section in _MATTERING}) if name not in there]


def _names(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
