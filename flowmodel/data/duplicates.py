"""Which icons show the same picture, over all sources: pixel for pixel, or so nearly that one gives the other away.

Shape suffixes: N icons, H/W height and width, S edge of the reduced pictures, W 64-bit words of a hash, P pairs.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from flowmodel.data.groups import groups
from flowmodel.files import Artifact, read_parquet
from flowmodel.images.rgba import pixels
from flowmodel.tables import DUPLICATES

# Chosen by looking at pairs: docs/sources.md shows what lies on either side.
MAX_HASH_DISTANCE = 20  # bits of 192
MAX_PIXEL_DISTANCE = 0.04  # of the full range

_S = 32  # edge at which pictures are compared; larger ones are averaged
_BLOCK = 512
_SILENCE = 8.0  # of a cosine coefficient; a difference of 0.02 in every pixel moves one by about 1


def find_duplicates(normalized: Path, out: Path) -> Artifact:
    """Write the `duplicates` table: a row a pair of usable icons that look alike.

    A perceptual hash (signs of the lowest 8 x 8 cosine frequencies, as in Zauner 2010, of the picture on white, on black and of
    its alpha) finds the candidates; the root mean square of the pixels' difference decides. Identical are those whose
    premultiplied pixels have one digest: pictures of other detail may be the same when reduced.

    Raises FlowmodelError when the table is missing or unreadable.
    """
    icons = read_parquet(normalized, ["id", "rgba", "sha256", "width", "status"])
    icons = icons.filter(pc.equal(icons["status"], "ok"))
    reduced_NSS4 = _reduce(pixels(icons["rgba"], max(icons["width"].to_pylist(), default=1)))
    a_P, b_P, hash_P, pixel_P = _similar_pairs(reduced_NSS4)
    ids, digests = (np.array(icons[column].to_pylist(), dtype=object) for column in ("id", "sha256"))
    cluster_of = groups(ids, zip(ids[a_P], ids[b_P], strict=True))
    pairs = pd.DataFrame(
        {
            "icon_a": ids[a_P],
            "icon_b": ids[b_P],
            "cluster": [cluster_of[icon] for icon in ids[a_P]],
            "identical": digests[a_P] == digests[b_P],
            "hash_distance": hash_P.astype(np.int64),
            "pixel_distance": pixel_P.astype(np.float64).round(5),
        }
    )
    return DUPLICATES.write(out, pairs.sort_values(["icon_a", "icon_b"], ignore_index=True))


def load_pairs(path: Path) -> list[tuple[str, str]]:
    """The pairs of ids that look alike; raises FlowmodelError when the table is missing or unreadable."""
    table = read_parquet(path, ["icon_a", "icon_b"])
    return list(zip(table["icon_a"].to_pylist(), table["icon_b"].to_pylist(), strict=True))


def perceptual_hash(reduced_NSS4: NDArray[np.float32]) -> NDArray[np.uint64]:
    """192 bits a picture (premultiplied RGBA, 0 to 1), shape (N, 3): on white, on black, and its alpha."""
    alpha_NSS = reduced_NSS4[..., 3]
    gray_NSS = reduced_NSS4[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)  # luma, ITU-R BT.601
    words = []
    for plane_NSS in (gray_NSS + 1 - alpha_NSS, gray_NSS, alpha_NSS):
        low_N64 = dctn(plane_NSS, axes=(1, 2))[:, :8, :8].reshape(-1, 64)
        low_N64[:, 0] = 0  # the mean says how bright, not what
        # Flat and symmetric planes have many frequencies near zero, whose signs are noise.
        bits_N64 = low_N64 > np.maximum(np.median(low_N64, axis=1, keepdims=True), _SILENCE)
        words.append(np.packbits(bits_N64, axis=1).view(np.uint64))
    return np.concatenate(words, axis=1)


def _reduce(rgba_N4HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Premultiplied RGBA as floats from 0 to 1, averaged to at most S x S."""
    pictures = [Image.frombytes("RGBa", p.shape[1::-1], p.tobytes()) for p in rgba_N4HW.transpose(0, 2, 3, 1)]
    small = [np.asarray(p.reduce(max(1, p.width // _S))) for p in pictures]
    if not small:
        return np.zeros((0, 1, 1, 4), np.float32)
    return np.stack(small).astype(np.float32) / np.float32(255)


def _similar_pairs(reduced_NSS4: NDArray[np.float32]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    hashes_NW = perceptual_hash(reduced_NSS4)
    flat_ND = reduced_NSS4.reshape(len(reduced_NSS4), int(np.prod(reduced_NSS4.shape[1:])))
    found = [_confirm(flat_ND, *candidates) for candidates in _candidates(hashes_NW)]
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    a_P, b_P, hash_P, pixel_P = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return a_P, b_P, hash_P, pixel_P


def _candidates(hashes_NW: NDArray[np.uint64]) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """Indices a < b, block by block, and how many bits they differ in."""
    for start in range(0, len(hashes_NW), _BLOCK):
        block = hashes_NW[start : start + _BLOCK]
        rest = hashes_NW[start:]
        distance = np.zeros((len(block), len(rest)), np.uint16)
        for word in range(hashes_NW.shape[1]):
            distance += np.bitwise_count(block[:, None, word] ^ rest[None, :, word])
        a, b = np.nonzero(distance <= MAX_HASH_DISTANCE)
        a, b = a[a < b], b[a < b]
        yield a + start, b + start, distance[a, b]


def _confirm(
    flat_ND: NDArray[np.float32], a: NDArray, b: NDArray, hash_distance: NDArray
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    pixel = np.zeros(len(a), np.float32)
    for start in range(0, len(a), _BLOCK):  # in parts: many icons may have the same flat silhouette
        part = slice(start, start + _BLOCK)
        pixel[part] = np.sqrt(np.mean((flat_ND[a[part]] - flat_ND[b[part]]) ** 2, axis=1))
    near = pixel <= MAX_PIXEL_DISTANCE
    return a[near], b[near], hash_distance[near], pixel[near]
