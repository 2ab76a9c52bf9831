"""Source kind `iconify`: a set of icons in Iconify's JSON form, the npm package @iconify-json/SET.

Every visible icon becomes a row, as does every alias that transforms or crops its parent. An alias with the same image only
adds its name to the keywords of icons outside Unicode. Keys are code points if the set has them (`chars.json`) and slugs
otherwise; if two icons have the same code point, the second gets a slug.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flowmodel.data.keys import SKIN_TONES, ascii_slug, normalize_hexcode, parse_hexcode, skin_tone, slug
from flowmodel.data.sources.config import IconifySource
from flowmodel.data.sources.context import Observation, Reading, SourceContext
from flowmodel.data.sources.iconify_svg import Icon, icon_svg, resolve_icons
from flowmodel.data.sources.npm_client import Package, fetch_package, latest_version, read_members
from flowmodel.data.sources.parallel import icon_rows
from flowmodel.errors import FlowmodelError
from flowmodel.text.emoji_texts import unicode_emoji

_FILES = ("icons.json", "info.json", "metadata.json", "chars.json")
_BLACK = "#000000"


def read(config: IconifySource, context: SourceContext) -> Reading:
    """All icons of the set; icons that can't be drawn are quarantined.

    Raises FlowmodelError when the package can't be fetched, its files are not in Iconify's format, or the set has no
    `config.variant`.
    """
    package = fetch_package(_package(config), config.version, config.integrity, context)
    files = _load(package)
    resolved = resolve_icons(files["icons.json"])
    ending = ""
    if config.variant:
        ending, resolved = _of_variant(config, files["metadata.json"], resolved)
    is_emoji = files["info.json"].get("category") == "Emoji"
    keys = _keys(resolved, files["chars.json"], is_emoji, ending)
    groups = {icon: slug(title.replace("&", " ")) for title, icons in reversed(_categories(files)) for icon in icons}
    drafts = []
    for name, icon in resolved.items():
        key, char = keys[name]
        if not config.skin_tones and skin_tone(key):
            continue
        known = unicode_emoji().get(key)
        own_name = name.removesuffix(ending).replace("-", " ").replace("_", " ").strip()
        drafts.append(
            {
                "key": key,
                "file": f"{name}.svg",
                "content": icon if isinstance(icon, ValueError) else _svg(icon, config.color or _BLACK),
                "name": known.name if known and config.names == "unicode" else own_name,
                "char": known.char if known else char,
                "keywords": known.keywords if known else _alias_names(icon),
                "group": groups.get(name) or (known.group if known else ""),
                "subgroup": known.subgroup if known else "",
                "license": _license(files["info.json"]),
                "origin": f"{package.name} {package.version}",
                "svg_pixels": config.svg_pixels,
            }
        )
    return Reading(icon_rows(config, drafts, context))


def observe(config: IconifySource, context: SourceContext) -> Observation:
    """The configured version, and the registry's latest if that is another one; fetches no package."""
    package = _package(config)
    latest = latest_version(package)
    newer = latest if latest != config.version else ""
    return Observation([package, config.version, config.integrity], config.version, newer)


def _package(config: IconifySource) -> str:
    return f"@iconify-json/{config.set}"


def _of_variant(
    config: IconifySource, metadata: Mapping[str, Any], icons: Mapping[str, Icon | ValueError]
) -> tuple[str, dict[str, Icon | ValueError]]:
    """The ending that the names of `config.variant` have, and its icons.

    The set's metadata has a title for each suffix; an empty suffix stands for names without any.
    """
    suffixes = metadata.get("suffixes")
    titles = {str(suffix): str(title) for suffix, title in suffixes.items()} if isinstance(suffixes, dict) else {}
    chosen = [suffix for suffix, title in titles.items() if title.lower() == config.variant.lower()]
    if not chosen:
        offered = ", ".join(titles.values()) or "none"
        raise FlowmodelError(f"variant: {config.variant}: {_package(config)} has no such variant; it has {offered}")
    if chosen[0]:
        ending = f"-{chosen[0]}"
        return ending, {name: icon for name, icon in icons.items() if name.endswith(ending)}
    others = tuple(f"-{suffix}" for suffix in titles if suffix)
    return "", {name: icon for name, icon in icons.items() if not name.endswith(others)}


def _load(package: Package) -> dict[str, dict[str, Any]]:
    members = read_members(package.tgz, {f"package/{file}" for file in _FILES})
    loaded: dict[str, dict[str, Any]] = {}
    for file in _FILES:
        try:
            value = json.loads(members.get(f"package/{file}", b"{}"))
        except (ValueError, RecursionError) as error:
            raise FlowmodelError(f"{package.tgz}: {file} is not valid JSON ({error}); try another version") from None
        if not isinstance(value, dict):
            raise FlowmodelError(f"{package.tgz}: {file} is not a JSON object; try another version")
        loaded[file] = value
    if not isinstance(loaded["icons.json"].get("icons"), dict) or not loaded["icons.json"]["icons"]:
        raise FlowmodelError(f"{package.tgz}: icons.json contains no icons; is the package an Iconify set?")
    return loaded


def _categories(files: dict[str, dict[str, Any]]) -> list[tuple[str, list[str]]]:
    categories = files["metadata.json"].get("categories")
    return (
        [(title, icons) for title, icons in categories.items() if isinstance(icons, list)] if isinstance(categories, dict) else []
    )


def _license(info: Mapping[str, Any]) -> str:
    license = info.get("license")
    return str(license.get("spdx") or license.get("title") or "") if isinstance(license, dict) else ""


def _svg(icon: Icon, color: str) -> bytes | ValueError:
    try:
        return icon_svg(icon, color)
    except ValueError as error:
        return error


def _alias_names(icon: Icon | ValueError) -> list[str]:
    return [] if isinstance(icon, ValueError) else [name.replace("-", " ") for name in icon.other_names]


def _keys(
    icons: Mapping[str, Icon | ValueError], chars: Mapping[str, Any], is_emoji: bool, ending: str
) -> dict[str, tuple[str, str]]:
    """Key and character of every icon. Keys are unique; code points are assigned before slugs, which lack `ending`."""
    keys: dict[str, tuple[str, str]] = {}
    taken: set[str] = set()
    code_points = dict(_code_points(icons, chars))
    if is_emoji:
        by_name = {ascii_slug(emoji.name): (key, emoji.char) for key, emoji in unicode_emoji().items()}
        found = ((name, _known_by_name(name.removesuffix(ending), by_name)) for name in icons if name not in code_points)
        code_points |= {name: match for name, match in found if match}
    for name in icons:
        if name in code_points and code_points[name][0] not in taken:
            keys[name] = code_points[name]
            taken.add(code_points[name][0])
    for name in icons:
        if name not in keys:
            wanted = key = slug(name.removesuffix(ending)) or "icon"
            number = 1
            while key in taken:
                number += 1
                key = f"{wanted}-{number}"
            keys[name] = (key, "")
            taken.add(key)
    return keys


def _code_points(icons: Mapping[str, Icon | ValueError], chars: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """The code point of each icon that has one; of several, an emoji's, else the first symbol's.

    A font's numbers in the private use area, or those of letters and digits, say nothing about the image.
    """
    owners = {name: name for name in icons}
    for name, icon in icons.items():
        owners |= dict.fromkeys(icon.other_names, name) if isinstance(icon, Icon) else {}
    candidates: dict[str, list[str]] = {}
    for hexcode, name in chars.items():
        if isinstance(name, str) and name in owners:
            candidates.setdefault(owners[name], []).append(hexcode)
    for name, hexcodes in candidates.items():
        emoji = [key for hexcode in hexcodes if (key := normalize_hexcode(hexcode)) in unicode_emoji()]
        symbols = [parsed for hexcode in hexcodes if (parsed := parse_hexcode(hexcode))]
        if emoji:
            yield name, (emoji[0], unicode_emoji()[emoji[0]].char)
        elif symbols:
            yield name, symbols[0]


def _known_by_name(name: str, by_name: Mapping[str, tuple[str, str]]) -> tuple[str, str] | None:
    """The emoji of a name without a code point, such as the alias `waving-hand-dark`."""
    toned = name.endswith(tuple(f"-{tone}" for tone in SKIN_TONES.values()))
    return by_name.get(f"{name}-skin-tone" if toned else name)
