"""Finds icons of all sources that show the same image, exactly or nearly, so that one would leak the other."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flowmodel.data.groups import groups
from flowmodel.data.look_alikes import links, perceptual_hash, reduce_images
from flowmodel.data.normalize import source_order
from flowmodel.files import Artifact, read_parquet
from flowmodel.images.rgba import pixels
from flowmodel.tables import DUPLICATES

_BATCH = 1024  # images in memory at full size


def find_duplicates(normalized: Path, out: Path) -> Artifact:
    """Write the `duplicates` table: links that connect usable icons that look alike into clusters.

    The table does not hold every pair of a cluster. A copy is linked to the first icon with the same premultiplied pixels
    (`identical`). Images that look alike by a perceptual hash and by their pixels get enough links to connect them
    (:mod:`flowmodel.data.look_alikes`). Icons are processed in the order of sources.yaml, then by id, so that links among the
    first sources don't depend on later ones. The file's metadata stores that order.

    Raises FlowmodelError when the table is missing or unreadable.
    """
    sources = source_order(normalized)
    place = {source: number for number, source in enumerate(sources)}
    usable = sorted(_usable(normalized), key=lambda icon: (place.get(icon[1], 0), icon[0]))
    first: dict[str, str] = {}
    for icon_id, _, digest in usable:
        first.setdefault(digest, icon_id)
    rows: list[tuple[str, str, bool, int, float]] = []
    for icon, _, digest in usable:
        if icon != first[digest]:
            rows.append((min(first[digest], icon), max(first[digest], icon), True, 0, 0.0))
    shown, reduced_NSS4, hashes_NW = _images(normalized, set(first.values()))
    number = {icon_id: row for row, icon_id in enumerate(shown)}
    order_N = np.array([number[icon_id] for icon_id in first.values()], np.int64)
    for link in links(reduced_NSS4, hashes_NW, order_N):
        a, b = sorted((shown[link.a], shown[link.b]))
        rows.append((a, b, False, link.hash_distance, round(link.pixel_distance, 5)))
    cluster_of = groups((icon for icon, *_ in usable), ((a, b) for a, b, *_ in rows))
    return DUPLICATES.write(out, sorted((a, b, cluster_of[a], *rest) for a, b, *rest in rows), {"sources": json.dumps(sources)})


def load_links(path: Path) -> list[tuple[str, str]]:
    """Read the links between icons that look alike; raises FlowmodelError when the table is missing or unreadable."""
    table = read_parquet(path, ["icon_a", "icon_b"])
    return list(zip(table["icon_a"].to_pylist(), table["icon_b"].to_pylist(), strict=True))


def load_clusters(path: Path) -> dict[str, str]:
    """Read the cluster of each icon that has look-alikes; raises FlowmodelError when the table is missing or unreadable."""
    table = read_parquet(path, ["icon_a", "icon_b", "cluster"])
    a, b, cluster = (table[name].to_pylist() for name in table.column_names)
    return dict(zip(a, cluster, strict=True)) | dict(zip(b, cluster, strict=True))


def members_of(clusters: Mapping[str, str]) -> dict[str, list[str]]:
    """The icons of each cluster, sorted."""
    members = defaultdict(list)
    for icon_id, cluster in sorted(clusters.items()):
        members[cluster].append(icon_id)
    return dict(members)


def _usable(normalized: Path) -> list[tuple[str, str, str]]:
    """Id, source and digest of the pixels of each icon."""
    table = read_parquet(normalized, ["id", "source", "sha256", "status"])
    columns = (column.to_pylist() for column in table.select(["id", "source", "sha256", "status"]).itercolumns())
    return [(icon_id, source, digest) for icon_id, source, digest, status in zip(*columns, strict=True) if status == "ok"]


def _images(normalized: Path, wanted: set[str]) -> tuple[list[str], NDArray[np.uint8], NDArray[np.uint64]]:
    """Ids, reduced images and hashes of the `wanted` icons. Only one batch of images is in memory at full size at a time."""
    ids: list[str] = []
    reduced_NSS4, hashes_NW = np.zeros((0, 1, 1, 4), np.uint8), np.zeros((len(wanted), 3), np.uint64)
    # Buffered, because otherwise the whole column is read at once.
    with pq.ParquetFile(normalized, buffer_size=2**20, pre_buffer=False) as file:
        for batch in file.iter_batches(_BATCH, columns=["id", "rgba", "width"]):
            table = pa.table(batch)
            table = table.filter(pa.array([icon_id in wanted for icon_id in table["id"].to_pylist()], pa.bool_()))
            if not len(table):
                continue
            small_NSS4 = reduce_images(pixels(table["rgba"], table["width"][0].as_py()))
            if not ids:
                reduced_NSS4 = np.empty((len(wanted), *small_NSS4.shape[1:]), np.uint8)
            rows = slice(len(ids), len(ids) + len(table))
            reduced_NSS4[rows], hashes_NW[rows] = small_NSS4, perceptual_hash(small_NSS4)
            ids += table["id"].to_pylist()
    return ids, reduced_NSS4, hashes_NW
