"""Source kind `html_chart`: images on a web page, either an emoji chart or any page with captions.

A page does not state the owner of its images, so they are not redistributable unless the entry in sources.yaml says otherwise.
"""

import base64
import binascii
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from filelock import FileLock, Timeout

from flowmodel.data.keys import code_point_stems, normalize_hexcode, parse_hexcode, slug
from flowmodel.data.sources.config import HtmlChartSource
from flowmodel.data.sources.context import Observation, Reading, SourceContext
from flowmodel.data.sources.html_pages import ImagePage, ListedImage, parse_chart, parse_images
from flowmodel.data.sources.parallel import icon_rows
from flowmodel.data.sources.web_client import Fetched, WebClient
from flowmodel.data.sources.web_network import Clock, FetchError
from flowmodel.errors import FlowmodelError, Unavailable
from flowmodel.files import sha256_bytes
from flowmodel.images.decode import MAX_BYTES
from flowmodel.text.emoji_texts import unicode_emoji

_EXTENSIONS = {
    "image/png": ".png",
    "image/apng": ".png",
    "image/webp": ".webp",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
}
_UNSAID = ("", "application/octet-stream", "binary/octet-stream")
_LOG_EVERY = 100
_LONGEST_CAPTION = 300
_STANDS_FOR = 3  # captions of a single image that make it a placeholder


@dataclass
class _Images:
    """Fetches images by address or data URI; `complete` becomes False if one should be retried later."""

    client: WebClient
    context: SourceContext
    complete: bool = True
    _fetched: int = field(default=0, init=False)

    def get(self, key: str, src: str) -> tuple[str, bytes | ValueError]:
        """A file name with the image format's extension, and the bytes or the reason why there are none."""
        try:
            if src[:5].lower() == "data:":
                extension, content = _read_data_uri(src)
            else:
                image = self.client.image(src, MAX_BYTES)
                self._fetched += 1
                if self._fetched % _LOG_EVERY == 0:
                    self.context.log(f"fetched {self._fetched:,} images")
                extension, content = _extension(image), image.content
            return key + extension, content
        except ValueError as error:
            if isinstance(error, FetchError) and error.temporary:
                self.complete, error = False, Unavailable(str(error))
            return key, error


def read(config: HtmlChartSource, context: SourceContext, clock: Clock | None = None) -> Reading:
    """The images of the page. Files that can't be fetched or are not images are quarantined.

    The reading is incomplete if an image or a further page is temporarily unavailable; the next reading fetches only the rest.
    Raises FlowmodelError when the page can't be fetched, has another layout or shows no image.
    """
    with _open_client(config, context, clock) as client:
        images = _Images(client, context)
        if config.layout == "unicode_chart":
            drafts = _chart_drafts(config, context, images)
        else:
            drafts = _image_drafts(config, context, images)
        if images.complete:
            client.finish()
    return Reading(icon_rows(config, drafts, context), complete=images.complete)


def observe(config: HtmlChartSource, context: SourceContext, clock: Clock | None = None) -> Observation:
    """The page's ETag, modification date and length from a HEAD request, or the page's digest if the server sends none of them.

    Raises FlowmodelError when the page can't be fetched or robots.txt forbids it.
    """
    with _open_client(config, context, clock) as client:
        try:
            head = client.head(config.url)
            stamp = [head.etag, head.last_modified, head.length]
            if not any(stamp):
                stamp = [sha256_bytes(client.page(config.url).content)]
        except FetchError as error:
            raise _unfetched(config, error) from None
    return Observation([config.url, *stamp], version=next(value for value in stamp if value))


@contextmanager
def _open_client(config: HtmlChartSource, context: SourceContext, clock: Clock | None) -> Iterator[WebClient]:
    folder = context.downloads / "web"
    client = WebClient(
        folder / config.name,
        contact=config.contact,
        allow_hosts=config.allow_hosts,
        pause_seconds=config.pause_seconds,
        timeout_seconds=config.timeout_seconds,
        max_bytes=int(config.max_megabytes * 2**20),
        log=context.log,
        clock=clock,
    )
    with client, _turn(config.url, folder, context.log):
        yield client


@contextmanager
def _turn(url: str, folder: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Only one source at a time reads from a host, across processes."""
    host = url.split("/")[2].rpartition("@")[2].lower()
    lock = FileLock(folder / f"{slug(host)}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log(f"waiting until another source has been read from {host}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _chart_drafts(config: HtmlChartSource, context: SourceContext, images: _Images) -> list[dict[str, Any]]:
    page = _first_page(config, images.client)
    try:
        chart = parse_chart(page.content, page.charset, page.url, config.vendor)
    except ValueError as error:
        raise FlowmodelError(f"source '{config.name}': {config.url}: {error}") from None
    shown = [entry for entry in chart.entries if entry.src]
    context.log(f"{config.url}: {len(shown):,} of {len(chart.entries):,} emoji have an image in the column {chart.vendor}")
    if not shown:
        raise FlowmodelError(f"source '{config.name}': {config.url}: the column {chart.vendor} is empty; choose another vendor")
    drafts = []
    for entry in _at_most(config, context, shown):
        file, content = images.get(entry.key, entry.src)
        known = unicode_emoji().get(entry.key)
        drafts.append(
            _rights(chart.vendor)
            | {
                "key": entry.key,
                "file": file,
                "content": content,
                "name": entry.name or (known.name if known else ""),
                "char": known.char if known else entry.char,
                "keywords": known.keywords if known else entry.keywords,
                "group": entry.group or (known.group if known else ""),
                "subgroup": entry.subgroup or (known.subgroup if known else ""),
                "origin": f"{config.url} ({chart.vendor})",
                "svg_pixels": config.svg_pixels,
            }
        )
    return drafts


def _rights(vendor: str) -> dict[str, Any]:
    license = "proprietary (Apple)" if vendor.casefold().startswith("appl") else ""
    return {"license": license, "redistributable": False}


def _image_drafts(config: HtmlChartSource, context: SourceContext, images: _Images) -> list[dict[str, Any]]:
    captions: dict[str, list[str]] = {}  # captions by image; an image that is shown twice has two
    for page in _pages(config, context, images):
        for image in page.images:
            told = captions.setdefault(image.src, [])
            if (caption := image.caption[:_LONGEST_CAPTION]) and caption not in told:
                told.append(caption)
        if len(captions) > config.max_icons:
            break
    if not captions:
        raise FlowmodelError(
            f"source '{config.name}': {config.url}: the selector '{config.item}' finds no image; correct 'item' in sources.yaml"
        )
    for src in [src for src, told in captions.items() if len(told) >= _STANDS_FOR]:
        few = ", ".join(captions.pop(src)[:3])
        context.log(f"{src[:80]}: omitted, because it is a placeholder for other images ({few}, ...)")
    if not captions:
        raise FlowmodelError(
            f"source '{config.name}': {config.url}: shows the same image for all captions; a page whose images "
            "are loaded by a script can't be read"
        )
    shown = _at_most(config, context, list(captions.items()))
    code_points = code_point_stems({_stem(src) for src, _ in shown})
    drafts, taken = [], set[str]()
    for src, told in shown:
        key, char = _image_key(src, told, code_points)
        if key in taken:
            key, char = f"{key}-{sha256_bytes(src.encode())[:8]}", ""
        taken.add(key)
        file, content = images.get(key, src)
        known = unicode_emoji().get(key)
        texts = [text for text in told if not _emoji_key(text)]
        drafts.append(
            _rights("")
            | {
                "key": key,
                "file": file,
                "content": content,
                "name": texts[0] if texts else (known.name if known else ""),
                "captions": texts,
                "char": known.char if known else char,
                "keywords": known.keywords if known else (),
                "group": known.group if known else "",
                "subgroup": known.subgroup if known else "",
                "origin": config.url,
                "svg_pixels": config.svg_pixels,
            }
        )
    return drafts


def _pages(config: HtmlChartSource, context: SourceContext, images: _Images) -> Iterator[ImagePage]:
    """The page and the following pages, until there is nothing new."""
    page, seen = _first_page(config, images.client), set[str]()
    shown: set[ListedImage] = set()
    hosts = {urlsplit(config.url).hostname, urlsplit(page.url).hostname}  # example.org may lead to www.example.org
    while True:
        seen |= {page.url, page.url.partition("#")[0]}
        try:
            parsed = parse_images(page.content, page.charset, page.url, config.item, config.caption, config.next_page)
        except ValueError as error:
            raise FlowmodelError(f"source '{config.name}': {config.url}: {error}") from None
        yield parsed
        next_url = parsed.next_url.partition("#")[0]
        if not next_url or next_url in seen or shown.issuperset(parsed.images):
            return
        shown.update(parsed.images)
        if urlsplit(next_url).hostname not in hosts:
            context.log(f"{next_url}: not followed, because it is not on the host of {config.url}")
            return
        seen.add(next_url)
        try:
            page = images.client.page(next_url)
        except FetchError as error:
            images.complete &= not error.temporary
            context.log(f"{error}; the following pages are omitted")
            return


def _first_page(config: HtmlChartSource, client: WebClient) -> Fetched:
    try:
        return client.page(config.url)
    except FetchError as error:
        raise _unfetched(config, error) from None


def _unfetched(config: HtmlChartSource, error: FetchError) -> FlowmodelError:
    where = "" if str(error).startswith(config.url) else f"{config.url}: "
    advice = "try again later" if error.temporary else "correct its entry in sources.yaml"
    return FlowmodelError(f"source '{config.name}': {where}{error}; {advice}")


def _at_most(config: HtmlChartSource, context: SourceContext, items: list[Any]) -> list[Any]:
    if len(items) > config.max_icons:
        context.log(f"{config.url}: only the first {config.max_icons:,} images are read (max_icons)")
    return items[: config.max_icons]


def _image_key(src: str, captions: list[str], code_points: Collection[str]) -> tuple[str, str]:
    """Key and character: a code point in the file's name or in the caption, else the file's name, else the caption."""
    stem = _stem(src)
    if stem in code_points and (parsed := parse_hexcode(stem)):
        return parsed
    for caption in captions:
        if key := _emoji_key(caption):
            return key, unicode_emoji()[key].char
    text = slug(stem) or slug(captions[0] if captions else "")[:80]
    return f"icon-{text or sha256_bytes(src.encode())[:12]}" if not text or parse_hexcode(text) else text, ""


def _stem(src: str) -> str:
    return "" if src[:5].lower() == "data:" else PurePosixPath(unquote(src.partition("?")[0])).stem


def _emoji_key(text: str) -> str:
    """The key of the emoji if the whole text is one, else an empty string."""
    key = normalize_hexcode("-".join(f"{ord(char):04x}" for char in text)) if len(text) <= 16 else ""
    return key if key in unicode_emoji() else ""


def _extension(image: Fetched) -> str:
    """The file extension of the format in the server's header, else in the address; raises ValueError if it is not an image."""
    if image.mime in _EXTENSIONS:
        return _EXTENSIONS[image.mime]
    suffix = PurePosixPath(urlsplit(image.url).path).suffix.lower()
    if image.mime in _UNSAID and suffix in (".jpeg", *_EXTENSIONS.values()):
        return suffix
    raise ValueError(f"{image.url}: not an image in a supported format (its type is {image.mime or 'not stated'})")


def _read_data_uri(uri: str) -> tuple[str, bytes]:
    """Extension and bytes of a data URI (RFC 2397); raises ValueError if it is damaged or not an image."""
    head, comma, payload = uri[5:].partition(",")
    mime, *parameters = (part.strip().lower() for part in head.split(";"))
    if not comma:
        raise ValueError("broken data URI (no comma)")
    if mime not in _EXTENSIONS:
        raise ValueError(f"data URI of the unsupported type '{mime[:40]}'")
    content = unquote_to_bytes(payload)
    if "base64" in parameters:
        try:
            content = base64.b64decode(b"".join(content.split()), validate=True)
        except binascii.Error as error:
            raise ValueError(f"broken data URI ({error})") from None
    return _EXTENSIONS[mime], content
