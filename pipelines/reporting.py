"""What a materialisation says about itself in the Dagster UI."""

import base64
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from flowmodel.files import Artifact

if TYPE_CHECKING:
    from PIL import Image

PREVIEW_ICONS = 24


def materialised(artifact: Artifact, started: float, asset: str | None = None, **metadata: Any) -> dg.MaterializeResult[Artifact]:
    """The result of an asset: `artifact` goes to those downstream, its digest is the data version.

    `started` is `time.perf_counter()` of when the asset began; `asset` its key, where one step makes several.
    """
    return dg.MaterializeResult(
        asset_key=asset,
        value=artifact,
        data_version=dg.DataVersion(artifact.digest),
        metadata={
            "path": dg.MetadataValue.path(artifact.path),
            "digest": artifact.digest,
            "megabytes": float(f"{artifact.path.stat().st_size / 1e6:.3g}"),
            "seconds": round(time.perf_counter() - started, 1),
            **metadata,
        },
    )


def icons_summary(path: Path) -> dict[str, Any]:
    """Counts, groups and a small picture of the icons table at `path`."""
    from flowmodel.files import read_parquet
    from flowmodel.icons.table import read_ok_icons

    rows = read_parquet(path, ["status"]).num_rows
    icons = read_ok_icons(path, ["name", "group", "png"])
    chosen = icons.iloc[:: max(1, len(icons) // PREVIEW_ICONS)].head(PREVIEW_ICONS)
    return {
        "dagster/row_count": rows,
        "quarantined": rows - len(icons),
        "icons by group": table([{"group": group, "icons": count} for group, count in icons["group"].value_counts().items()]),
        "preview": icon_preview(chosen["png"].tolist()),
    }


def icon_preview(pngs: Sequence[bytes]) -> dg.MetadataValue:
    from flowmodel.icons.grid import picture_grid
    from flowmodel.icons.rgba import open_png

    if not pngs:
        return dg.MetadataValue.md("no usable icon")
    return picture(picture_grid([open_png(png) for png in pngs], columns=12, cell=48))


def picture(image: "Image.Image") -> dg.MetadataValue:
    """`image` inline: the UI has no way to show a file of this machine."""
    from flowmodel.pictures import png_bytes

    return dg.MetadataValue.md(f"![picture](data:image/png;base64,{base64.b64encode(png_bytes(image)).decode()})")


def table(records: Sequence[Mapping[str, str | int | float]]) -> dg.MetadataValue:
    """A table with the columns of the first record."""
    types = {int: "int", float: "float"}
    columns = [dg.TableColumn(name, types.get(type(value), "string")) for name, value in records[0].items()] if records else []
    return dg.MetadataValue.table([dg.TableRecord(dict(r)) for r in records], schema=dg.TableSchema(columns))


def metrics_table(report: Mapping[str, Any]) -> dg.MetadataValue:
    """Every metric of an evaluation report, beside what real icons score."""
    rows = []
    for split, scores in report["metrics"].items():
        floor = report["reference"].get(split, {})
        for name, value in scores.items():
            real = f"{floor[name]:.4g}" if name in floor else ""
            rows.append({"icons": split, "metric": name, "samples score": f"{value:.4g}", "real icons score": real})
    return table(rows)
