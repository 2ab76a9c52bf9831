"""Do the prepared tables keep the data contract, and has every caption its vectors?"""

from collections.abc import Iterator

import dagster as dg

from flowmodel.files import Artifact
from pipelines.checking import embeddings_complete, icons_decode, keeps_contract, no_leak


def _schema(asset: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec("schema", asset=asset, blocking=True, description="The table keeps the data contract.")


@dg.multi_asset_check(
    specs=[
        _schema("normalized_icons"),
        dg.AssetCheckSpec("decodes", asset="normalized_icons", blocking=True, description="Every picture decodes."),
    ]
)
def normalized_icons_checks(normalized_icons: Artifact) -> Iterator[dg.AssetCheckResult]:
    from flowmodel.data.tables import ICONS

    key = dg.AssetKey("normalized_icons")
    yield keeps_contract(normalized_icons, ICONS, key)
    yield icons_decode(normalized_icons, key)


@dg.multi_asset_check(specs=[_schema("captions")])
def caption_checks(captions: Artifact) -> Iterator[dg.AssetCheckResult]:
    from flowmodel.data.tables import CAPTIONS

    yield keeps_contract(captions, CAPTIONS, dg.AssetKey("captions"))


@dg.multi_asset_check(specs=[_schema("duplicates")])
def duplicates_checks(duplicates: Artifact) -> Iterator[dg.AssetCheckResult]:
    from flowmodel.data.tables import DUPLICATES

    yield keeps_contract(duplicates, DUPLICATES, dg.AssetKey("duplicates"))


@dg.multi_asset_check(
    specs=[
        _schema("splits"),
        dg.AssetCheckSpec(
            "no_leak",
            asset="splits",
            additional_deps=["duplicates"],
            blocking=True,
            description="No two icons that look alike lie on two sides of a border.",
        ),
    ]
)
def splits_checks(duplicates: Artifact, splits: Artifact) -> Iterator[dg.AssetCheckResult]:
    from flowmodel.data.tables import SPLIT_TABLE

    yield keeps_contract(splits, SPLIT_TABLE, dg.AssetKey("splits"))
    yield no_leak(splits, duplicates, dg.AssetKey("splits"))


@dg.multi_asset_check(
    specs=[
        _schema("caption_embeddings"),
        dg.AssetCheckSpec(
            "finite_and_complete",
            asset="caption_embeddings",
            additional_deps=["captions"],
            blocking=True,
            description="Every caption has finite vectors.",
        ),
    ]
)
def caption_embeddings_checks(captions: Artifact, caption_embeddings: Artifact) -> Iterator[dg.AssetCheckResult]:
    from flowmodel.data.tables import caption_embeddings as contract
    from flowmodel.files import parquet_metadata

    key = dg.AssetKey("caption_embeddings")
    width = int(parquet_metadata(caption_embeddings.path).get("dimension", 0))
    yield keeps_contract(caption_embeddings, contract(width), key)
    yield embeddings_complete(captions, caption_embeddings, key)
