"""From icon sources to everything a training reads, in one call.

The pipeline does the same, one asset a step, with the same functions and the same files; this is the way without Dagster.
"""

from collections.abc import Callable
from pathlib import Path

from flowmodel.icons.captions import build_captions
from flowmodel.icons.normalise import normalise_icons
from flowmodel.icons.sources import ingest_icons, load_sources
from flowmodel.icons.splits import assign_splits
from flowmodel.icons.tensors import pack_tensors
from flowmodel.recipes import Recipe
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.text.embeddings import embed_captions
from flowmodel.training.inputs import TrainingInputs

DEFAULT_SOURCES = PROJECT_ROOT / "pipelines" / "sources.yaml"


def prepare(
    recipe: Recipe, store: Store, sources: Path = DEFAULT_SOURCES, log: Callable[[str], None] = lambda _: None
) -> TrainingInputs:
    """Ingest, normalise, pack, caption, embed and split the icons of every source listed in the YAML file `sources`.

    Captions that `store` already holds embedded are not embedded again. `log` gets a line a step.

    Raises FlowmodelError when a source, the encoder or a file of the store can't be read.
    """
    configs = load_sources(sources)
    size = recipe.data.size
    for config in configs:
        log(f"reading icons of '{config.name}'")
        ingest_icons(config, PROJECT_ROOT, store.icons(config.name))
    log(f"normalising to {size} x {size} pixels")
    normalised = normalise_icons([store.icons(config.name) for config in configs], size, store.normalised(size))
    tensors = pack_tensors(normalised.path, store.tensors(size))
    captions = build_captions(normalised.path, store.captions, {config.name: config.style for config in configs})
    log(f"embedding captions with '{recipe.data.encoder}'")
    embeddings = embed_captions(captions.path, recipe.data.encoder, store.embeddings, log=log)
    splits = assign_splits(normalised.path, recipe.data.split, store.splits)
    return TrainingInputs(normalised, tensors, captions, embeddings.artifact, splits)
