"""Ingests an entry of `sources.yaml` into its `icons` table."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from pathlib import Path
from types import ModuleType

from flowmodel.data.sources.config import SourceConfig
from flowmodel.data.sources.context import Observation, Reading, SourceContext
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, is_of_content, keep_by_content, read_json, sha256_json, write_json
from flowmodel.recipes.renamed import with_former_names
from flowmodel.tables import ICONS

# Incremented when the same source gives other rows than before, so that tables of earlier releases are replaced.
_FORMAT = 3


@dataclass(frozen=True)
class Ingested:
    """The source's table, and its version for display.

    `unchanged` if the existing table was current and nothing was read; not `complete` if something could not be fetched, which
    the next reading retries.
    """

    artifact: Artifact
    version: str
    unchanged: bool
    complete: bool = True


def read_icons(config: SourceConfig, context: SourceContext) -> Reading:
    """Every icon of the source as a row of the icons table (tables.ICONS).

    An unusable image becomes a row with the reason and status `quarantined`, or `unavailable` if a retry may help. Raises
    FlowmodelError when the source as a whole can't be read, or gives two icons the same id.
    """
    reading: Reading = _module(config).read(config, context)
    if not reading.rows:
        raise FlowmodelError(f"source '{config.name}': has no icons; check its entry in sources.yaml")
    seen: set[str] = set()
    for row in reading.rows:
        if row["id"] in seen:
            raise FlowmodelError(f"source '{config.name}': two icons have the id '{row['id']}'; rename one of them")
        seen.add(row["id"])
    return reading


def observe_source(config: SourceConfig, context: SourceContext) -> Observation:
    """The current state of the source, without downloading it; raises FlowmodelError when it is missing."""
    observation: Observation = _module(config).observe(config, context)
    return observation


def observe_sources(
    configs: Sequence[SourceConfig], context: SourceContext, seconds: float
) -> dict[str, Observation | Exception]:
    """The current state of each source by name, or its error; all are observed in parallel.

    A source that takes longer than `seconds` gives an error and is abandoned.
    """
    found: dict[str, Observation | Exception] = {}

    def observe(config: SourceConfig) -> None:
        try:
            found[config.name] = observe_source(config, context)
        except Exception as error:
            found[config.name] = error

    # No executor, because Python would wait at exit for its abandoned threads.
    threads = [threading.Thread(target=observe, args=(config,), daemon=True) for config in configs]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    in_time = dict(found)
    return {
        config.name: in_time.get(config.name, FlowmodelError(f"source '{config.name}': not checked within {seconds:g} s"))
        for config in configs
    }


def source_fingerprint(config: SourceConfig, observation: Observation) -> str:
    """A digest of everything that may change the table: the entry, the observation, and the renderer's release."""
    entry = with_former_names(config.model_dump(mode="json"), config.renamed)
    return sha256_json([_FORMAT, _renderer(), entry, observation.fingerprint])


def is_current(config: SourceConfig, observation: Observation, folder: Path) -> bool:
    """Whether `folder` has the table of the same entry and observation."""
    return _current(config, observation, folder) is not None


def ingest_icons(config: SourceConfig, context: SourceContext, folder: Path, again: bool = False) -> Ingested:
    """Write the source's table, sorted by id, into `folder`, unless a current one is there and it isn't to be read `again`.

    It is named by its content. The observation is stored in a file that is named by the fingerprint, so that lists with
    different entries of the same name do not conflict. Raises FlowmodelError as :func:`read_icons` does.
    """
    observation = observe_source(config, context)
    if not again and (artifact := _current(config, observation, folder)):
        return Ingested(artifact, observation.version, unchanged=True)
    reading = read_icons(config, context)
    rows = sorted(reading.rows, key=itemgetter("id"))
    artifact = keep_by_content(folder, lambda out: ICONS.write(out, rows, {"source": config.name}))
    complete = reading.complete and not any(row["status"] == "unavailable" for row in rows)
    if complete:  # otherwise the next run retries
        write_json(_memory(config, observation, folder), {"table": artifact.path.name, "digest": artifact.digest})
    return Ingested(artifact, observation.version, unchanged=False, complete=complete)


def _renderer() -> str:
    """The SVG renderer and its release, because another release may render more."""
    try:
        return version("resvg_py")
    except PackageNotFoundError:
        return ""


def _current(config: SourceConfig, observation: Observation, folder: Path) -> Artifact | None:
    try:
        memory = read_json(_memory(config, observation, folder))
        artifact = Artifact(folder / memory["table"], memory["digest"])
    except (FlowmodelError, KeyError, TypeError):
        return None
    return artifact if is_of_content(artifact.path, artifact.digest) else None


def _memory(config: SourceConfig, observation: Observation, folder: Path) -> Path:
    return folder / f"{source_fingerprint(config, observation)[:16]}.json"


def _module(config: SourceConfig) -> ModuleType:
    # A new kind of source is a model in config.py and a module of that name, imported when used.
    return import_module(f"flowmodel.data.sources.{config.kind}")
