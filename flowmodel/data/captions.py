"""Builds several captions per icon, because a single caption encourages memorization."""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flowmodel.data.color_captions import color_captions
from flowmodel.files import Artifact
from flowmodel.tables import CAPTIONS, read_ok_icons
from flowmodel.text.emoji_names import name_emoji
from flowmodel.text.emoji_texts import emoji_labels

TEMPLATES = ("name", "name_keywords", "name_group", "name_tone", "name_style", "own")
MIXED = "mixed"  # not a default, because it gives every icon two captions of its own to encode
ENGLISH = "en"
UNDETERMINED = "und"  # ISO 639: the language of the source's own texts is unknown

_TRANSLATED = ("name", "name_keywords")  # the templates that emojibase has data for in every language
_MAX_KEYWORDS = 5
_MOST_MIXED, _GROUP_SHARE = 3, 0.3
_TONE = re.compile(r"(?:[,:] )?(?:medium-)?(?:light|medium|dark) skin tone")


def caption_texts(name: str, keywords: Iterable[str], group: str, tone: str, style: str) -> dict[str, str]:
    """The English text of each template.

    | template | example |
    |---|---|
    | name | waving hand: dark skin tone |
    | name_keywords | waving hand: dark skin tone, bye, hello |
    | name_group | waving hand: dark skin tone, people and body |
    | name_tone | waving hand with dark skin tone |
    | name_style | waving hand: dark skin tone, noto style |

    Up to five keywords are used, in order, if they add something to the name. Without keywords, group or tone, the text is the
    name alone, so that every icon has all templates.
    """
    return {
        "name": name,
        "name_keywords": _with_keywords(name, keywords),
        "name_group": f"{name}, {_group_words(group)}" if group else name,
        "name_tone": _with_tone(name, tone),
        "name_style": f"{name}, {style} style",
    }


def mixed_texts(key: str, icon_id: str, name: str, keywords: Sequence[str], group: str, style: str) -> list[str]:
    """Two captions of the name and random others of its words in random order: the first without the style, the second with it.

    They have one to three of the keywords that add something to the name, and in three of ten cases the group. The choice is
    seeded by the key for the first, which all sources then share, and by the id for the second: "fruit, apple, red", "apple, food
    and drink, fruit, noto style".
    """
    texts, keywords = [], _telling(name, keywords)
    for seed, ending in ((key, []), (icon_id, [f"{style} style"])):
        chance = random.Random(seed)
        parts = [name, *chance.sample(keywords, min(len(keywords), chance.randint(1, _MOST_MIXED)))]
        if group and chance.random() < _GROUP_SHARE:
            parts.append(_group_words(group))
        chance.shuffle(parts)
        texts.append(", ".join(parts + ending))
    return texts


def build_captions(
    normalized: Path,
    out: Path,
    styles: Mapping[str, str] | None = None,
    templates: Sequence[str] = TEMPLATES,
    languages: Sequence[str] = (ENGLISH,),
    recolored: bool = False,
) -> Artifact:
    """Write the `captions` table of the usable icons, with one row per icon, template and language.

    The English `name` is always included, because evaluations use it. `own` stands for the texts that the source gives, which
    are used unchanged in any language; an icon without such texts has none. Other languages have name and keywords, for emoji
    only. `styles` maps source names to styles; a source without an entry is its own style. `recolored` adds captions of
    recolored copies (flowmodel/data/color_captions.py). Emoji in a text are replaced by their names, as in prompts.

    Raises FlowmodelError when the table can't be read, or emojibase lacks one of `languages`.
    """
    icons = read_ok_icons(normalized, ["id", "source", "key", "name", "keywords", "captions", "group", "skin_tone"])
    labels = {language: emoji_labels(language) for language in languages if language != ENGLISH}
    rows: list[tuple[str, ...]] = []
    for icon in icons.to_dict("records"):
        style = (styles or {}).get(icon["source"], icon["source"])
        rows += _english(icon, style, templates if ENGLISH in languages else ["name"])
        if "own" in templates:
            rows += _own(icon)
        if MIXED in templates and ENGLISH in languages:
            rows += _mixed(icon, style)
        for language, names in labels.items():
            if icon["key"] in names:
                rows += _translated(icon, *names[icon["key"]], language, templates)
    if recolored:
        rows += color_captions(normalized, styles or {})
    return CAPTIONS.write(out, [(*row[:2], name_emoji(row[2]), *row[3:]) for row in rows])


def _english(icon: Mapping[Any, Any], style: str, templates: Sequence[str]) -> Iterator[tuple[str, ...]]:
    texts = caption_texts(icon["name"], icon["keywords"], icon["group"], icon["skin_tone"], style)
    for template, text in texts.items():
        if template == "name" or template in templates:
            yield f"{icon['id']}#{template}", icon["id"], text, template, ENGLISH


def _mixed(icon: Mapping[Any, Any], style: str) -> Iterator[tuple[str, ...]]:
    texts = mixed_texts(icon["key"], icon["id"], icon["name"], icon["keywords"], icon["group"], style)
    for number, text in enumerate(texts):
        yield f"{icon['id']}#{MIXED}-{number}", icon["id"], text, MIXED, ENGLISH


def _own(icon: Mapping[Any, Any]) -> Iterator[tuple[str, ...]]:
    for number, text in enumerate(icon["captions"]):
        yield f"{icon['id']}#own-{number}", icon["id"], text, "own", UNDETERMINED


def _translated(
    icon: Mapping[Any, Any], name: str, keywords: Iterable[str], language: str, templates: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    texts = {"name": name, "name_keywords": _with_keywords(name, keywords)}
    for template in _TRANSLATED:
        if template in templates:
            yield f"{icon['id']}#{template}@{language}", icon["id"], texts[template], template, language


def _with_keywords(name: str, keywords: Iterable[str]) -> str:
    return ", ".join([name, *_telling(name, keywords)[:_MAX_KEYWORDS]])


def _telling(name: str, keywords: Iterable[str]) -> list[str]:
    """The keywords that add something to the name, each once, in order."""
    known = set(name.lower().split())
    chosen: dict[str, str] = {}
    for keyword in keywords:
        if not set(keyword.lower().split()) <= known:
            chosen.setdefault(keyword.lower(), keyword)
    return list(chosen.values())


def _group_words(group: str) -> str:
    return group.replace("-", " and ")


def _with_tone(name: str, tone: str) -> str:
    if not tone:
        return name
    tones = list(dict.fromkeys(tone.split("+")))
    return f"{_TONE.sub('', name)} with {' and '.join(tones)} skin tone{'s' if len(tones) > 1 else ''}"
