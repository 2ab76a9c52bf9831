"""Right values are what Chromium shows; test_browser.py compares the same images with the browser of this machine."""

import io

import pytest
from PIL import Image

from flowmodel.images.decode import decode_png, open_image
from tests.images.profiles import P3, chunk, embedded, gamma, of_color, png, primaries, profile

RGB = (200, 60, 90)
GRAY = bytes([100]) * 8


def jpeg(icc: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), RGB).save(buffer, "JPEG", quality=100, icc_profile=icc)
    return buffer.getvalue()


def webp(icc: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (*RGB, 128)).save(buffer, "WEBP", lossless=True, icc_profile=icc)
    return buffer.getvalue()


# File, its content, the color that a browser shows, and the note.
APPLIED, CONVERTED = "its color profile was applied", "its colors were converted to sRGB"
IMAGES: dict[str, tuple[str, bytes, tuple[int, ...], str]] = {
    "plain": ("x.png", of_color(*RGB), (200, 60, 90), ""),
    "linear": ("x.png", of_color(*RGB, extras=(gamma(1.0),)), (229, 133, 160), CONVERTED),
    "gamma 1.8": ("x.png", of_color(*RGB, extras=(gamma(0.55556),)), (210, 77, 109), CONVERTED),
    "gamma 3.4": ("x.png", of_color(*RGB, extras=(gamma(0.29412),)), (177, 21, 48), CONVERTED),
    "gamma 2.2": ("x.png", of_color(*RGB, extras=(gamma(0.45455),)), (200, 60, 90), ""),
    "gamma and primaries": ("x.png", of_color(*RGB, extras=(gamma(0.45455), primaries(P3))), (219, 37, 87), CONVERTED),
    "primaries alone": ("x.png", of_color(*RGB, extras=(primaries(P3),)), (200, 60, 90), ""),
    "sRGB goes before gamma": ("x.png", of_color(*RGB, extras=(gamma(1.0), chunk(b"sRGB", b"\0"))), (200, 60, 90), ""),
    "cICP of Display P3": ("x.png", of_color(*RGB, extras=(chunk(b"cICP", bytes([12, 13, 0, 1])),)), (217, 42, 88), CONVERTED),
    "cICP of sRGB": ("x.png", of_color(*RGB, extras=(chunk(b"cICP", bytes([1, 13, 0, 1])), gamma(1.0))), (200, 60, 90), ""),
    "profile": ("x.png", of_color(*RGB, extras=(embedded(profile(2.2)),)), (219, 37, 87), APPLIED),
    "profile of gray": ("x.png", png(8, 0, GRAY, embedded(profile(1.0, b"GRAY"))), (168, 168, 168), APPLIED),
    "profile of colors, gray": ("x.png", png(8, 0, GRAY, embedded(profile(1.0))), (168, 168, 168), APPLIED),
    "palette": ("x.png", png(8, 3, bytes(8), embedded(profile(1.8)), chunk(b"PLTE", bytes(RGB))), (228, 63, 108), APPLIED),
    "JPEG": ("x.jpg", jpeg(profile(2.2)), (219, 37, 86), APPLIED),
    "WebP": ("x.webp", webp(profile(2.2)), (219, 37, 87), APPLIED),
    "damaged profile": (
        "x.png",
        of_color(*RGB, extras=(embedded(profile(2.2)[:200]),)),
        (200, 60, 90),
        "its color profile is damaged and was ignored",
    ),
    "profile of gray, colors": (
        "x.png",
        of_color(*RGB, extras=(embedded(profile(1.0, b"GRAY")),)),
        (200, 60, 90),
        "its color profile does not match its color mode and was ignored",
    ),
}


@pytest.mark.parametrize("case", IMAGES)
def test_an_image_has_the_colors_that_a_browser_shows(case: str) -> None:
    file, content, expected, note = IMAGES[case]
    opened = open_image(content, file)
    shown = decode_png(opened.png)[4, 4]
    assert max(abs(int(value) - want) for value, want in zip(shown, expected, strict=False)) <= 2
    assert opened.notes == note


def test_what_was_converted_is_not_converted_again() -> None:
    once = open_image(IMAGES["profile"][1], "x.png")
    twice = open_image(once.png, "x.png")
    assert (twice.png, twice.notes) == (once.png, "")


def test_alpha_is_kept_beside_a_profile() -> None:
    assert decode_png(open_image(IMAGES["WebP"][1], "x.webp").png)[4, 4, 3] == 128
