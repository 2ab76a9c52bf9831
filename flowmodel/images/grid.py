"""Grids of icons on a light checkerboard, which shows transparency, with captions underneath."""

import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_PAPER = (255, 255, 255)
_SQUARES = ((255, 255, 255), (238, 240, 243))
_DARK_SQUARES = ((30, 32, 38), (44, 47, 54))
_BORDER = (222, 225, 230)
_TEXT = (60, 64, 72)
_GAP = 10
_FONT_SIZE = 12
_LABEL_LINE, _LABEL_MARGIN = 15, 5
_MOST_LETTERS = 90  # of a label: a prompt may have thousands of words
_INK = (20, 22, 28)
_LIGATURES = {"œ": "oe", "Œ": "Oe", "æ": "ae", "Æ": "Ae", "ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
_TITLE_SIZE, _HEADING_SIZE, _LINE_HEIGHT = 20, 16, 17  # of rows with headings


def image_grid(images: Sequence[Image.Image], columns: int, labels: Sequence[str] | None = None, cell: int = 96) -> Image.Image:
    """An RGB grid of `images` (straight RGBA) with `columns` columns of `cell` pixels and labels under the images.

    A label has as many lines as it needs, up to 90 letters. Letters that the font lacks lose their accents, or are left out; a
    label of nothing else becomes the image's number. Raises ValueError when there are no images, or the numbers of labels and
    images differ.
    """
    return _lay_out([[image] for image in images], columns, labels, cell)


def contact_sheet(
    images: Sequence[Image.Image], columns: int, labels: Sequence[str] | None = None, cell: int = 96
) -> Image.Image:
    """Like :func:`image_grid`, with each image on a light and on a dark background, which white icons need."""
    return _lay_out([[image, image] for image in images], columns, labels, cell, (_SQUARES, _DARK_SQUARES))


def comparison_grid(
    pairs: Sequence[tuple[Image.Image, Image.Image]], columns: int, labels: Sequence[str] | None = None, cell: int = 96
) -> Image.Image:
    """Like :func:`image_grid`, with two images per cell: the real one on the left, the sample on the right."""
    return _lay_out([list(pair) for pair in pairs], columns, labels, cell)


def labeled_rows(
    rows: Sequence[tuple[str, Sequence[str], Sequence[Image.Image]]],
    captions: Sequence[str],
    title: str,
    subtitle: str,
    cell: int = 112,
) -> Image.Image:
    """A grid with a row for each (heading, smaller lines under it, images) and a caption above each column.

    Raises ValueError when the number of images in a row differs from the number of captions.
    """
    if not captions or any(len(images) != len(captions) for _, _, images in rows):
        raise ValueError("every row needs an image for each caption")
    fonts = {size: ImageFont.load_default(size) for size in (_TITLE_SIZE, _HEADING_SIZE, _FONT_SIZE + 1)}
    small, heading_font = fonts[_FONT_SIZE + 1], fonts[_HEADING_SIZE]
    rows = [
        (_writable(heading, heading_font), [_writable(line, small) for line in lines], images) for heading, lines, images in rows
    ]
    texts = [(text, small) for _, lines, _ in rows for text in lines] + [(heading, heading_font) for heading, _, _ in rows]
    side = round(max(font.getlength(text) for text, font in texts)) + 3 * _GAP
    lines_of = [_lines(_writable(caption, small), small, cell) for caption in captions]
    deepest = max(map(len, lines_of))
    above = 3 * _GAP + (2 + max(2, deepest)) * _LINE_HEIGHT
    width = max(side + len(captions) * (cell + _GAP), round(small.getlength(subtitle)) + 2 * _GAP)
    page = Image.new("RGB", (width, above + len(rows) * (cell + _GAP)), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_GAP, _GAP), title, font=fonts[_TITLE_SIZE], fill=_INK)
    draw.text((_GAP, _GAP + _TITLE_SIZE + 8), subtitle, font=small, fill=_TEXT)
    for column, words in enumerate(lines_of):
        for number, line in enumerate(words):
            place = (side + column * (cell + _GAP) + cell / 2, above - deepest * _LINE_HEIGHT - 4 + number * _LINE_HEIGHT)
            draw.text(place, line, font=small, fill=_INK, anchor="ma")
    for number, (heading, lines, images) in enumerate(rows):
        y = above + number * (cell + _GAP)
        text_y = y + (cell - _HEADING_SIZE - 8 - len(lines) * _LINE_HEIGHT) / 2
        draw.text((_GAP, text_y), heading, font=heading_font, fill=_INK)
        for below, line in enumerate(lines):
            draw.text((_GAP, text_y + _HEADING_SIZE + 8 + below * _LINE_HEIGHT), line, font=small, fill=_TEXT)
        for column, image in enumerate(images):
            x = side + column * (cell + _GAP)
            page.paste(_on_checkerboard(image, cell), (x, y))
            draw.rectangle((x - 1, y - 1, x + cell, y + cell), outline=_BORDER)
    return page


def _lines(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """`text` in lines of at most `width` pixels, broken between words, and inside of a word that is longer than a line."""
    lines = [""]
    for word in text.split():
        if lines[-1] and font.getlength(f"{lines[-1]} {word}") > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
        while font.getlength(lines[-1]) > width and len(lines[-1]) > 1:
            fits = max(1, sum(font.getlength(lines[-1][:end]) <= width for end in range(1, len(lines[-1]))))
            lines[-1:] = [lines[-1][:fits], lines[-1][fits:]]
    return lines


_Squares = tuple[tuple[int, int, int], tuple[int, int, int]]


def _lay_out(
    tiles: Sequence[Sequence[Image.Image]],
    columns: int,
    labels: Sequence[str] | None,
    cell: int,
    grounds: Sequence[_Squares] = (_SQUARES,),
) -> Image.Image:
    if not tiles or columns < 1:
        raise ValueError("a grid needs at least one image and one column")
    if labels is not None and len(labels) != len(tiles):
        raise ValueError(f"{len(labels)} labels for {len(tiles)} images")
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    tile_width = cell * len(tiles[0])
    font = ImageFont.load_default(_FONT_SIZE)
    written = [_writable(label, font) or f"no. {number}" for number, label in enumerate(labels or (), start=1)]
    lines_of = [_lines(label, font, tile_width) for label in written]
    # A row is as high as its longest label.
    deepest = [max(map(len, lines_of[row * columns : (row + 1) * columns]), default=0) for row in range(rows)]
    heights = [cell + _GAP + (_LABEL_MARGIN + lines * _LABEL_LINE if lines else 0) for lines in deepest]
    step_x = tile_width + _GAP
    grid = Image.new("RGB", (columns * step_x + _GAP, sum(heights) + _GAP), _PAPER)
    draw = ImageDraw.Draw(grid)
    for i, tile in enumerate(tiles):
        left, top = _GAP + i % columns * step_x, _GAP + sum(heights[: i // columns])
        for k, image in enumerate(tile):
            grid.paste(_on_checkerboard(image, cell, grounds[k % len(grounds)]), (left + k * cell, top))
            draw.line((left + k * cell - 1, top, left + k * cell - 1, top + cell), fill=_BORDER)
        draw.rectangle((left - 1, top - 1, left + tile_width, top + cell), outline=_BORDER)
        for number, line in enumerate(lines_of[i] if labels else ()):
            place = (left + tile_width / 2, top + cell + 4 + number * _LABEL_LINE)
            draw.text(place, line, font=font, fill=_TEXT, anchor="ma")
    return grid


def _on_checkerboard(image: Image.Image, cell: int, squares: _Squares = _SQUARES) -> Image.Image:
    ground = Image.new("RGB", (cell, cell), squares[0])
    draw, square = ImageDraw.Draw(ground), max(cell // 12, 1)
    for row in range(0, cell, square):
        for column in range(row // square % 2 * square, cell, 2 * square):
            draw.rectangle((column, row, column + square - 1, row + square - 1), fill=squares[1])
    # Scaled with premultiplied alpha, because dark colors of transparent pixels would fringe the edges.
    width, height = (max(1, round(length * cell / max(image.size))) for length in image.size)
    scaled = image.convert("RGBA").convert("RGBa").resize((width, height), Image.Resampling.BICUBIC).convert("RGBA")
    ground.paste(scaled, ((cell - width) // 2, (cell - height) // 2), scaled.getchannel("A"))
    return ground


def _writable(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The part of `text` that `font`, which comes with Pillow and knows few letters, can write; of a long text the beginning."""
    missing = bytes(font.getmask("\uffff"))
    kept = []
    for letter in text[:_MOST_LETTERS]:
        plain = unicodedata.normalize("NFKD", _LIGATURES.get(letter, letter))
        forms = (letter, "".join(part for part in plain if not unicodedata.combining(part)))
        kept.append(next((form for form in forms if all(_is_written(part, font, missing) for part in form)), ""))
    written = " ".join("".join(kept).split())
    return f"{written}…" if len(text) > _MOST_LETTERS else written


def _is_written(letter: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, missing: bytes) -> bool:
    return letter.isascii() or bytes(font.getmask(letter)) not in (missing, b"")
