"""Icons to pictures of one size, to a tensor; captions to vectors; and the split."""

import time
from collections.abc import Sequence

import dagster as dg

from flowmodel.data.dataset import IconDataset
from flowmodel.data.sources.config import SourceConfig
from flowmodel.files import Artifact
from pipelines.automation import on_changed_data
from pipelines.failures import readable_failures
from pipelines.icon_reports import duplicates_summary, icons_summary, splits_summary
from pipelines.reporting import materialised, table
from pipelines.resources import RecipeResource, StoreResource
from pipelines.sources import icon_sources, icon_styles, icons_key


def build_normalized_icons(sources: Sequence[SourceConfig]) -> dg.AssetsDefinition:
    """`normalized_icons` has one input for each source."""

    @dg.asset(
        ins={f"icons_{i}": dg.AssetIn(icons_key(source)) for i, source in enumerate(sources)},
        group_name="prepare",
        kinds={"python", "parquet"},
        automation_condition=on_changed_data,
    )
    @readable_failures()
    def normalized_icons(store: StoreResource, recipe: RecipeResource, **icons: Artifact) -> dg.MaterializeResult[Artifact]:
        """Every source's icons in one table, fitted into squares of the recipe's size in premultiplied alpha."""
        from flowmodel.data.normalize import normalise_icons

        started = time.perf_counter()
        size = recipe.load().data.size
        tables = {source.name: icons[f"icons_{i}"].path for i, source in enumerate(sources)}
        trim = [source.name for source in sources if source.trim]
        artifact = normalise_icons(tables, size, store.open().normalised(size), trim)
        return materialised(artifact, started, size=size, **icons_summary(artifact.path))

    return normalized_icons


@dg.asset(group_name="prepare", kinds={"pytorch", "safetensors"}, automation_condition=on_changed_data)
@readable_failures()
def rgba_tensors(store: StoreResource, recipe: RecipeResource, normalized_icons: Artifact) -> dg.MaterializeResult[Artifact]:
    """The usable icons as one uint8 tensor N x 4 x H x W, premultiplied."""
    from flowmodel.images.tensors import load_tensors, pack_tensors

    started = time.perf_counter()
    artifact = pack_tensors(normalized_icons.path, store.open().tensors(recipe.load().data.size))
    shape = tuple(load_tensors(artifact.path).rgba_N4HW.shape)
    return materialised(artifact, started, **{"dagster/row_count": shape[0], "shape": " x ".join(map(str, shape))})


@dg.asset(group_name="prepare", kinds={"python", "parquet"}, automation_condition=on_changed_data)
@readable_failures()
def captions(store: StoreResource, recipe: RecipeResource, normalized_icons: Artifact) -> dg.MaterializeResult[Artifact]:
    """Several captions an icon: its name, with keywords, group, skin tone or drawing style, in the recipe's languages."""
    from flowmodel.data.captions import build_captions
    from flowmodel.files import read_parquet

    started = time.perf_counter()
    data = recipe.load().data
    artifact = build_captions(normalized_icons.path, store.open().captions, icon_styles(), data.captions, data.languages)
    rows = read_parquet(artifact.path, ["icon_id", "language", "template", "text"])
    examples = table(rows.slice(length=12).to_pylist())
    return materialised(artifact, started, **{"dagster/row_count": rows.num_rows, "examples": examples})


@dg.asset(group_name="prepare", kinds={"huggingface", "parquet"}, automation_condition=on_changed_data)
@readable_failures()
def caption_embeddings(
    context: dg.AssetExecutionContext, store: StoreResource, recipe: RecipeResource, captions: Artifact
) -> dg.MaterializeResult[Artifact]:
    """Pooled and token vectors of every caption; a text that was encoded before is not encoded again."""
    from flowmodel.files import parquet_metadata
    from flowmodel.text.embeddings import embed_captions

    started = time.perf_counter()
    encoder = recipe.load().data.encoder
    report = embed_captions(captions.path, encoder, store.open().embeddings, log=context.log.info)
    context.log.info(f"{report.encoded} captions encoded, {report.reused} reused")
    counts = {"dagster/row_count": report.encoded + report.reused, "encoded": report.encoded, "reused": report.reused}
    return materialised(report.artifact, started, **counts, **parquet_metadata(report.artifact.path))


@dg.asset(group_name="prepare", kinds={"python", "parquet"}, automation_condition=on_changed_data)
@readable_failures()
def duplicates(store: StoreResource, normalized_icons: Artifact) -> dg.MaterializeResult[Artifact]:
    """Pairs of icons that look the same or nearly so, over all sources, and the clusters that they form."""
    from flowmodel.data.duplicates import find_duplicates

    started = time.perf_counter()
    artifact = find_duplicates(normalized_icons.path, store.open().duplicates)
    return materialised(artifact, started, **duplicates_summary(artifact.path, normalized_icons.path))


@dg.asset(group_name="prepare", kinds={"python", "parquet"}, automation_condition=on_changed_data)
@readable_failures()
def splits(
    store: StoreResource, recipe: RecipeResource, normalized_icons: Artifact, duplicates: Artifact
) -> dg.MaterializeResult[Artifact]:
    """Which icons are trained on and which are held out: by concept, look-alikes, drawing style and skin tone."""
    from flowmodel.data.splits import assign_splits

    started = time.perf_counter()
    config, out = recipe.load().data.split, store.open().splits
    artifact = assign_splits(normalized_icons.path, duplicates.path, config, out, icon_styles())
    return materialised(artifact, started, **splits_summary(artifact.path, normalized_icons.path))


@dg.asset(group_name="prepare", kinds={"parquet", "safetensors"}, automation_condition=on_changed_data)
@readable_failures()
def icon_dataset(
    store: StoreResource,
    recipe: RecipeResource,
    normalized_icons: Artifact,
    rgba_tensors: Artifact,
    captions: Artifact,
    caption_embeddings: Artifact,
    splits: Artifact,
) -> dg.MaterializeResult[IconDataset]:
    """Pictures, captions with their vectors and splits in one folder that never changes: what training and evaluation read."""
    from flowmodel.data.dataset import write_dataset

    started = time.perf_counter()
    files = {
        "icons": normalized_icons,
        "pixels": rgba_tensors,
        "captions": captions,
        "vectors": caption_embeddings,
        "splits": splits,
    }
    dataset = write_dataset(store.open().datasets, recipe.load().data, files)
    return materialised(dataset, started, icons=len(dataset.ids), encoder=dataset.encoder)


@dg.definitions
def prepare() -> dg.Definitions:
    # Named one by one: beside a function marked `definitions`, Dagster loads nothing else of a module.
    steps = [rgba_tensors, captions, caption_embeddings, duplicates, splits, icon_dataset]
    return dg.Definitions(assets=[build_normalized_icons(icon_sources()), *steps])
