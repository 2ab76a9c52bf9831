"""Source kind `npm`: packages of ready-made images, emoji-datasource-{google,twitter,facebook,apple} and openmoji.

Names, keywords and groups are Unicode's for emoji in Unicode, and the package's own otherwise.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from flowmodel.data.keys import normalize_hexcode, skin_tone, slug
from flowmodel.data.sources.config import NpmSource
from flowmodel.data.sources.context import Observation, Reading, SourceContext
from flowmodel.data.sources.npm_client import Package, fetch_package, latest_version, read_members
from flowmodel.data.sources.parallel import icon_rows
from flowmodel.errors import FlowmodelError
from flowmodel.text.emoji_texts import unicode_emoji

_OPENMOJI = "openmoji"
# License of the images (the package's own license is often that of its code), and whether they may be redistributed.
_LICENSES = {
    "emoji-datasource-google": ("Apache-2.0", True),
    "emoji-datasource-twitter": ("CC-BY-4.0", True),
    "emoji-datasource-facebook": ("proprietary (Meta)", False),
    "emoji-datasource-apple": ("proprietary (Apple)", False),
    _OPENMOJI: ("CC-BY-SA-4.0", True),
}


@dataclass(frozen=True)
class _Listed:
    """An image in the package's list, with the list's texts."""

    key: str
    char: str
    member: str
    name: str
    keywords: tuple[str, ...]
    group: str
    subgroup: str


def read(config: NpmSource, context: SourceContext) -> Reading:
    """All images in the package's list; those that are missing in the package are quarantined.

    Raises FlowmodelError when the package can't be fetched or its list has an unknown format.
    """
    package = fetch_package(config.package, config.version, config.integrity, context)
    openmoji = config.package == _OPENMOJI
    vendor = config.package.rpartition("-")[2]
    index = "package/data/openmoji.json" if openmoji else "package/emoji.json"
    folder = "package/color/svg/" if openmoji else f"package/img/{vendor}/64/"
    files = read_members(package.tgz, lambda name: name == index or name.startswith(folder))
    listed = _list(package, files, index, folder, vendor, context.log)
    if not config.skin_tones:
        listed = [item for item in listed if not skin_tone(item.key)]
    rows = icon_rows(config, [_draft(item, package, files, config.svg_pixels) for item in listed], context)
    return Reading(rows)


def observe(config: NpmSource, context: SourceContext) -> Observation:
    """The configured version, and the registry's latest if that is another one; fetches no package."""
    latest = latest_version(config.package)
    fingerprint = [config.package, config.version, config.integrity]
    return Observation(fingerprint, config.version, newer=latest if latest != config.version else "")


def _list(
    package: Package, files: dict[str, bytes], index: str, folder: str, vendor: str, log: Callable[[str], None]
) -> list[_Listed]:
    try:
        entries = json.loads(files[index])
        items = list(_openmoji(entries, folder) if package.name == _OPENMOJI else _emoji_datasource(entries, folder, vendor))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FlowmodelError(
            f"{package.tgz}: {index} is missing or malformed ({type(error).__name__}: {error}); try another version"
        ) from None
    first = {item.key: item for item in reversed(items)}
    for item in items:
        if item.member != first[item.key].member:
            log(f"{package.name}: omitted {item.member}, because {first[item.key].member} has the same key '{item.key}'")
    if not first:
        raise FlowmodelError(f"{package.tgz}: {index} lists no images; try another version")
    return list(dict.fromkeys(first[item.key] for item in items))


def _emoji_datasource(entries: list[dict[str, Any]], folder: str, vendor: str) -> Iterator[_Listed]:
    flag = f"has_img_{vendor}"
    for entry in entries:
        name = (entry["name"] or entry["short_name"].replace("_", " ")).lower()
        group, subgroup = slug(entry["category"].replace("&", " ")), entry["subcategory"]
        for variant in (entry, *entry.get("skin_variations", {}).values()):
            if variant[flag]:
                key = normalize_hexcode(variant["unified"])
                tone = skin_tone(key) if variant is not entry else ""
                text = f"{name}: {tone.replace('+', ', ')} skin tone" if tone else name
                yield _Listed(key, _char(variant["unified"]), folder + variant["image"], text, (), group, subgroup)


def _openmoji(entries: list[dict[str, Any]], folder: str) -> Iterator[_Listed]:
    taken: set[str] = set()
    for entry in entries:
        hexcode = entry["hexcode"]
        key, char = normalize_hexcode(hexcode), _char(hexcode)
        if any(0xE000 <= ord(point) <= 0xF8FF for point in char):  # private use area: OpenMoji's own emoji
            name = slug(entry["annotation"])
            key, char = (name if name and name not in taken else f"{name or 'icon'}-{hexcode.lower()}"), ""
        taken.add(key)
        tags = (tag.strip() for field in ("tags", "openmoji_tags") for tag in entry[field].split(","))
        keywords = tuple(dict.fromkeys(filter(None, tags)))
        name = entry["annotation"].lower()
        yield _Listed(key, char, f"{folder}{hexcode}.svg", name, keywords, entry["group"], entry["subgroups"])


def _char(hexcode: str) -> str:
    return "".join(chr(int(part, 16)) for part in hexcode.split("-"))


def _draft(item: _Listed, package: Package, files: dict[str, bytes], svg_pixels: int) -> dict[str, Any]:
    license, redistributable = _LICENSES[package.name]
    known = unicode_emoji().get(item.key)
    return {
        "key": item.key,
        "file": PurePosixPath(item.member).name,
        "content": files.get(item.member, ValueError(f"listed, but not in {package.name} {package.version}")),
        "name": known.name if known else item.name,
        "char": known.char if known else item.char,
        "keywords": (known.keywords if known else ()) or item.keywords,
        "group": (known.group if known else "") or item.group,
        "subgroup": (known.subgroup if known else "") or item.subgroup,
        "license": license,
        "origin": f"{package.name} {package.version}",
        "redistributable": redistributable,
        "svg_pixels": svg_pixels,
    }
