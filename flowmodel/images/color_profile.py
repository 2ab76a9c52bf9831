"""Converts images to sRGB as a browser does, from ICC profiles and from the color chunks of PNGs.

Shape suffixes: N colors, 3 channels (red, green, blue, or X, Y, Z).
"""

import io
import struct
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x and y of white, red, green, blue
_P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
_BRADFORD_33 = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_GAMMA = 1 / 2.2
_SAME = 1  # of 255: a difference caused by rounding
_PRIMARIES = {1: _SRGB, 12: _P3}  # of cICP, by ITU-T H.273
_SRGB_LIKE = (1, 6, 13, 14, 15)  # transfer functions of cICP that are displayed as sRGB

_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def to_srgb(image: Image.Image, chunks: Mapping[bytes, bytes]) -> tuple[Image.Image, str]:
    """Convert `image` to sRGB; also returns a note, which is empty if nothing changed.

    `chunks` are the extra chunks of a PNG: cICP has precedence over an ICC profile, that over sRGB, and gAMA and cHRM come
    last. A profile that is damaged or for other channels than the image's is ignored, as in browsers, and the note says so.
    """
    if (cicp := chunks.get(b"cICP")) is not None and len(cicp) >= 4:
        return _by_cicp(image, cicp)
    if profile := image.info.get("icc_profile"):
        return _by_profile(image, profile)
    if b"sRGB" in chunks or b"gAMA" not in chunks or len(chunks[b"gAMA"]) != 4:
        return image, ""
    gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 100_000
    chromaticities = chunks.get(b"cHRM", b"")
    points = tuple(value / 100_000 for value in struct.unpack(">8I", chromaticities)) if len(chromaticities) == 32 else _SRGB
    return _by_gamma(image, gamma, points)


def _by_cicp(image: Image.Image, cicp: bytes) -> tuple[Image.Image, str]:
    primaries, transfer = cicp[0], cicp[1]
    if primaries not in _PRIMARIES or transfer not in _SRGB_LIKE:
        return image, "its color space (cICP) is not supported and was treated as sRGB"
    if primaries == 1:
        return image, ""
    return _matrixed(image, None, _PRIMARIES[primaries])


def _by_profile(image: Image.Image, profile: bytes) -> tuple[Image.Image, str]:
    space = profile[16:20].decode("ascii", "replace")
    mode = _MODES.get(space)
    base = {"P": "RGB", "RGBA": "RGB", "RGBX": "RGB", "LA": "L", "1": "L"}.get(image.mode, image.mode)
    if mode != base and (mode, base) != ("RGB", "L"):
        return image, "its color profile does not match its color mode and was ignored"
    transform = _transform(profile, mode)
    if transform is None:
        return image, "its color profile is damaged and was ignored"
    if not transform:
        return image, ""
    rgba = image.convert("RGBA")
    plain = rgba.convert("RGB") if mode == "RGB" else image.convert(mode)
    converted = ImageCms.applyTransform(plain, transform[0])
    assert converted is not None
    return _with_alpha(converted, rgba), "its color profile was applied"


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform, ...] | None:
    """The transform from `profile` to sRGB; empty if it changes nothing, None for a damaged profile."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode == "CMYK":
            return (transform,)
        samples = _samples(mode)
        converted = ImageCms.applyTransform(samples, transform)
        assert converted is not None
        difference = np.abs(np.asarray(converted, int) - np.asarray(samples.convert("RGB"), int)).max()
        return (transform,) if difference > _SAME else ()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _samples(mode: str) -> Image.Image:
    """An image with colors from all parts of the space."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3))


def _by_gamma(image: Image.Image, gamma: float, points: tuple[float, ...]) -> tuple[Image.Image, str]:
    if not 0.01 <= gamma <= 10 or min(points[1::2]) <= 0:
        return image, ""
    srgb = np.abs(np.subtract(points, _SRGB)).max() < 0.002
    if srgb and abs(gamma / _GAMMA - 1) < 0.05:  # libpng's tolerance
        return image, ""
    return _matrixed(image, gamma, points)


def _matrixed(image: Image.Image, gamma: float | None, points: tuple[float, ...]) -> tuple[Image.Image, str]:
    """Convert from a space with these primaries; `gamma` None means sRGB's transfer curve."""
    rgba = image.convert("RGBA")
    colors_N3, inverse_N = np.unique(np.asarray(rgba)[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    scaled_N3 = colors_N3 / 255
    linear_N3 = _linear(scaled_N3) if gamma is None else scaled_N3 ** (1 / gamma)
    try:
        converted_N3 = linear_N3 @ (np.linalg.inv(_to_xyz(_SRGB)) @ _to_xyz(points)).T
    except np.linalg.LinAlgError:
        return image, ""
    bytes_N3 = (_encoded(np.clip(converted_N3, 0, 1)) * 255).round().astype(np.uint8)
    out = Image.fromarray(bytes_N3[inverse_N.reshape(-1)].reshape(rgba.height, rgba.width, 3))
    return _with_alpha(out, rgba), "its colors were converted to sRGB"


def _to_xyz(points: tuple[float, ...]) -> NDArray[np.float64]:
    """The 3 x 3 matrix from linear colors to XYZ with D65 white, with Bradford adaptation."""
    xs, ys = np.array(points[::2]), np.array(points[1::2])
    xyz_3N = np.stack([xs / ys, np.ones(4), (1 - xs - ys) / ys])  # white, red, green, blue
    white_3, primaries_33 = xyz_3N[:, 0], xyz_3N[:, 1:]
    matrix_33 = primaries_33 * np.linalg.solve(primaries_33, white_3)
    d65_3 = np.array([_SRGB[0] / _SRGB[1], 1.0, (1 - _SRGB[0] - _SRGB[1]) / _SRGB[1]])
    scale_3 = (_BRADFORD_33 @ d65_3) / (_BRADFORD_33 @ white_3)
    adapted_33: NDArray[np.float64] = np.linalg.inv(_BRADFORD_33) @ np.diag(scale_3) @ _BRADFORD_33 @ matrix_33
    return adapted_33


def _linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _encoded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


def _with_alpha(colors: Image.Image, rgba: Image.Image) -> Image.Image:
    colors = colors.convert("RGBA")
    colors.putalpha(rgba.getchannel("A"))
    return colors
