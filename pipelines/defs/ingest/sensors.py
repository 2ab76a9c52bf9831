"""Watches the sources for changes, without downloading anything."""

import json

import dagster as dg

from pipelines.defs.jobs import ingest
from pipelines.notify import Event
from pipelines.outbox import Outbox
from pipelines.resources import StoreResource
from pipelines.settings import load_settings
from pipelines.sources import icon_sources, icons_key, source_context
from pipelines.watching import asset_link

# Dagster terminates a sensor after a minute and loses the observations of all sources.
SECONDS = 40


@dg.definitions
def upstream() -> dg.Definitions:
    settings = load_settings().sensors
    status = dg.DefaultSensorStatus.RUNNING if settings.enabled else dg.DefaultSensorStatus.STOPPED
    sensor = dg.sensor(
        job=ingest,
        minimum_interval_seconds=settings.upstream_every_seconds,
        default_status=status,
        description="Observes every source (version, ETag, modification time, size), reads changed ones and notifies people.",
    )
    return dg.Definitions(sensors=[sensor(new_upstream)])


def new_upstream(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult:
    """Request a run for the sources that differ from the state that their table was made from; the cursor keeps each observed
    state.

    A source that can't be observed is logged as a warning and observed again at the next tick.
    """
    from flowmodel.data.sources.ingest import is_current, observe_sources, source_fingerprint

    place, settings = store.open(), load_settings()
    seen = json.loads(context.cursor or "{}")
    requests, observations = [], []
    sources = icon_sources()
    observed = observe_sources(sources, source_context(place, context.log), SECONDS)
    for source in sources:
        found = observed[source.name]
        if isinstance(found, Exception):
            context.log.warning(str(found) or repr(found))
            continue
        if seen.get(source.name) != [found.version, found.newer]:
            seen[source.name] = [found.version, found.newer]
            metadata = {"version": found.version} | ({"newer version": found.newer} if found.newer else {})
            observations.append(dg.AssetObservation(icons_key(source), metadata=metadata))
            if found.newer:
                Outbox.of(place).put(
                    Event(
                        id=f"newer-version-{source.name}-{found.newer}",
                        kind="newer_version",
                        title=f"The source {source.name} has a newer version",
                        reason=f"Version {found.newer} is published; the list of sources names {found.version}.",
                        link=asset_link(settings, icons_key(source)),
                    )
                )
        if not is_current(source, found, place.icons(source.name)):
            # The key makes Dagster request one run for each state of the source, even if reading it fails.
            key = f"{source.name}:{source_fingerprint(source, found)}"
            requests.append(dg.RunRequest(run_key=key, asset_selection=[icons_key(source)]))
            Outbox.of(place).put(
                Event(
                    id=f"new-upstream-{key.replace(':', '-')}",
                    kind="new_upstream",
                    title=f"The source {source.name} has changed and is read again",
                    reason=f"Its version is {found.version} now; the table in the store was made from another one.",
                    link=asset_link(settings, icons_key(source)),
                )
            )
    return dg.SensorResult(run_requests=requests, asset_events=observations, cursor=json.dumps(seen, sort_keys=True))
