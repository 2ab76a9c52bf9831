"""Answers of the library as check results: blocking where nothing sensible could follow, a warning where it can."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact
from pipelines.failures import readable_failures
from pipelines.reporting import table

if TYPE_CHECKING:
    from flowmodel.data.tables import Table

MAX_LISTED = 50


def keeps_contract(artifact: Artifact, contract: "Table", key: dg.AssetKey) -> dg.AssetCheckResult:
    """Does the Parquet file hold the columns, types and values that its table says?"""
    from flowmodel.files import read_parquet

    try:
        rows = contract.check(read_parquet(artifact.path), where=artifact.path).num_rows
    except FlowmodelError as error:
        return dg.AssetCheckResult(passed=False, asset_key=key, check_name="schema", description=str(error))
    return dg.AssetCheckResult(
        passed=True, asset_key=key, check_name="schema", metadata={"rows": rows, "columns": ", ".join(contract.columns)}
    )


@readable_failures()
def icons_decode(artifact: Artifact, key: dg.AssetKey) -> dg.AssetCheckResult:
    """Does every picture decode? Quarantined ones only warn, unless nothing else is left."""
    from flowmodel.data.quality import inspect_icons

    quality = inspect_icons(artifact.path)
    bad = quality.undecodable | quality.quarantined
    fatal = bool(quality.undecodable) or quality.ok == 0
    return dg.AssetCheckResult(
        passed=not bad and not fatal,
        asset_key=key,
        check_name="decodes",
        severity=dg.AssetCheckSeverity.ERROR if fatal else dg.AssetCheckSeverity.WARN,
        description=f"{quality.ok} icons decode, {len(quality.quarantined)} quarantined, {len(quality.undecodable)} broken.",
        metadata={"ok": quality.ok, "quarantined": len(quality.quarantined), "reasons": _reasons(bad)},
    )


@readable_failures()
def embeddings_complete(captions: Artifact, embeddings: Artifact, key: dg.AssetKey) -> dg.AssetCheckResult:
    """Has every caption finite vectors?"""
    from flowmodel.data.quality import inspect_embeddings

    quality = inspect_embeddings(captions.path, embeddings.path)
    bad = dict.fromkeys(quality.missing, "no embedding of this text")
    bad |= dict.fromkeys(quality.broken, "not finite, or of wrong length")
    return dg.AssetCheckResult(
        passed=not bad,
        asset_key=key,
        check_name="finite_and_complete",
        description=f"{quality.encoded} captions encoded, {len(quality.missing)} missing, {len(quality.broken)} broken.",
        metadata={"encoded": quality.encoded, "reasons": _reasons(bad)},
    )


@readable_failures()
def no_leak(splits: Artifact, duplicates: Artifact, key: dg.AssetKey) -> dg.AssetCheckResult:
    """Does every pair of look-alikes lie on one side of every border?"""
    from flowmodel.data.duplicates import load_pairs
    from flowmodel.data.splits import leaks, load_splits

    split_of, pairs = load_splits(splits.path), load_pairs(duplicates.path)
    leaking = leaks(split_of, pairs)
    bad = {f"{a} = {b}": f"{split_of[a]} and {split_of[b]}" for a, b in leaking}
    return dg.AssetCheckResult(
        passed=not leaking,
        asset_key=key,
        check_name="no_leak",
        description=f"{len(pairs)} pairs of look-alikes, {len(leaking)} of them across a border.",
        metadata={"pairs": len(pairs), "leaks": len(leaking), "reasons": _reasons(bad)},
    )


def _reasons(bad: Mapping[str, str]) -> dg.MetadataValue:
    return table([{"id": name, "reason": reason} for name, reason in sorted(bad.items())[:MAX_LISTED]])
