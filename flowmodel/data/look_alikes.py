"""Finds images that look alike among very many, without comparing every pair at full detail.

The comparison does not depend on an icon's color or opacity: two single-color icons differ only by their shapes, equally in black
and in white, and faint icons are compared as if they were opaque.

Shape suffixes: N images, S edge of the reduced images, W 64-bit words of a hash, D = S * S * 4, K axes, P candidates, R x C a
block of products.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

# Chosen by looking at pairs; docs/sources.md shows examples on both sides.
MAX_HASH_DISTANCE = 20  # bits of 192
MAX_PIXEL_DISTANCE = 0.04  # of the full range

EDGE = 32  # edge at which images are compared; larger ones are averaged down
_SILENCE = 8.0  # threshold of a cosine coefficient; a difference of 0.02 in every pixel changes one by about 1
_FLAT = 0.1  # range below which a plane counts as empty
_AXES, _FITTED_TO = 64, 4096  # number of principal axes, and of images that determine them
_BLOCK = 512
_ROWS, _COLUMNS = 256, 4096  # of a block of products
_ROUNDING = 0.1  # rounding error of squared distances in single precision
_COMPARED = 32  # images per step, after which connections are looked up again
# Images at distance d differ by at most 2 d in their pixels (RMS of premultiplied RGBA), where the color of pixels that only
# one of them shows counts too.
_PIXELS_A_DISTANCE = 2.0


@dataclass(frozen=True)
class Link:
    """Two images that look alike, by index, and their distances."""

    a: int
    b: int
    hash_distance: int
    pixel_distance: float


def reduce_images(rgba_N4HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Premultiplied RGBA, averaged to at most EDGE x EDGE and scaled to full opacity, (N, S, S, 4)."""
    images = [Image.frombytes("RGBa", p.shape[1::-1], p.tobytes()) for p in rgba_N4HW.transpose(0, 2, 3, 1)]
    small = [np.asarray(p.reduce(max(1, p.width // EDGE))) for p in images]
    if not small:
        return np.zeros((0, 1, 1, 4), np.uint8)
    reduced_NSS4 = np.stack(small)
    most_N = np.maximum(reduced_NSS4[..., 3].max(axis=(1, 2)), 1)
    faint_N = np.flatnonzero(most_N < 255)
    scale_N111 = (255 / most_N[faint_N])[:, None, None, None]
    reduced_NSS4[faint_N] = np.minimum(reduced_NSS4[faint_N] * scale_N111, 255).round().astype(np.uint8)
    return reduced_NSS4


def perceptual_hash(reduced_NSS4: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A 192-bit hash per image, shape (N, 3): of the image on white, on black, and of its alpha; an empty plane has zeros.

    The signs of the lowest 8 x 8 cosine frequencies, as in Zauner 2010, of planes stretched to the full range.
    """
    unit_NSS4 = reduced_NSS4.astype(np.float32) / np.float32(255)
    alpha_NSS = unit_NSS4[..., 3]
    gray_NSS = unit_NSS4[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)  # luma, ITU-R BT.601
    words = []
    for plane_NSS in (gray_NSS + 1 - alpha_NSS, gray_NSS, alpha_NSS):
        range_N11 = np.ptp(plane_NSS, axis=(1, 2))[:, None, None]
        stretched_NSS = np.where(range_N11 > _FLAT, plane_NSS / np.maximum(range_N11, _FLAT), 0)
        low_N64 = dctn(stretched_NSS, axes=(1, 2))[:, :8, :8].reshape(-1, 64)
        low_N64[:, 0] = 0  # the mean holds brightness, not shape
        # Flat and symmetric planes have many coefficients near zero, whose signs are noise.
        bits_N64 = low_N64 > np.maximum(np.median(low_N64, axis=1, keepdims=True), _SILENCE)
        words.append(np.packbits(bits_N64, axis=1).view(np.uint64))
    return np.concatenate(words, axis=1)


def hash_distances(hash_W: NDArray[np.uint64], hashes_PW: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Hamming distance of 192-bit hashes, scaled up if both images are empty in a plane, such as white icons on white."""
    shown_P = ((hash_W | hashes_PW) != 0).sum(axis=1)
    bits_P = np.bitwise_count(hash_W ^ hashes_PW).sum(axis=1)
    return bits_P * hashes_PW.shape[1] / np.maximum(shown_P, 1)


def pixel_distances(one_SS4: NDArray[np.uint8], others_PSS4: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RMS difference in [0, 1] of shapes, and of colors where both images show something."""
    one, others = one_SS4.astype(np.float32) / 255, others_PSS4.astype(np.float32) / 255
    alpha, alphas = one[..., 3], others[..., 3]
    shape_P = np.mean((alpha - alphas) ** 2, axis=(1, 2))
    color, colors = (x[..., :3] / np.maximum(x[..., 3:], 1e-3) for x in (one, others))
    color_P = np.mean((np.minimum(alpha, alphas)[..., None] * (color - colors)) ** 2, axis=(1, 2, 3))
    return np.sqrt(shape_P / 3 + color_P * 3 / 4)


def links(reduced_NSS4: NDArray[np.uint8], hashes_NW: NDArray[np.uint64], order_N: NDArray[np.int64]) -> list[Link]:
    """Pairs of images that look alike, enough to connect each cluster of look-alikes.

    Images are processed in `order_N`, and each is linked to earlier ones, so that later images do not change the links among
    earlier ones. Candidates are images that are close along the principal axes, where distances are never larger than the full
    distances. Images that are already connected are not compared again, so that many copies of one image are not expensive.
    """
    if len(reduced_NSS4) < 2:
        return []
    groups = _Groups(len(reduced_NSS4))
    found = []
    for a, left_P in _near(reduced_NSS4, order_N):
        bits_P = hash_distances(hashes_NW[a], hashes_NW[left_P])
        nearest_first = np.argsort(bits_P, kind="stable")
        left_P = left_P[nearest_first[: np.count_nonzero(bits_P <= MAX_HASH_DISTANCE)]]
        while len(left_P):
            block_P, left_P = left_P[:_COMPARED], left_P[_COMPARED:]
            distance_P = pixel_distances(reduced_NSS4[a], reduced_NSS4[block_P])
            connected = False
            for b, distance in zip(block_P.tolist(), distance_P.tolist(), strict=True):
                if distance <= MAX_PIXEL_DISTANCE and groups.connect(a, b):
                    bits = round(float(hash_distances(hashes_NW[a], hashes_NW[[b]])[0]))
                    found.append(Link(a, b, bits, distance))
                    connected = True
            if connected:
                left_P = groups.apart(a, left_P)
    return found


def _near(reduced_NSS4: NDArray[np.uint8], order_N: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yields each image, in order, with the indices of earlier ones that may look alike.

    All pairs are compared, but only along the axes and as matrix products. For hundreds of thousands of images that is faster
    than a search tree, which prunes little in so many dimensions.
    """
    flat_ND = reduced_NSS4.reshape(len(reduced_NSS4), -1)
    along_NK = _along_axes(flat_ND)[order_N]
    squares_N1, ones_N1 = np.square(along_NK).sum(axis=1, keepdims=True), np.ones((len(along_NK), 1), np.float32)
    # |x - y|^2 = |x|^2 - 2 x y + |y|^2, as one matrix product.
    left, right = np.hstack([along_NK * -2, squares_N1, ones_N1]), np.hstack([along_NK, ones_N1, squares_N1])
    most = (_PIXELS_A_DISTANCE * MAX_PIXEL_DISTANCE) ** 2 * flat_ND.shape[1] + _ROUNDING
    for start in range(0, len(order_N), _ROWS):
        rows = left[start : start + _ROWS]
        found: list[list[NDArray[np.int64]]] = [[] for _ in rows]
        for first in range(0, start + len(rows), _COLUMNS):
            columns = right[first : min(first + _COLUMNS, start + len(rows))]
            row_P, column_P = np.divmod(np.flatnonzero(rows @ columns.T <= most), len(columns))
            is_earlier_P = column_P + first < row_P + start
            row_P, column_P = row_P[is_earlier_P], column_P[is_earlier_P] + first
            for row in np.unique(row_P).tolist():
                begin, end = np.searchsorted(row_P, (row, row + 1))
                found[row].append(order_N[column_P[begin:end]])
        for number, parts in zip(order_N[start : start + _ROWS].tolist(), found, strict=True):
            if parts:
                yield number, np.concatenate(parts)


def _along_axes(flat_ND: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Coordinates of the images along the principal axes, (N, K)."""
    count = len(flat_ND)
    chosen = np.linspace(0, count - 1, min(count, _FITTED_TO)).astype(int)
    sample_ND = flat_ND[chosen].astype(np.float32) / 255
    mean_D = sample_ND.mean(axis=0)
    axes_DK = np.ascontiguousarray(_principal_axes(sample_ND - mean_D).T)
    blocks = (flat_ND[start : start + _BLOCK].astype(np.float32) / 255 - mean_D for start in range(0, count, _BLOCK))
    return np.concatenate([block_ND @ axes_DK for block_ND in blocks])


def _principal_axes(centered_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """The principal axes, orthonormal, (K, D), from a random projection with a fixed seed."""
    generator = np.random.default_rng(0)
    wide = generator.standard_normal((centered_ND.shape[1], min(2 * _AXES, *centered_ND.shape)), np.float32)
    for _ in range(2):
        wide = np.linalg.qr(centered_ND.T @ (centered_ND @ wide))[0]
    _, _, small = np.linalg.svd(centered_ND @ wide, full_matrices=False)
    axes: NDArray[np.float32] = (wide @ small.T).T[:_AXES].astype(np.float32)
    return axes


class _Groups:
    """Connected components (union-find)."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def apart(self, a: int, others: NDArray[np.int64]) -> NDArray[np.int64]:
        """The members of `others` that are not connected to `a`."""
        root = self._root(a)
        return np.array([other for other in others.tolist() if self._root(other) != root], np.int64)

    def connect(self, a: int, b: int) -> bool:
        """Connect two members; returns whether they were not connected before."""
        one, other = self._root(a), self._root(b)
        self._above[max(one, other)] = min(one, other)
        return one != other

    def _root(self, number: int) -> int:
        while self._above[number] != number:
            self._above[number] = self._above[self._above[number]]
            number = self._above[number]
        return number
