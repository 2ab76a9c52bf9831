"""From an entry of `sources.yaml` to its `icons` table."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from types import ModuleType

from flowmodel.data.sources.config import SourceConfig
from flowmodel.data.sources.context import Observation, Reading, SourceContext
from flowmodel.data.tables import ICONS
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, read_json, sha256_file, sha256_json, write_json

# Raised when the same source would give other rows than before, so that tables of an earlier release are made anew.
_FORMAT = 2


@dataclass(frozen=True)
class Ingested:
    """The source's table and the version of the source, for a person.

    `unchanged` where the table that lay there was still right and nothing was read; not `complete` where something could not be
    fetched this time, which the next reading tries again.
    """

    artifact: Artifact
    version: str
    unchanged: bool
    complete: bool = True


def read_icons(config: SourceConfig, context: SourceContext) -> Reading:
    """Every icon of the source as a row of the icons table (tables.ICONS).

    A picture that can't be used becomes a row with status `quarantined` and the reason. Raises FlowmodelError when the source as
    a whole can't be read, or gives two icons the same id.
    """
    reading: Reading = _module(config).read(config, context)
    if not reading.rows:
        raise FlowmodelError(f"source '{config.name}': holds no icons; see its entry in sources.yaml")
    seen: set[str] = set()
    for row in reading.rows:
        if row["id"] in seen:
            raise FlowmodelError(f"source '{config.name}': two icons have the id '{row['id']}'; rename one of them")
        seen.add(row["id"])
    return reading


def observe_source(config: SourceConfig, context: SourceContext) -> Observation:
    """What the source looks like now, without downloading it; raises FlowmodelError when it is not there."""
    observation: Observation = _module(config).observe(config, context)
    return observation


def observe_sources(
    configs: Sequence[SourceConfig], context: SourceContext, seconds: float
) -> dict[str, Observation | Exception]:
    """What each source looks like now, by name, or the error in place of it; all are asked at the same time.

    A source that takes longer than `seconds` is an error too, and is not waited for.
    """
    found: dict[str, Observation | Exception] = {}

    def observe(config: SourceConfig) -> None:
        try:
            found[config.name] = observe_source(config, context)
        except Exception as error:
            found[config.name] = error

    # No executor: at its end Python would wait for the threads that nobody waits for.
    threads = [threading.Thread(target=observe, args=(config,), daemon=True) for config in configs]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    in_time = dict(found)
    return {
        config.name: in_time.get(config.name, FlowmodelError(f"source '{config.name}': not observed within {seconds:g} s"))
        for config in configs
    }


def source_fingerprint(config: SourceConfig, observation: Observation) -> str:
    """A digest that changes when the entry, or what was observed, may give another table."""
    return sha256_json([_FORMAT, config.model_dump(mode="json"), observation.fingerprint])


def is_current(config: SourceConfig, observation: Observation, out: Path) -> bool:
    """Whether the table at `out` was made of the same entry and of what was observed."""
    if not out.is_file() or not _memory(out).is_file():
        return False
    try:
        memory = read_json(_memory(out))
    except FlowmodelError:
        return False
    return bool(memory == {"fingerprint": source_fingerprint(config, observation), "digest": sha256_file(out)})


def ingest_icons(config: SourceConfig, context: SourceContext, out: Path) -> Ingested:
    """Write the source's table to `out`, sorted by id, unless the one there is current.

    Beside it lies `<out>.json`, which remembers what was observed. Raises FlowmodelError as :func:`read_icons` does; a table
    that is there stays as it is then.
    """
    observation = observe_source(config, context)
    if is_current(config, observation, out):
        return Ingested(Artifact.of(out), observation.version, unchanged=True)
    reading = read_icons(config, context)
    artifact = ICONS.write(out, sorted(reading.rows, key=itemgetter("id")), {"source": config.name})
    if reading.complete:
        write_json(_memory(out), {"fingerprint": source_fingerprint(config, observation), "digest": artifact.digest})
    else:  # so that the next run tries again what could not be fetched
        _memory(out).unlink(missing_ok=True)
    return Ingested(artifact, observation.version, unchanged=False, complete=reading.complete)


def _module(config: SourceConfig) -> ModuleType:
    # A new kind of source is one model in config.py and one module of that name. Only what is used is imported.
    return import_module(f"flowmodel.data.sources.{config.kind}")


def _memory(out: Path) -> Path:
    return out.with_name(out.name + ".json")
