"""Make `noto.parquet` from two npm packages, byte for byte (with the pyarrow of constraints.txt).

Without options the packages are fetched with `npm pack`; `--google FILE.tgz --emojibase FILE.tgz` takes them from disk, and
`--out FILE.parquet` writes elsewhere, to compare for example.
"""

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, sha256_bytes
from flowmodel.icons.keys import base_key, normalise_hexcode, skin_tone
from flowmodel.icons.rgba import decode_png
from flowmodel.icons.table import ARROW_SCHEMA, write_icon_table

GOOGLE = "emoji-datasource-google@16.0.0"
EMOJIBASE = "emojibase-data@17.0.0"
# SHA-512 as the npm registry states it (dist.integrity).
INTEGRITY = {
    GOOGLE: "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
    EMOJIBASE: "Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
}


def build(google: Path, emojibase: Path, out: Path) -> Artifact:
    """Write the table; raises FlowmodelError when a package is not the pinned one."""
    _check(google, GOOGLE)
    _check(emojibase, EMOJIBASE)
    texts = _read_package(emojibase, ["package/en/data.json", "package/en/messages.json"])
    messages = json.loads(texts["package/en/messages.json"])
    groups, subgroups = ({item["order"]: item["key"] for item in messages[kind]} for kind in ("groups", "subgroups"))
    labels = {normalise_hexcode(entry["hexcode"]): entry for entry in json.loads(texts["package/en/data.json"])}

    listed = json.loads(_read_package(google, ["package/emoji.json"])["package/emoji.json"])
    icons = [icon for icon in listed if icon["has_img_google"]]  # base emoji; skin tones are nested inside them
    pictures = _read_package(google, [_picture(icon) for icon in icons])
    rows = []
    for icon in icons:
        key = normalise_hexcode(icon["unified"])
        entry = labels[key]
        rows.append(_row(key, entry, groups[entry["group"]], subgroups[entry["subgroup"]], pictures[_picture(icon)]))
    table = pd.DataFrame(rows, columns=ARROW_SCHEMA.names).sort_values("id", ignore_index=True)
    return write_icon_table(out, table, {"pictures": GOOGLE, "texts": EMOJIBASE})


def _row(key: str, entry: dict[str, Any], group: str, subgroup: str, png: bytes) -> dict[str, Any]:
    height, width = decode_png(png).shape[:2]
    return {
        "id": f"noto/{key}",
        "source": "noto",
        "key": key,
        "char": entry["emoji"],
        "name": entry["label"].lower(),
        "keywords": entry.get("tags", []),
        "group": group,
        "subgroup": subgroup,
        "base_key": base_key(key),
        "skin_tone": skin_tone(key),
        "png": png,  # as it is in the package: no encoder of ours has a say in the file's digest
        "width": width,
        "height": height,
        "sha256": sha256_bytes(png),
        "licence": "Apache-2.0",
        "origin": GOOGLE,
        "status": "ok",
        "reason": "",
    }


def _picture(icon: dict[str, Any]) -> str:
    return f"package/img/google/64/{icon['image']}"


def _read_package(tgz: Path, members: list[str]) -> dict[str, bytes]:
    wanted, found = set(members), {}
    with tarfile.open(tgz) as package:
        for member in package:  # in file order: seeking back in a compressed archive is slow
            if member.name in wanted and (file := package.extractfile(member)):
                found[member.name] = file.read()
    if missing := wanted - found.keys():
        raise FlowmodelError(f"{tgz}: lacks {len(missing)} file(s), first {min(missing)}")
    return found


def _check(tgz: Path, package: str) -> None:
    try:
        with tgz.open("rb") as file:
            digest = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    except OSError as error:
        raise FlowmodelError(f"{tgz}: can't be read ({error.strerror})") from None
    if digest != INTEGRITY[package]:
        raise FlowmodelError(f"{tgz}: is not {package}: its sha512 is {digest}, expected {INTEGRITY[package]}")


def fetch(package: str, folder: Path) -> Path:
    """Download `package` into `folder` with npm; raises FlowmodelError when that fails."""
    try:
        done = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True, timeout=600)
    except FileNotFoundError:
        raise FlowmodelError("npm: not installed; install Node.js, or give the packages with --google and --emojibase") from None
    except subprocess.TimeoutExpired:
        raise FlowmodelError(f"npm pack {package}: not done after 10 minutes; try again, or give the files") from None
    if done.returncode:
        raise FlowmodelError(f"npm pack {package}: failed ({(done.stderr.strip().splitlines() or ['no message'])[-1]})")
    return folder / done.stdout.strip().splitlines()[-1]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--google", type=Path, metavar="FILE.tgz", help=GOOGLE)
    parser.add_argument("--emojibase", type=Path, metavar="FILE.tgz", help=EMOJIBASE)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("noto.parquet"), metavar="FILE.parquet")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            google = options.google or fetch(GOOGLE, Path(folder))
            emojibase = options.emojibase or fetch(EMOJIBASE, Path(folder))
            artifact = build(google, emojibase, options.out)
    except FlowmodelError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{artifact.path}: {artifact.path.stat().st_size / 1e6:.1f} MB, sha256 {artifact.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
