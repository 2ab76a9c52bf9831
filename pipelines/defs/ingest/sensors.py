"""Watches the sources for changes, without downloading anything."""

import json

import dagster as dg

from pipelines.defs.jobs import ingest
from pipelines.resources import StoreResource
from pipelines.sources import icon_sources, icons_key, source_context

# Dagster gives up a sensor after a minute, and with it all that the others would have told.
SECONDS = 40


@dg.sensor(
    job=ingest,
    minimum_interval_seconds=6 * 3600,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Observes every source (version, ETag, time of change and size) and reads those that have changed.",
)
def new_upstream(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult:
    """Requests a run of the sources whose table was made of something else; the cursor keeps what was seen of each.

    A source that can't be observed is a warning in the sensor's log, and is looked at again next time.
    """
    from flowmodel.data.sources.ingest import is_current, observe_sources, source_fingerprint

    place = store.open()
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
        if not is_current(source, found, place.icons(source.name)):
            # The key makes Dagster ask once for each state of the source, also where reading it fails.
            key = f"{source.name}:{source_fingerprint(source, found)}"
            requests.append(dg.RunRequest(run_key=key, asset_selection=[icons_key(source)]))
    return dg.SensorResult(run_requests=requests, asset_events=observations, cursor=json.dumps(seen, sort_keys=True))
