"""Removal of old runs, versions, trainings and downloads, as the settings say; `python -m pipelines.retention` lists them.

Champion, challenger and every other version that has an alias stay, as do the runs of the latest results, and everything that a
kept run or version refers to.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from flowmodel.errors import FlowmodelError
from flowmodel.store import Store
from pipelines.settings import Retention, load_settings
from pipelines.watching import crownings

_DAY = 86400
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class Expired:
    """Something that is old enough to go, in a few words."""

    words: str
    remove: Callable[[], None]


def expired(instance: dg.DagsterInstance, store: Store, settings: Retention, now: float) -> list[Expired]:
    """What is to go, in the order in which it has to. `now` is in seconds since 1970.

    Raises FlowmodelError when MLflow or a record of the store can't be read.
    """
    from flowmodel.inventory import unreferenced
    from flowmodel.registry.retention import dagster_runs_of_versions, old_versions, registered_in, remove_version

    oldest = now - (settings.runs_days or 0) * _DAY
    versions = old_versions(store, settings.versions, oldest) if settings.versions is not None else []
    runs = _finished_runs(instance, oldest) if settings.runs_days is not None else []
    if runs:  # what follows imports MLflow
        needed = _needed_runs(instance) | dagster_runs_of_versions(store, versions)
        runs = [run_id for run_id in runs if run_id not in needed]
    going: list[Expired] = [
        Expired(f"version {version.version} of the model", lambda version=version: remove_version(store, version))  # type: ignore[misc]
        for version in versions
    ]
    going += [Expired(f"run {run_id}", lambda run_id=run_id: instance.delete_run(run_id)) for run_id in runs]  # type: ignore[misc]
    if settings.checkpoints_days is not None:
        kept = {path.name for path in (store.root / "artifacts" / "runs").glob("*") if instance.has_run(path.name)} - set(runs)
        unused = unreferenced(store, registered_in(store, versions), kept, now - settings.checkpoints_days * _DAY)
        going += [Expired(entry.path.relative_to(store.root).as_posix(), entry.remove) for entry in unused]
    if settings.downloads_days is not None:
        going += _old_downloads(store, now - settings.downloads_days * _DAY)
    return going


def remove_expired(instance: dg.DagsterInstance, store: Store, settings: Retention, now: float) -> list[Expired]:
    """Remove what :func:`expired` finds, and return it. Raises FlowmodelError also when a process uses the store."""
    from flowmodel.locks import alone

    with alone(store) if store.root.exists() else nullcontext():
        going = expired(instance, store, settings, now)
        for each in going:
            each.remove()
    return going


def _finished_runs(instance: dg.DagsterInstance, before: float) -> list[str]:
    """Runs that had ended before that time."""
    finished = dg.RunsFilter(statuses=_FINISHED, updated_before=datetime.fromtimestamp(before, UTC))
    return [record.dagster_run.run_id for record in instance.get_run_records(finished)]


def _needed_runs(instance: dg.DagsterInstance) -> set[str]:
    """Those that made the latest result of an asset or made a champion last, and those that they continued."""
    records = instance.get_asset_records()
    latest = [record.asset_entry.last_materialization_record for record in records]
    latest.append(next(crownings(instance), None))
    needed = {record.run_id for record in latest if record is not None}
    for run in filter(None, map(instance.get_run_by_id, list(needed))):
        needed |= {run_id for run_id in (run.root_run_id, run.parent_run_id) if run_id}
    return needed


def _old_downloads(store: Store, before: float) -> Iterator[Expired]:
    for path in sorted(store.downloads.rglob("*")):
        if path.is_file() and max((status := path.stat()).st_mtime, status.st_atime) < before:
            yield Expired(path.relative_to(store.root).as_posix(), path.unlink)


def main() -> int:
    """List what the settings let go, or remove it; returns 2 where that can't be done."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.retention", description="List what the settings allow to be removed."
    )
    parser.add_argument("--yes", action="store_true", help="remove it; without this it is only listed")
    options = parser.parse_args()
    from pipelines.home import prepare_home

    store = Store.from_environment()
    try:
        prepare_home(store)
        with dg.DagsterInstance.get() as instance:
            going = (remove_expired if options.yes else expired)(instance, store, load_settings().retention, time.time())
    except FlowmodelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for each in going:
        print(each.words)
    print(f"{len(going)} removed" if options.yes else f"{len(going)} to remove: python -m pipelines.retention --yes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
