"""Shared code of the checks of several assets."""

from collections.abc import Mapping

import dagster as dg

from flowmodel.files import Artifact
from pipelines.failures import readable_failures
from pipelines.reporting import table

MAX_LISTED = 50


def decodes(key: dg.AssetKey) -> dg.AssetChecksDefinition:
    """The check `decodes` of the icons table `key`: quarantined icons are only a warning, unless no usable icon is left."""

    @dg.asset_check(asset=key, name="decodes", blocking=True, description="Every image could be decoded.")
    @readable_failures()
    def icons_decode(icons: Artifact) -> dg.AssetCheckResult:
        from flowmodel.data.quality import inspect_icons

        quality = inspect_icons(icons.path)
        return dg.AssetCheckResult(
            passed=not quality.quarantined and quality.ok > 0,
            severity=dg.AssetCheckSeverity.WARN if quality.ok else dg.AssetCheckSeverity.ERROR,
            description=f"{quality.ok} icons can be used, {len(quality.quarantined)} are quarantined.",
            metadata={"ok": quality.ok, "quarantined": len(quality.quarantined), "reasons": reasons(quality.quarantined)},
        )

    return icons_decode


def reasons(bad: Mapping[str, str]) -> dg.MetadataValue:
    """The first problems, by id."""
    return table([{"id": name, "reason": reason} for name, reason in sorted(bad.items())[:MAX_LISTED]])
