"""Normalized icons, captions and their vectors, splits, and the data set made of them.

The steps are those of flowmodel/data/prepare.py, which the command line uses as well.
"""

import time
from collections.abc import Sequence
from typing import Any

import dagster as dg

from flowmodel.data.dataset import IconDataset
from flowmodel.data.sources.config import SourceConfig
from flowmodel.files import Artifact
from pipelines.automation import on_changed_data
from pipelines.failures import readable_failures
from pipelines.icon_reports import duplicates_summary, icons_summary, splits_summary, unread_counts
from pipelines.reporting import materialized, table
from pipelines.resources import RecipeResource, StoreResource
from pipelines.sources import icon_sources, icons_key, preparation


def build_normalized_icons(sources: Sequence[SourceConfig]) -> dg.AssetsDefinition:
    """`normalized_icons` has one input for each source."""

    @dg.asset(
        ins={f"icons_{i}": dg.AssetIn(icons_key(source)) for i, source in enumerate(sources)},
        group_name="2_prepare",
        kinds={"python", "parquet"},
        automation_condition=on_changed_data,
    )
    @readable_failures()
    def normalized_icons(
        context: dg.AssetExecutionContext, store: StoreResource, recipe: RecipeResource, **icons: Artifact
    ) -> dg.MaterializeResult[Artifact]:
        """The icons of all sources in one table, fitted into squares of the recipe's size: premultiplied RGBA tensors, 4 x H x
        W.
        """
        started = time.perf_counter()
        steps = preparation(store, recipe, context.log)
        artifact = steps.normalized_icons({source.name: icons[f"icons_{i}"] for i, source in enumerate(sources)})
        return materialized(artifact, started, **icons_summary(artifact.path), size=steps.data.size)

    return normalized_icons


@dg.asset(group_name="2_prepare", kinds={"python", "parquet"}, automation_condition=on_changed_data)
@readable_failures()
def captions(
    context: dg.AssetExecutionContext, store: StoreResource, recipe: RecipeResource, normalized_icons: Artifact
) -> dg.MaterializeResult[Artifact]:
    """Several captions per icon: its name alone and with keywords, group, skin tone or style, in the recipe's
    languages.
    """
    from flowmodel.files import read_parquet

    started = time.perf_counter()
    artifact = preparation(store, recipe, context.log).captions(normalized_icons)
    rows = read_parquet(artifact.path, ["icon_id", "language", "template", "text"])
    examples = table(rows.slice(length=12).to_pylist())
    return materialized(artifact, started, **{"dagster/row_count": rows.num_rows, "examples": examples})


@dg.asset(group_name="2_prepare", kinds={"huggingface", "parquet"}, automation_condition=on_changed_data)
@readable_failures()
def caption_embeddings(
    context: dg.AssetExecutionContext, store: StoreResource, recipe: RecipeResource, captions: Artifact
) -> dg.MaterializeResult[Artifact]:
    """Pooled and token vectors of every text. Texts that were encoded before, for any data set, are reused."""
    from flowmodel.files import parquet_metadata

    started = time.perf_counter()
    report = preparation(store, recipe, context.log).caption_embeddings(captions)
    context.log.info(f"{report.encoded} texts encoded, {report.reused} reused")
    counts: dict[str, Any] = {
        "dagster/row_count": report.encoded + report.reused,
        "encoded": report.encoded,
        "reused": report.reused,
    }
    counts |= unread_counts(report.readability)
    return materialized(report.artifact, started, **counts, **parquet_metadata(report.artifact.path))


@dg.asset(group_name="2_prepare", kinds={"python", "parquet"}, automation_condition=on_changed_data)
@readable_failures()
def duplicates(
    context: dg.AssetExecutionContext, store: StoreResource, recipe: RecipeResource, normalized_icons: Artifact
) -> dg.MaterializeResult[Artifact]:
    """Pairs of icons of all sources that look the same or nearly the same, and the clusters that they form."""
    started = time.perf_counter()
    artifact = preparation(store, recipe, context.log).duplicates(normalized_icons)
    return materialized(artifact, started, **duplicates_summary(artifact.path, normalized_icons.path))


@dg.asset(group_name="2_prepare", kinds={"python", "parquet"}, automation_condition=on_changed_data)
@readable_failures()
def splits(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    recipe: RecipeResource,
    normalized_icons: Artifact,
    duplicates: Artifact,
) -> dg.MaterializeResult[Artifact]:
    """The split of each icon: training or held out, by concept, look-alikes, style and skin tone."""
    started = time.perf_counter()
    artifact = preparation(store, recipe, context.log).splits(normalized_icons, duplicates)
    return materialized(artifact, started, **splits_summary(artifact.path, normalized_icons.path))


@dg.asset(group_name="2_prepare", kinds={"pytorch", "parquet"}, automation_condition=on_changed_data)
@readable_failures()
def icon_dataset(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    recipe: RecipeResource,
    normalized_icons: Artifact,
    captions: Artifact,
    caption_embeddings: Artifact,
    splits: Artifact,
) -> dg.MaterializeResult[IconDataset]:
    """Icons, captions with their vectors, and splits in an immutable folder, the input of training and evaluation."""
    started = time.perf_counter()
    dataset = preparation(store, recipe, context.log).dataset(normalized_icons, captions, caption_embeddings, splits)
    return materialized(dataset, started, icons=len(dataset.ids), encoder=dataset.encoder)


@dg.definitions
def prepare() -> dg.Definitions:
    # Listed one by one, because Dagster loads nothing else from a module with a function marked `definitions`.
    steps = [captions, caption_embeddings, duplicates, splits, icon_dataset]
    return dg.Definitions(assets=[build_normalized_icons(icon_sources()), *steps])
