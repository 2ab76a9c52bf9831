"""Quality checks of finished tables beyond their schema. These are pure functions; the pipeline turns them into blocking
checks.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowmodel.files import read_parquet
from flowmodel.recipes.split import Split
from flowmodel.text.vectors import CaptionVectors

_FILE = re.compile(r"^(?:https?://\S+|.{1,400}?\.[a-z0-9]{2,5}): ", re.IGNORECASE)
_VARIABLE = re.compile(
    r"(?<=\()[^()]*\d[^()]*(?=\))|(?<=')[^']*(?='(?:\W|$))|(?<=line )\d+|(?<=column )\d+|(?<=pixels: )\d+ x \d+"
)
_SHOWN = 3


@dataclass(frozen=True)
class IconQuality:
    """Number of usable icons, and the reasons of quarantined ones by id."""

    ok: int
    quarantined: dict[str, str]


@dataclass(frozen=True)
class EmbeddingQuality:
    """Caption texts without vectors, and texts without tokens or with non-finite vectors."""

    encoded: int
    missing: list[str]
    broken: list[str]


def inspect_icons(path: Path) -> IconQuality:
    """Count the icons or normalized icons at `path`; raises FlowmodelError when the table can't be read.

    Images are not decoded here. Reading a source and normalizing it do that, and quarantine images that fail.
    """
    rows = read_parquet(path, ["id", "status", "reason"]).to_pylist()
    quarantined = {row["id"]: row["reason"] for row in rows if row["status"] != "ok"}
    return IconQuality(len(rows) - len(quarantined), quarantined)


def inspect_embeddings(captions: Path, embeddings: Path, vectors: Path) -> EmbeddingQuality:
    """Compare the embeddings, whose vectors are in the folder `vectors`, with the captions that they should cover.

    Raises FlowmodelError when a table can't be read, or vectors are missing.
    """
    encoded = read_parquet(embeddings, ["text"])["text"].to_pylist()
    pooled_UD, tokens = CaptionVectors(vectors).read(encoded)
    wanted = read_parquet(captions, ["text"])["text"].to_pylist()
    return EmbeddingQuality(
        encoded=len(encoded),
        missing=sorted(set(wanted) - set(encoded)),
        broken=[
            text
            for text, pooled_D, tokens_LD in zip(encoded, pooled_UD, tokens, strict=True)
            if not len(tokens_LD) or not np.isfinite(pooled_D).all() or not np.isfinite(tokens_LD).all()
        ],
    )


def grouped_reasons(told: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Group ids by message, such as a quarantine reason, the most frequent first. `told` are pairs of id and message.

    Details that differ between the files of a group are removed from its message.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    messages: dict[str, set[str]] = defaultdict(set)
    for icon_id, reason in sorted(told):
        message = _FILE.sub("", reason)
        kind = _VARIABLE.sub("…", message)
        groups[kind].append(icon_id)
        messages[kind].add(message)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return {(messages[kind].pop() if len(messages[kind]) == 1 else kind): ids for kind, ids in ordered}


def usable_lines(path: Path) -> list[str]:
    """Summarize how many of the icons or normalized icons at `path` are usable, and why the others are not.

    Raises FlowmodelError when the table can't be read.
    """
    found = inspect_icons(path)
    lines = [f"{found.ok:,} of {found.ok + len(found.quarantined):,} icons are usable"]
    if found.quarantined:
        lines[0] += f", {len(found.quarantined):,} are quarantined:"
    for reason, ids in grouped_reasons(found.quarantined.items()).items():
        lines.append(f"  {len(ids):,} x {reason} ({', '.join(ids[:_SHOWN])}{', ...' if len(ids) > _SHOWN else ''})")
    return lines


def split_line(splits: Mapping[str, str]) -> str:
    """Summarize the number of training icons and of held-out icons by split. `splits` maps icon ids to splits."""
    counts = Counter(splits.values())
    trained = counts.pop(str(Split.TRAIN), 0)
    held_out = ", ".join(f"{count:,} {split}" for split, count in sorted(counts.items()))
    return f"{trained:,} of {len(splits):,} icons are used for training" + (f"; held out: {held_out}" if held_out else "")
