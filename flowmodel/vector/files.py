"""Writes icons as PNG, SVG, WebP, ICO, ICNS, a sprite sheet, or a favicon set."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.extras import require
from flowmodel.files import write_bytes, write_json
from flowmodel.images.save import png_bytes, save_image
from flowmodel.vector.artwork import Artwork
from flowmodel.vector.formats import Format

STICKER = 512  # default edge of a WebP, as messengers require for stickers
ICO_SIZES = (16, 32, 48, 256)
ICNS_SIZES = (32, 64, 128, 256, 512, 1024)  # 32 is 16 points at double resolution, and so on
_MANIFEST_SIZES = (192, 512)
_GAP = 2  # between the images of a sheet, so that none bleeds into another when a program scales them


def default_size(format: Format) -> int | None:
    """The default size of a format's images; None for the image's own size."""
    return {"webp": STICKER, "ico": max(ICO_SIZES), "icns": max(ICNS_SIZES), "favicon": 512}.get(format)


def check(format: Format, size: int | None, traces: bool) -> None:
    """Raise FlowmodelError when the options are inconsistent, or need a package that is not installed."""
    if size and format in ("ico", "icns", "favicon"):
        raise FlowmodelError(f"--size {size}: a file of format {format} contains all its sizes; leave out --size")
    if format == "svg" and not traces:
        raise FlowmodelError("--no-trace: an SVG consists of traced shapes; leave out --no-trace, or ask for --format png")
    if traces and (format == "svg" or size or default_size(format)):
        require("vtracer", "resvg_py", "scipy")


def write(artworks: Mapping[str, Artwork], folder: Path, format: Format, size: int | None = None) -> list[Path]:
    """Write all `artworks`, which are given by file stem, into `folder`; returns the written files.

    `size` is the longer edge of each image in pixels, also in a sheet. A sheet is `sheet.png` with `sheet.json`; a favicon set
    is a folder. Raises FlowmodelError as :func:`check` does, and when the folder is not writable.
    """
    size = size or default_size(format)
    if format == "sheet":
        return write_sheet({stem: artwork.at(size) for stem, artwork in artworks.items()}, folder)
    if format == "favicon":
        return [path for stem, artwork in artworks.items() for path in write_favicon(artwork, folder / stem)]
    return [write_bytes(folder / f"{stem}.{format}", _content(artwork, format, size)) for stem, artwork in artworks.items()]


def _content(artwork: Artwork, format: Format, size: int | None) -> bytes:
    match format:
        case "svg":
            return artwork.svg(size).encode()
        case "webp":
            return _saved(artwork.at(size), format, lossless=True, method=6)
        case "ico":
            return ico(artwork)
        case "icns":
            images = [artwork.at(edge) for edge in ICNS_SIZES]
            return _saved(images[-1], format, append_images=images[:-1])
        case _:
            return png_bytes(artwork.at(size))


def ico(artwork: Artwork, sizes: Sequence[int] = ICO_SIZES) -> bytes:
    """Each size is rendered separately and stored as a PNG."""
    images = [artwork.at(edge) for edge in sizes]
    return _saved(images[-1], "ico", sizes=[(edge, edge) for edge in sizes], append_images=images[:-1])


def _saved(drawn: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    drawn.save(buffer, format, **options)
    return buffer.getvalue()


def write_sheet(images: Mapping[str, Image.Image], folder: Path) -> list[Path]:
    """Write all images into `sheet.png`, and their positions into `sheet.json` in TexturePacker's JSON hash format."""
    width, height = (max(edges) for edges in zip(*(drawn.size for drawn in images.values()), strict=True))
    columns = next(n for n in range(1, len(images) + 1) if n * n >= len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGBA", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP))
    frames = {}
    for number, (stem, drawn) in enumerate(images.items()):
        x, y = number % columns * (width + _GAP), number // columns * (height + _GAP)
        sheet.paste(drawn, (x, y))
        edges = {"w": drawn.width, "h": drawn.height}
        place = {"frame": {"x": x, "y": y} | edges, "spriteSourceSize": {"x": 0, "y": 0} | edges, "sourceSize": edges}
        frames[f"{stem}.png"] = place | {"rotated": False, "trimmed": False}
    size = {"w": sheet.width, "h": sheet.height}
    meta = {"app": "flowmodel", "version": "1.0", "image": "sheet.png", "format": "RGBA8888", "size": size, "scale": "1"}
    image = save_image(sheet, folder / "sheet.png")
    return [image, write_json(folder / "sheet.json", {"frames": frames, "meta": meta})]


def write_favicon(artwork: Artwork, folder: Path) -> list[Path]:
    """Write a favicon set: ICO, SVG if shapes are traced, PNGs for phones, a manifest, and the lines for <head>."""
    written = [write_bytes(folder / "favicon.ico", ico(artwork, (16, 32, 48)))]
    head = ['<link rel="icon" href="/favicon.ico" sizes="32x32">']
    if artwork.traces:
        written.append(write_bytes(folder / "favicon.svg", artwork.svg().encode()))
        head.append('<link rel="icon" href="/favicon.svg" type="image/svg+xml">')
    written.append(save_image(artwork.at(180), folder / "apple-touch-icon.png"))
    written += [save_image(artwork.at(edge), folder / f"icon-{edge}.png") for edge in _MANIFEST_SIZES]
    icons = [{"src": f"/icon-{edge}.png", "type": "image/png", "sizes": f"{edge}x{edge}"} for edge in _MANIFEST_SIZES]
    written.append(write_bytes(folder / "site.webmanifest", json.dumps({"icons": icons}, indent=2).encode()))
    head += ['<link rel="apple-touch-icon" href="/apple-touch-icon.png">', '<link rel="manifest" href="/site.webmanifest">']
    return [*written, write_bytes(folder / "head.html", ("\n".join(head) + "\n").encode())]
