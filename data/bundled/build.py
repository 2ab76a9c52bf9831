"""Make `noto.parquet` and `emojibase.parquet` from two npm packages, byte for byte (with the pyarrow of constraints.txt), and
`emoji.json` and `english.zlib` from the second of them.

The packages are fetched with npm into a temporary folder, or into `--downloads FOLDER`, where they are found again; `--out
FOLDER` writes elsewhere, to compare for example.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

from flowmodel.data.keys import normalize_hexcode
from flowmodel.data.sources import npm
from flowmodel.data.sources.config import NpmSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.npm_client import fetch_package, read_members
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, read_parquet, write_bytes, write_json
from flowmodel.tables import EMOJI_TEXTS, ICONS
from flowmodel.text.translation import ENGLISH, Table, folded, packed

# SHA-512 as the npm registry states it (dist.integrity).
NOTO = NpmSource(
    name="noto",
    kind="npm",
    package="emoji-datasource-google",
    version="16.0.0",
    integrity="sha512-ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
    skin_tones=False,
)
EMOJIBASE = (
    "emojibase-data",
    "17.0.0",
    "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
)


def build_texts(context: SourceContext, out: Path) -> Artifact:
    """Every emoji in every language of emojibase; raises FlowmodelError when the package can't be had or is another one."""
    package = fetch_package(*EMOJIBASE, context)
    files = read_members(package.tgz, lambda name: name.endswith(("/data.json", "package/en/messages.json")))
    messages = json.loads(files.pop("package/en/messages.json"))
    groups, subgroups = ({item["order"]: item["key"] for item in messages[kind]} for kind in ("groups", "subgroups"))
    rows = []
    for file in sorted(files):
        language = file.split("/")[1]
        for entry in _with_skins(json.loads(files[file])):
            rows.append(
                {
                    "language": language,
                    "key": normalize_hexcode(entry["hexcode"]),
                    "char": entry["emoji"],
                    "name": entry["label"].lower() if language == "en" else entry["label"],
                    "keywords": entry.get("tags", []),
                    "group": groups.get(entry.get("group"), ""),
                    "subgroup": subgroups.get(entry.get("subgroup"), ""),
                    "order": entry.get("order", 0),
                }
            )
    return EMOJI_TEXTS.write(out, rows, {"texts": "{}@{}".format(*EMOJIBASE)})


def _with_skins(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield entry
        for skin in entry.get("skins", []):
            yield {"tags": entry.get("tags", []), **skin}  # a variant has no keywords of its own


_VARIATION_SELECTOR = "\ufe0f"
_SIGNS = "©®™"  # these are used inside words, and encoders have tokens for them


def _in_english(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The English rows, in Unicode's order."""
    return sorted((row for row in rows if row["language"] == "en"), key=itemgetter("order"))


def emoji_names(texts: Path) -> dict[str, str]:
    """The English name of every emoji in `texts`, with and without variation selectors, in Unicode's order."""
    rows = read_parquet(texts, ["language", "char", "name", "order"]).to_pylist()
    names = {}
    for row in _in_english(rows):
        for written in (row["char"], row["char"].replace(_VARIATION_SELECTOR, "")):
            if written not in _SIGNS:
                names[written] = row["name"]
    return names


ALIKE = 0.4  # least Dice coefficient of the emoji that two words of different languages are about
SKIN_TONES = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")


def english(texts: Path) -> Table:
    """English for every name and keyword in `texts` that is not in ASCII: the English name of the emoji that is called so, or the
    English word that means most nearly the same emoji as the keyword does.

    Emoji with skin tones are left out: their names are half of all, and nobody types them.
    """
    rows = read_parquet(texts, ["language", "key", "name", "keywords", "order"]).to_pylist()
    names, keys = {}, defaultdict(set)  # of keys, and of English words; of equally likely words the first is chosen
    for row in _in_english(rows):
        names[row["key"]] = row["name"]
        for word in (row["name"], *row["keywords"]):
            keys[word].add(row["key"])
    words: dict[str, list[str]] = defaultdict(list)  # of keys
    for word, own in keys.items():
        for key in own:
            words[key].append(word)
    places = {word: place for place, word in enumerate(keys)}

    named, meant, languages = {}, defaultdict(set), defaultdict(set)  # of words in any language
    for row in rows:
        told = set(map(folded, row["keywords"]))
        for word in told:
            meant[word].add(row["key"])
        if not any(tone in row["key"] for tone in SKIN_TONES):
            named.setdefault(folded(row["name"]), row["key"])
            told.add(folded(row["name"]))
        for word in told:
            languages[word].add(row["language"])

    table: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for word in sorted(languages):
        if word.isascii() or "," in word or languages[word] & set(ENGLISH):
            continue
        if word in named:
            table[names[named[word]]][" ".join(sorted(languages[word]))].append(word)
            continue
        shared = Counter(each for key in meant[word] for each in words[key])
        likeness = {each: 2 * count / (len(meant[word]) + len(keys[each])) for each, count in shared.items()}
        best = max(shared, key=lambda each: (likeness[each], -places[each]), default=None)
        if best is not None and likeness[best] >= ALIKE:
            table[best][" ".join(sorted(languages[word]))].append(word)
    return table


def build_icons(context: SourceContext, out: Path) -> Artifact:
    """Noto's base emoji as published; raises FlowmodelError when the package can't be had or is another one."""
    rows = sorted(npm.read(NOTO, context).rows, key=itemgetter("id"))
    return ICONS.write(out, rows, {"pictures": f"{NOTO.package}@{NOTO.version}", "texts": "{}@{}".format(*EMOJIBASE)})


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--downloads", type=Path, metavar="FOLDER", help="where the packages are kept; default: nowhere")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            context = SourceContext(root=Path.cwd(), downloads=options.downloads or Path(folder), log=print)
            texts = build_texts(context, options.out / "emojibase.parquet")  # first: the names of the icons come from it
            icons = build_icons(context, options.out / "noto.parquet")
    except FlowmodelError as error:
        print(error, file=sys.stderr)
        return 2
    names = Artifact.of(write_json(options.out / "emoji.json", emoji_names(texts.path)))
    translations = Artifact.of(write_bytes(options.out / "english.zlib", packed(english(texts.path))))
    for artifact in (texts, icons, names, translations):
        print(f"{artifact.path}: {artifact.path.stat().st_size:,} bytes, sha256 {artifact.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
