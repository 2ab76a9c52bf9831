"""From icon sources to everything a training reads, in one call.

The pipeline does the same, one asset a step, with the same functions and the same files; this is the way without Dagster.
"""

from collections.abc import Callable
from pathlib import Path

from flowmodel.data.captions import build_captions
from flowmodel.data.dataset import IconDataset, write_dataset
from flowmodel.data.duplicates import find_duplicates
from flowmodel.data.normalize import normalise_icons
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.ingest import ingest_icons
from flowmodel.data.sources.loading import load_sources, sources_file
from flowmodel.data.splits import assign_splits
from flowmodel.images.tensors import pack_tensors
from flowmodel.recipes import Recipe
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.text.embeddings import embed_captions


def prepare(
    recipe: Recipe, store: Store, sources: Path | None = None, log: Callable[[str], None] = lambda _: None
) -> IconDataset:
    """Ingest, normalise, pack, caption, embed and split the icons of every source listed in the YAML file `sources`.

    Sources that have not changed are not read again, and captions that `store` already holds embedded are not embedded again.
    `log` gets a line a step. Raises FlowmodelError when a source, the encoder or a file of the store can't be read.
    """
    configs = load_sources(sources or sources_file())
    data = recipe.data
    context = SourceContext(PROJECT_ROOT, store.downloads, log)
    for config in configs:
        log(f"reading icons of '{config.name}'")
        if not ingest_icons(config, context, store.icons(config.name)).complete:
            log("not everything could be fetched; what is missing is quarantined, and the next run tries it again")
    log(f"normalising to {data.size} x {data.size} pixels")
    tables = {config.name: store.icons(config.name) for config in configs}
    trim = [config.name for config in configs if config.trim]
    normalised = normalise_icons(tables, data.size, store.normalised(data.size), trim)
    tensors = pack_tensors(normalised.path, store.tensors(data.size))
    styles = {config.name: config.style for config in configs}
    captions = build_captions(normalised.path, store.captions, styles, data.captions, data.languages)
    log(f"embedding captions with '{data.encoder}'")
    embeddings = embed_captions(captions.path, data.encoder, store.embeddings, log=log)
    duplicates = find_duplicates(normalised.path, store.duplicates)
    splits = assign_splits(normalised.path, duplicates.path, data.split, store.splits, styles)
    files = {"icons": normalised, "pixels": tensors, "captions": captions, "vectors": embeddings.artifact, "splits": splits}
    return write_dataset(store.datasets, data, files)
