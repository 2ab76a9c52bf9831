"""Resolves names of files in a folder that differ in Unicode form, case or kind of slash."""

import difflib
import errno
import os
import posixpath
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from flowmodel.errors import Unavailable
from flowmodel.images.decode import EXTENSIONS, MAX_BYTES

# If an icon exists in several formats, the first of these is used: vector before lossless before lossy formats.
FORMATS = tuple(extension for extension in (".svg", ".svgz", ".png", ".webp", ".avif") if extension in EXTENSIONS)
_NOT_READ = (
    *(".ai", ".cdr", ".cgm", ".emf", ".eps", ".fig", ".heic", ".heif", ".jp2", ".jxl", ".lottie", ".pdf", ".pict", ".ps", ".psd"),
    *(".sketch", ".tga", ".wmf", ".xcf", ".xd"),
)
_SUGGESTED = 2000  # most names to compare for a suggestion; more would take minutes


class FolderFiles:
    """The files in a folder and its subfolders. Hidden files are not listed, but found by name."""

    def __init__(self, folder: Path, follow_links: bool = False) -> None:
        """With `follow_links`, links may lead out of the folder."""
        self.folder, self.follow_links = folder, follow_links
        self._inside = folder.resolve()

    def images(self) -> list[str]:
        """Sorted relative paths, with `/`, of all files with the name of an image."""
        return [file for file in self._files if file.lower().endswith(EXTENSIONS)]

    def named(self, *names: str) -> list[str]:
        """Sorted paths of the files with one of these names, in any case and folder."""
        return [file for file in self._files if posixpath.basename(file).lower() in names]

    def spelled(self, path: str) -> str | None:
        """The file at `path`, in any Unicode form and case; None if there is no such file, or several."""
        found = self._by_folded.get(_folded(path), [])
        return path if path in found else found[0] if len(found) == 1 else None

    def unreadable(self) -> list[str]:
        """Paths of images in unsupported formats, by name."""
        return [file for file in self._files if file.lower().endswith(_NOT_READ)]

    def find(self, name: str, base: str = "") -> str | ValueError:
        """The path, relative to the folder, of the file `name` in a table in the folder `base`; or the reason why there is none.

        An exact match comes first; otherwise Unicode form, case, kind of slash and a missing extension are ignored if the result
        is unique.
        """
        plain = name.strip().replace("\\", "/")
        wanted = [posixpath.normpath(posixpath.join(base, plain)), posixpath.normpath(plain)]
        if posixpath.isabs(plain):
            inside = Path(plain).is_relative_to(self.folder.absolute()) and Path(plain).relative_to(self.folder.absolute())
            wanted = [inside.as_posix()] if inside else wanted
        for path in dict.fromkeys((posixpath.normpath(posixpath.join(base, name.strip())), *wanted)):
            if not _leads_out(path) and self._is_file(path):
                return path
        if all(_leads_out(path) for path in wanted):
            return ValueError("is outside the source's folder")
        for path in wanted:
            if found := self._by_folded.get(_folded(path), []) or self._by_stem.get(_folded(path), []):
                if len(found) > 1:
                    return ValueError(f"matches {' and '.join(found[:3])}; write the exact name")
                return found[0]
        near = self._near(wanted[0])
        return ValueError(f"no such file; did you mean '{near}'?" if near else "no such file")

    def read(self, path: str) -> bytes | ValueError:
        """The file's bytes, or the reason why they can't be read: it is missing, outside the folder, or too large.

        Unavailable if that may change without the file: a permission, an unmounted file system.
        """
        try:
            place = self.folder / path
            if not self.follow_links and not place.resolve().is_relative_to(self._inside):
                if _leads_out(path):
                    return ValueError("is outside the source's folder")
                return ValueError("is a link that leads out of the source's folder; set follow_links: true if that is intended")
            if not place.is_file():
                return ValueError("is a broken link" if place.is_symlink() else "no such file")
            if place.stat().st_size > MAX_BYTES:
                return ValueError(f"larger than {MAX_BYTES // 2**20} MiB")
            return place.read_bytes()
        except ValueError as error:  # a name with a null byte
            return ValueError(f"can't be read ({error})")
        except RuntimeError:
            return ValueError("can't be read (circular links)")
        except OSError as error:
            kind = ValueError if error.errno in (errno.ENAMETOOLONG, errno.ELOOP) else Unavailable
            return kind(f"can't be read ({error.strerror})")

    def _is_file(self, path: str) -> bool:
        """Whether the file exists, readable or not."""
        try:
            return not stat.S_ISDIR(os.lstat(self.folder / path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError):
            return True

    @cached_property
    def _files(self) -> list[str]:
        return sorted(_walk(self.folder, self.follow_links))

    @cached_property
    def _by_folded(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for file in self._files:
            found[_folded(file)].append(file)
        return dict(found)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        """The best available format of each icon, by path without extension."""
        found = defaultdict(list)
        for file in self.images():
            found[_folded(posixpath.splitext(file)[0])].append(file)
        return {
            stem: [best_format(files)] if len(set(map(_without_extension, files))) == 1 else files
            for stem, files in found.items()
        }

    def _near(self, path: str) -> str:
        """A file in any folder whose name is similar to the last part of `path`, or an empty string."""
        names = {_folded(posixpath.basename(file)): file for file in reversed(self.images())}
        wanted = _folded(posixpath.basename(path))
        if wanted in names:
            return names[wanted]
        same_stem = [file for name, file in names.items() if posixpath.splitext(name)[0] == posixpath.splitext(wanted)[0]]
        if same_stem:
            return same_stem[0]
        near = difflib.get_close_matches(wanted, list(names)[:_SUGGESTED], n=1, cutoff=0.84)
        return names[near[0]] if near else ""


def best_format(files: list[str]) -> str:
    """The preferred file of the same icon in several formats."""
    order: dict[str, int] = {extension: place for place, extension in enumerate(FORMATS)}
    return min(files, key=lambda file: (order.get(PurePosixPath(file).suffix.lower(), len(order)), file))


def _walk(folder: Path, follow_links: bool) -> Iterator[str]:
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=follow_links):
        real = os.path.realpath(place)
        if real in seen:  # a circle of links
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = PurePosixPath(Path(place).relative_to(folder).as_posix())
        yield from ((inside / name).as_posix() for name in files if not name.startswith("."))


def _without_extension(file: str) -> str:
    return posixpath.splitext(file)[0]


def _leads_out(path: str) -> bool:
    return posixpath.isabs(path) or path == ".." or path.startswith("../")


def _folded(path: str) -> str:
    spaced = " ".join(path.split())  # names in a table have no line breaks, and may lose surrounding spaces
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", spaced).casefold())
