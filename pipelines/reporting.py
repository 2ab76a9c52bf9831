"""Metadata of materializations for the Dagster UI."""

import base64
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from flowmodel.data.dataset import IconDataset
from flowmodel.files import Artifact
from flowmodel.recipes.split import Split

if TYPE_CHECKING:
    from PIL import Image

    from flowmodel.evaluation.report import EvaluationReport

MAX_INLINE = 12_000  # characters of an image in the event log
SHOWN_DIGITS = 16  # of a digest; a page of 1,440 pixels fits 55 characters without a space

T = TypeVar("T", Artifact, IconDataset)


def materialized(artifact: T, started: float, asset: str | None = None, **metadata: Any) -> dg.MaterializeResult[T]:
    """The result of an asset: `artifact` is passed downstream, and its digest is the data version.

    `started` is `time.perf_counter()` at the start of the asset; `asset` is its key if one step makes several. The UI keeps the
    order of `metadata`, so images, scores and links should come first; the file's path and digest are appended.
    """
    everything = {
        **metadata,
        "seconds": round(time.perf_counter() - started, 1),
        "megabytes": float(f"{_size(artifact.path) / 1e6:.3g}"),
        "path": dg.MetadataValue.path(artifact.path),
        "digest": artifact.digest[:SHOWN_DIGITS],  # all of it is the data version
    }
    # Not in the result, whose metadata Dagster would store twice: with the step's output, too.
    dg.AssetExecutionContext.get().add_asset_metadata(everything, asset)
    return dg.MaterializeResult(asset_key=asset, value=artifact, data_version=dg.DataVersion(artifact.digest))


def _size(path: Path) -> int:
    """Bytes of a file or of all files in a folder."""
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


def thumbnail(image: "Image.Image") -> dg.MetadataValue:
    """`image` inline, scaled to fit into MAX_INLINE because the event log keeps it forever. Show the file's path next to it."""
    smaller = image.convert("RGB") if image.mode not in ("RGB", "RGBA") else image
    while len(inline := _inline(smaller)) > MAX_INLINE:
        scale = max(0.5, min(0.9, (MAX_INLINE / len(inline)) ** 0.5))
        smaller = image.resize((max(1, int(smaller.width * scale)), max(1, int(smaller.height * scale))))
    return dg.MetadataValue.md(inline)


def _inline(image: "Image.Image") -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=60)
    return f"![image](data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def image_metadata(name: str, image: "Image.Image", file: Path) -> dict[str, dg.MetadataValue]:
    """Metadata of an image that is written to `file`: a thumbnail as `name`, and the path of the full image."""
    from flowmodel.images.save import save_image

    return {name: thumbnail(image), f"{name} file": dg.MetadataValue.path(save_image(image, file))}


def table(records: Sequence[Mapping[str, str | int | float]]) -> dg.MetadataValue:
    """A table with the columns of the first record."""
    types = {int: "int", float: "float"}
    columns = [dg.TableColumn(name, types.get(type(value), "string")) for name, value in records[0].items()] if records else []
    return dg.MetadataValue.table([dg.TableRecord(dict(r)) for r in records], schema=dg.TableSchema(columns))


def link(words: str, address: str) -> dg.MetadataValue:
    """A link labeled `words`, because an MLflow address is wider than its column in the UI."""
    return dg.MetadataValue.md(f"[{words}]({address})")


def rules_table(records: Sequence[Mapping[str, str]]) -> dg.MetadataValue:
    """The rules of a gate's decision in order: each outcome, and the rule with its numbers as a sentence."""
    return table([{"outcome": record["outcome"], "rule": record["in words"]} for record in records])


def headline_scores(report: "EvaluationReport") -> dict[str, float]:
    """The headline scores of training and held-out icons, which Dagster plots over the runs."""
    from flowmodel.registry.headlines import HEADLINES

    shown = {split: scores.measured for split, scores in report.metrics.items() if split in (Split.TRAIN, Split.UNSEEN_CONCEPT)}
    return {f"{split} {name}": float(f"{of[name]:.4g}") for split, of in shown.items() for name in HEADLINES if name in of}


def metrics_table(report: "EvaluationReport") -> dg.MetadataValue:
    """Every metric of an evaluation report, with the score of real icons."""
    rows = []
    for split, scores in report.metrics.items():
        real_scores = report.baselines.real[split].measured
        for name, value in scores.measured.items():
            real = f"{real_scores[name]:.4g}" if name in real_scores else ""
            rows.append({"metric": f"{split} {name}", "samples": f"{value:.4g}", "real icons": real})
    return table(rows)
