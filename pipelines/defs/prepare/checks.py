"""Checks that prepared images decode, that no look-alike leaks between splits, and that every caption has vectors of its own."""

import dagster as dg

from flowmodel.files import Artifact
from pipelines.checking import decodes, reasons
from pipelines.failures import readable_failures
from pipelines.icon_reports import unread_counts
from pipelines.resources import StoreResource

normalized_icons_decode = decodes(dg.AssetKey("normalized_icons"))


@dg.asset_check(
    asset="splits",
    additional_ins={"duplicates": dg.AssetIn("duplicates")},
    blocking=True,
    description="No two icons that look alike are in different splits.",
)
@readable_failures()
def no_leak(splits: Artifact, duplicates: Artifact) -> dg.AssetCheckResult:
    from flowmodel.data.duplicates import load_clusters, load_links
    from flowmodel.data.normalize import source_order
    from flowmodel.data.splits import leaks, load_splits

    split_of, links = load_splits(splits.path), load_links(duplicates.path)
    leaking = leaks(split_of, links, source_order(duplicates.path))
    clusters = len(set(load_clusters(duplicates.path).values()))
    bad = {f"{a} = {b}": f"{split_of[a]} and {split_of[b]}" for a, b in leaking}
    return dg.AssetCheckResult(
        passed=not leaking,
        description=f"{clusters} clusters of look-alikes, {len(leaking)} of their icons in different splits.",
        metadata={"clusters": clusters, "leaks": len(leaking), "reasons": reasons(bad)},
    )


@dg.asset_check(
    asset="caption_embeddings",
    additional_ins={"captions": dg.AssetIn("captions")},
    blocking=True,
    description="Every text has finite vectors.",
)
@readable_failures()
def finite_and_complete(store: StoreResource, caption_embeddings: Artifact, captions: Artifact) -> dg.AssetCheckResult:
    from flowmodel.data.quality import inspect_embeddings
    from flowmodel.files import parquet_metadata

    vectors = store.open().caption_vectors(parquet_metadata(caption_embeddings.path)["encoder_digest"])
    quality = inspect_embeddings(captions.path, caption_embeddings.path, vectors)
    bad = dict.fromkeys(quality.missing, "no embedding of this text")
    bad |= dict.fromkeys(quality.broken, "not finite, or without a token")
    return dg.AssetCheckResult(
        passed=not bad,
        description=f"{quality.encoded} texts encoded, {len(quality.missing)} missing, {len(quality.broken)} broken.",
        metadata={"encoded": quality.encoded, "reasons": reasons(bad)},
    )


@dg.asset_check(
    asset="caption_embeddings",
    additional_ins={"captions": dg.AssetIn("captions")},
    description="The encoder reads every text and distinguishes texts of different icons.",
)
@readable_failures()
def distinguishable(caption_embeddings: Artifact, captions: Artifact) -> dg.AssetCheckResult:
    from flowmodel.files import parquet_metadata
    from flowmodel.text.embeddings import inspect_captions
    from flowmodel.text.encoders import load_encoder

    readability = inspect_captions(load_encoder(parquet_metadata(caption_embeddings.path)["encoder"]), captions.path)
    lines = readability.lines()
    return dg.AssetCheckResult(
        passed=not readability.lost,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(lines) or f"{readability.texts} texts, all of them read and distinguished.",
        metadata=unread_counts(readability),
    )
