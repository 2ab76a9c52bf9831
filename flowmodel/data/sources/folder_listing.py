"""Lists a folder source: its images, with captions from a table, text files or file names."""

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from flowmodel.data.sources.caption_tables import SUFFIXES, CaptionTable, Entry, read_caption_table
from flowmodel.data.sources.config import FolderSource
from flowmodel.data.sources.folder_files import FolderFiles, best_format
from flowmodel.errors import FlowmodelError

CAPTION_FILES = ("captions.csv", "captions.jsonl", "metadata.csv", "metadata.jsonl")

_TEXT_EXTENSIONS = (".txt", ".caption")
_SIZE = re.compile(r"(@\d+x|[-_ ](\d+x\d+|\d+(px|dp|w)))+$", re.IGNORECASE)
_SHOWN = 3


@dataclass(frozen=True)
class ListedImage:
    """An icon: its file, as a path in the folder, or as listed if there is no such file, and its texts."""

    entry: Entry
    missing: ValueError | None = None
    notes: str = ""
    named_by_file: bool = False

    @property
    def file(self) -> str:
        return self.entry.file


@dataclass
class Listing:
    """The icons of a folder, each file once; `where` they were listed, and notes for the user.

    `other_formats` are files that show one of the icons in a worse format.
    """

    where: Path
    images: list[ListedImage]
    other_formats: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def list_images(config: FolderSource, files: FolderFiles) -> Listing:
    """All icons of the folder: those of its captions file, or without one all images, captioned by their text files or names.

    Lines about the same file become one icon with several captions, and so do lines with the same texts about one icon in
    several formats. Raises FlowmodelError when there is no such folder, no image, or a table that can't be read.
    """
    if not files.folder.is_dir():
        raise FlowmodelError(f"{files.folder}: no such folder; correct its path in sources.yaml (relative to that file's folder)")
    if tables := _captions_files(config, files):
        listing = _from_tables(tables, config, files)
    elif images := files.images():
        listing = _without_table(images, files)
    else:
        raise FlowmodelError(
            f"{files.folder}: no captions file ({', '.join(CAPTION_FILES)}) and no image; "
            "write captions.csv with the columns file, name, keywords"
        )
    if unreadable := files.unreadable():
        extensions = ", ".join(sorted({posixpath.splitext(file)[1].lower() for file in unreadable}))
        listing.remarks.append(f"{listing.where}: files in unsupported formats are omitted: {len(unreadable):,} ({extensions})")
    if listing.other_formats:
        without = _some(listing.other_formats)
        listing.remarks.append(f"{listing.where}: of icons in several formats, only the best one is read; omitted: {without}")
    return listing


def _captions_files(config: FolderSource, files: FolderFiles) -> list[str]:
    """The captions file of the entry or in the folder, else those in its subfolders."""
    if config.captions:
        if Path(config.captions).suffix.lower() not in SUFFIXES:
            raise FlowmodelError(
                f"source '{config.name}': captions: '{config.captions}' must end in one of {', '.join(SUFFIXES)}"
            )
        found = files.find(config.captions)
        return [config.captions if isinstance(found, ValueError) else found]
    there = files.named(*CAPTION_FILES)
    for name in CAPTION_FILES:
        if top := [file for file in there if file.lower() == name]:
            return top[:1]
    return [next(of_folder) for _, of_folder in groupby(there, posixpath.dirname)]


def _from_tables(names: Sequence[str], config: FolderSource, files: FolderFiles) -> Listing:
    tables = [read_caption_table(files.folder / name, config.encoding) for name in names]
    listing = Listing(files.folder / names[0] if len(names) == 1 else files.folder, [])
    by_file: dict[str, ListedImage] = {}
    for name, table in zip(names, tables, strict=True):
        listing.remarks += table.remarks
        for image in _resolved(table, posixpath.dirname(name), files):
            known = by_file.get(image.file)
            by_file[image.file] = _joined(known, image) if known else image
    if len(names) > 1:
        listing.remarks.append(
            f"{files.folder}: read the captions files {_some(names)}; the recipe's splits determine which icons are trained on"
        )
    listing.images, listing.other_formats = _one_format(list(by_file.values()))
    return listing


def _resolved(table: CaptionTable, folder: str, files: FolderFiles) -> Iterator[ListedImage]:
    for entry in table.entries:
        found = files.find(entry.file, folder)
        where = replace(entry, line=f"{table.path}: {entry.line}")
        split = folder.rpartition("/")[2]
        notes = f"from the folder '{split}'" if split in ("train", "test", "validation", "valid", "val") else ""
        if isinstance(found, ValueError):
            yield ListedImage(where, found, notes)
        else:
            yield ListedImage(replace(where, file=found), None, notes)


def _joined(one: ListedImage, other: ListedImage) -> ListedImage:
    """Merge two entries of a file. Raises FlowmodelError if they contradict each other."""
    a, b = one.entry, other.entry
    for column in ("group", "license"):
        said = getattr(a, column), getattr(b, column)
        if all(said) and said[0] != said[1]:
            raise FlowmodelError(
                f"{b.line}: {column} of '{a.file}' is '{said[1]}', and '{said[0]}' in {a.line}; keep one of them"
            )
    another = (b.name,) if b.name and b.name != a.name and a.name else ()
    captions = tuple(dict.fromkeys((*a.captions, *another, *b.captions)))
    keywords = tuple(dict.fromkeys((*a.keywords, *b.keywords)))
    entry = replace(
        a, name=a.name or b.name, captions=captions, keywords=keywords, group=a.group or b.group, license=a.license or b.license
    )
    return replace(one, entry=entry)


def _one_format(images: list[ListedImage]) -> tuple[list[ListedImage], list[str]]:
    """The icons without those that repeat one in a worse format with the same texts, and the files of those."""
    by_icon: dict[tuple[object, ...], list[str]] = {}
    for image in images:
        if image.missing is None:
            by_icon.setdefault(_texts_of(image), []).append(image.file)
    left_out = {file for of_icon in by_icon.values() for file in of_icon if file != best_format(of_icon)}
    return [image for image in images if image.file not in left_out], sorted(left_out)


def _texts_of(image: ListedImage) -> tuple[object, ...]:
    entry = image.entry
    return posixpath.splitext(entry.file)[0], entry.name, entry.captions, entry.keywords


def _without_table(images: list[str], files: FolderFiles) -> Listing:
    of_stem: dict[str, list[str]] = {}
    for file in images:
        of_stem.setdefault(posixpath.splitext(file)[0], []).append(file)
    listing = Listing(files.folder, [])
    described = 0
    for stem, formats in of_stem.items():
        file = best_format(formats)
        captions = _beside(stem, files, of_stem)
        described += bool(captions)
        name = "" if captions else name_of_file(file)
        listing.images.append(
            ListedImage(Entry(file, name, captions=captions, line=str(files.folder / file)), named_by_file=not captions)
        )
    named = len(listing.images) - described
    if described:
        listing.remarks.append(f"{files.folder}: images with captions from text files: {described:,}")
    if named:
        examples = [f"{p.file} is '{p.entry.name}'" for p in listing.images if p.entry.name]
        listing.remarks.append(
            f"{files.folder}: images without captions, named after their files: {named:,} ({_some(examples)}); "
            "captions.csv with the columns file, name, keywords gives better names"
        )
    listing.other_formats = sorted(set(images) - {image.file for image in listing.images})
    return listing


def _beside(stem: str, files: FolderFiles, stems: Collection[str]) -> tuple[str, ...]:
    """The captions in the text file next to an image, one per line; none if there is no such file."""
    for extension in _TEXT_EXTENSIONS:
        file = files.spelled(stem + extension)
        if file and (file == stem + extension or posixpath.splitext(file)[0] not in stems):  # else it is another image's
            path, content = files.folder / file, files.read(file)
            if isinstance(content, ValueError):
                raise FlowmodelError(f"{path}: {content}")
            try:
                text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
            except UnicodeDecodeError as error:
                problem = f"not in UTF-8 ({error.reason} at byte {error.start})"
                raise FlowmodelError(f"{path}: {problem}; save it as UTF-8") from None
            return tuple(plain for line in text.split("\n") if (plain := " ".join(line.split())))
    return ()


def name_of_file(file: str) -> str:
    """The caption in a file's name: `arrows/ArrowLeft_24px.png` is `arrow left`; empty if there is none."""
    stem = _SIZE.sub("", posixpath.splitext(posixpath.basename(file))[0].encode(errors="replace").decode())
    stem = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", stem)
    words = re.sub(r"[-_.\s]+", " ", stem).strip()
    return words.lower() if words.isascii() else words


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
