"""Source kind `folder`: images with captions from a table, text files or file names.

An unusable image does not stop the others: it becomes a quarantined row with the reason.
"""

from collections import Counter
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from flowmodel.data.keys import code_point_stems, distinct_keys, parse_hexcode
from flowmodel.data.sources.bucket import is_bucket, mirror, stored_objects
from flowmodel.data.sources.config import FolderSource, locate
from flowmodel.data.sources.context import Observation, Reading, SourceContext
from flowmodel.data.sources.folder_files import FolderFiles
from flowmodel.data.sources.folder_listing import ListedImage, Listing, list_images
from flowmodel.data.sources.parallel import rows_of
from flowmodel.data.sources.rows import icon_row
from flowmodel.files import sha256_bytes
from flowmodel.text.emoji_texts import unicode_emoji


def read(config: FolderSource, context: SourceContext) -> Reading:
    """The rows of all listed images. The number of other images in the folder is logged.

    Raises FlowmodelError when the folder or its captions file is missing or unreadable.
    """
    files = _files(config, context)
    listing = list_images(config, files)
    keys = _keys(config, listing)
    if numbers := [file for file, (_, char) in keys.items() if not char and parse_hexcode(_stem(file))]:
        context.log(
            f"{listing.where}: numbers such as {PurePosixPath(numbers[0]).name} are not treated as code points; if they are, "
            "set code_points: true"
        )
    if unlisted := sorted(set(files.images()) - {image.file for image in listing.images} - set(listing.other_formats)):
        named = ", ".join(unlisted[:3]) + (", ..." if len(unlisted) > 3 else "")
        context.log(f"{listing.where}: images that are not listed are omitted: {len(unlisted):,} ({named})")
    for remark in listing.remarks:
        context.log(remark)
    return Reading(rows_of(lambda image: _row(config, files, image, *keys[image.file]), listing.images, context))


def files_by_id(config: FolderSource, context: SourceContext) -> dict[str, str]:
    """The file of each icon by its id, including unusable ones; raises FlowmodelError as :func:`read` does."""
    listing = list_images(config, _files(config, context))
    return {f"{config.name}/{key}": file for file, (key, _) in _keys(config, listing).items()}


def observe(config: FolderSource, context: SourceContext) -> Observation:
    """The captions and the content of each listed file, or the reason why it can't be read; of a folder in S3-compatible storage,
    the name, size and time of each object. Raises FlowmodelError as :func:`read` does.
    """
    if is_bucket(config.path):
        objects = stored_objects(config.path)
        version = _version(len(objects), max((each.changed / 1e9 for each in objects), default=0))
        return Observation(fingerprint=[[each.file, each.size, each.changed] for each in objects], version=version)
    files = _files(config, context)
    images = list_images(config, files).images
    newest = max((_changed(files.folder / image.file) for image in images), default=0)
    told = [[repr(image.entry), str(image.missing or ""), _content(files, image)] for image in images]
    return Observation(fingerprint=told, version=_version(len(images), newest))


def _files(config: FolderSource, context: SourceContext) -> FolderFiles:
    if is_bucket(config.path):
        return FolderFiles(mirror(config.path, context.downloads, context.log))
    return FolderFiles(locate(config.path, context.root), config.follow_links)


def _version(files: int, newest: float) -> str:
    return f"{files} files, newest of {datetime.fromtimestamp(newest):%Y-%m-%d %H:%M}"


def _keys(config: FolderSource, listing: Listing) -> dict[str, tuple[str, str]]:
    """Key and character of each file; keys are unique."""
    files = [image.file for image in listing.images]
    stems = {_stem(file) for file in files}
    as_code_points = code_point_stems(stems) if config.code_points is None else stems if config.code_points else set()
    wanted = {file: parsed for file in files if _stem(file) in as_code_points and (parsed := parse_hexcode(_stem(file)))}
    times = Counter(key for key, _ in wanted.values())
    keys = {file: parsed for file, parsed in wanted.items() if times[parsed[0]] == 1}
    others = [file for file in files if file not in keys]
    names = distinct_keys(others, taken={key for key, _ in keys.values()})
    return keys | {file: (name, wanted[file][1] if file in wanted else "") for file, name in zip(others, names, strict=True)}


def _row(config: FolderSource, files: FolderFiles, image: ListedImage, key: str, char: str) -> dict[str, Any]:
    entry = image.entry
    emoji = unicode_emoji().get(parse_hexcode(_stem(entry.file))[0]) if char else None  # type: ignore[index]
    # Without a name, the first caption is the name.
    name = (emoji.name if emoji and image.named_by_file else entry.name) or (entry.captions[0] if entry.captions else "")
    return icon_row(
        config,
        key=key,
        char=char,
        name=name or (emoji.name if emoji else ""),
        keywords=entry.keywords or (emoji.keywords if emoji else ()),
        captions=entry.captions,
        group=entry.group or (emoji.group if emoji else ""),
        subgroup=emoji.subgroup if emoji else "",
        file=entry.file.encode(errors="replace").decode(),
        content=image.missing or files.read(entry.file),
        license=entry.license,
        origin=config.path,
        svg_pixels=config.svg_pixels,
        notes=image.notes,
    )


def _content(files: FolderFiles, image: ListedImage) -> str:
    content = files.read(image.file)
    return str(content) if isinstance(content, ValueError) else sha256_bytes(content)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except (OSError, ValueError):
        return 0


def _stem(file: str) -> str:
    return PurePosixPath(file).stem
