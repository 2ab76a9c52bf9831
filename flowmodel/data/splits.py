"""Assigns icons to splits: for training, for choosing settings, and for the final evaluation only.

Sources are processed in the order of sources.yaml, and decisions for earlier ones are final: adding a source at the end does
not move icons of the others. Within a source, splits follow from a hash of the seed and the group's name.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowmodel.data.duplicates import load_links
from flowmodel.data.groups import T, groups
from flowmodel.data.keys import parse_hexcode
from flowmodel.data.normalize import source_order
from flowmodel.files import Artifact, read_parquet
from flowmodel.recipes.schema import SplitConfig
from flowmodel.recipes.split import EXCLUDED, Split
from flowmodel.tables import SPLIT_TABLE, read_ok_icons

_FILLERS = ("a", "an", "and", "face", "flag", "for", "in", "of", "on", "or", "sign", "symbol", "the", "with")


@dataclass(frozen=True)
class Icon:
    """The properties that determine a split.

    Attributes:
        concept: the key without skin tone: code points, or a slug.
        tone: empty for none.
        name: the name in words.
    """

    id: str
    source: str
    concept: str
    tone: str = ""
    style: str = ""
    name: str = ""

    @property
    def drawing(self) -> tuple[str, str]:
        """A concept in one style."""
        return self.concept, self.style or self.source

    @property
    def is_emoji(self) -> bool:
        return parse_hexcode(self.concept) is not None

    @property
    def words(self) -> frozenset[str]:
        """The words of the name that say what it shows, in the singular."""
        words = (word.removesuffix("s") for word in re.findall(r"[^\W\d_]+", self.name.lower()))
        return frozenset(word for word in words if word not in _FILLERS)


def assign_splits(
    normalized: Path, duplicates: Path, config: SplitConfig, out: Path, styles: Mapping[str, str] | None = None
) -> Artifact:
    """Assign a split to every usable icon and write the `splits` table.

    `styles` gives the style of each source by name; a source that is not in it is its own style.

    Raises FlowmodelError when a table is missing or unreadable.
    """
    table = read_ok_icons(normalized, ["id", "source", "base_key", "skin_tone", "name"])
    table.insert(4, "style", table["source"].map(lambda source: (styles or {}).get(source, source)))
    icons = [Icon(*values) for values in zip(*(table[column] for column in table), strict=True)]
    order = source_order(normalized) or sorted(set(table["source"]))
    split_of = split_icons(icons, order, load_links(duplicates), config)
    rows = [{"icon_id": icon.id, "split": split_of[icon.id]} for icon in icons]
    return SPLIT_TABLE.write(out, rows, {"seed": str(config.seed)})


def load_splits(path: Path) -> dict[str, str]:
    """Read the split of each icon id; raises FlowmodelError when the file is missing or unreadable."""
    table = read_parquet(path, SPLIT_TABLE.arrow.names)
    return dict(zip(table["icon_id"].to_pylist(), table["split"].to_pylist(), strict=True))


def leaks(split_of: Mapping[str, str], links: Iterable[tuple[str, str]], sources: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Pairs of icons of one cluster in different splits. There are none if the splits are correct.

    Clusters are formed by `links` within the sources up to the icon's own, because connections through later sources were
    unknown when it was assigned; such icons are excluded there. The links need not contain all pairs that look alike.
    """
    place = {source: number for number, source in enumerate(sources)}
    place_of = {icon: place.get(icon.partition("/")[0], 0) for icon in split_of}
    links = [(a, b) for a, b in links if a in split_of and b in split_of]
    found = []
    for now in sorted(set(place_of.values())):
        known = [icon for icon in split_of if place_of[icon] <= now]
        cluster_of = groups(known, ((a, b) for a, b in links if max(place_of[a], place_of[b]) <= now))
        first: dict[str, str] = {}
        for icon in sorted((icon for icon in known if split_of[icon] != EXCLUDED), key=lambda icon: (place_of[icon], icon)):
            other = first.setdefault(cluster_of[icon], icon)
            if place_of[icon] == now and split_of[icon] != split_of[other]:
                found.append((other, icon))
    return found


def split_icons(
    icons: Sequence[Icon], sources: Sequence[str], links: Iterable[tuple[str, str]], config: SplitConfig
) -> dict[str, str]:
    """The split of each icon id.

    Concepts that share look-alikes form a group, which belongs to `train`, `validation` or `unseen_concept` as a whole, over all
    sources and skin tones. Within `train`, `unseen_style` holds out (concept, style) if an earlier source shows the concept in
    another style, and `unseen_tone` holds out (concept, tone) if the concept has another tone. An icon that looks like one of
    another split is `excluded`. So is an icon without a code point whose name has all words of a held-out emoji of an earlier
    source: an icon "enter key 2" would show what "key" is.

    Args:
        icons: the icons, in any order.
        sources: names of all sources, in the order of sources.yaml.
        links: pairs of ids that connect the icons that look alike (:mod:`flowmodel.data.duplicates`).
    """
    by_source = defaultdict(list)
    for icon in sorted(icons, key=lambda icon: icon.id):
        by_source[icon.source].append(icon)
    decided = _Decided(config, list(links))
    for source in sources:
        decided.add(by_source[source])
    return decided.split_of


_OF_TRAINING = (Split.UNSEEN_STYLE, Split.UNSEEN_TONE)  # held out from training concepts


@dataclass
class _Decided:
    """The decisions for the sources so far."""

    config: SplitConfig
    links: Sequence[tuple[str, str]]
    split_of: dict[str, str] = field(default_factory=dict)  # by icon
    concepts: dict[str, str] = field(default_factory=dict)  # train, validation or unseen_concept by concept
    styles: dict[tuple[str, str], str] = field(default_factory=dict)  # train or unseen_style by (concept, style)
    tones: dict[tuple[str, str], str] = field(default_factory=dict)  # train or unseen_tone by (concept, tone)
    shown: set[str] = field(default_factory=set)  # training concepts
    held_out_names: set[frozenset[str]] = field(default_factory=set)  # words of the held-out emoji of earlier sources
    cluster_of: Mapping[str, str] = field(default_factory=dict)  # of every icon up to the current source
    sides: dict[str, set[str]] = field(default_factory=dict)  # splits of the icons in a cluster, without excluded ones

    def add(self, icons: Sequence[Icon]) -> None:
        """Assign the icons of the next source."""
        known = self.split_of.keys() | {icon.id for icon in icons}
        self.cluster_of = groups(known, ((a, b) for a, b in self.links if a in known and b in known))
        self.sides = defaultdict(set)
        for other, split in self.split_of.items():
            if split != EXCLUDED:
                self.sides[self.cluster_of[other]].add(split)
        self._decide_concepts(icons)
        trained = [icon for icon in icons if self.concepts[icon.concept] == Split.TRAIN]
        wanted = {icon.id: self.concepts[icon.concept] for icon in icons}
        wanted |= dict.fromkeys(self._unseen_styles(trained), Split.UNSEEN_STYLE)
        remaining = [icon for icon in trained if wanted[icon.id] == Split.TRAIN]
        wanted |= dict.fromkeys(self._unseen_tones(remaining), Split.UNSEEN_TONE)
        for icon in icons:
            sides = self.sides[self.cluster_of[icon.id]]
            agrees = sides <= {wanted[icon.id]} and not (wanted[icon.id] == Split.TRAIN and self._is_named_as_held_out(icon))
            self.split_of[icon.id] = wanted[icon.id] if agrees else EXCLUDED
            if agrees and not sides:
                sides.add(wanted[icon.id])
        held_out = (icon for icon in icons if icon.is_emoji and self.concepts[icon.concept] != Split.TRAIN)
        self.held_out_names |= {icon.words for icon in held_out if icon.words}
        self.shown |= {icon.concept for icon in trained if self.split_of[icon.id] == Split.TRAIN}

    def _decide_concepts(self, icons: Sequence[Icon]) -> None:
        """New concepts join the split of those that they look like; otherwise, the hash of their group decides."""
        group_of = self._groups({icon.id: icon.concept for icon in icons})
        neighbors = defaultdict(set)
        for icon in icons:
            if icon.concept in self.concepts:
                neighbors[group_of[icon.concept]].add(self.concepts[icon.concept])
            sides = self.sides[self.cluster_of[icon.id]]
            neighbors[group_of[icon.concept]] |= {Split.TRAIN if side in _OF_TRAINING else side for side in sides}
        for concept, group in group_of.items():
            own = self._place(group)
            # If a group looks like several splits, no choice is right, and the icons in question will be excluded.
            self.concepts.setdefault(concept, own if len(neighbors[group]) != 1 else next(iter(neighbors[group])))

    def _is_named_as_held_out(self, icon: Icon) -> bool:
        """Whether the icon has the name of a held-out emoji."""
        own = icon.words
        return not icon.is_emoji and any(words <= own for words in self.held_out_names)

    def _place(self, group: str) -> str:
        position = self._position(group)
        if position < self.config.unseen_concept:
            return Split.UNSEEN_CONCEPT
        # Taken from the other end, so that changing one share doesn't move icons between the other split and training.
        return Split.VALIDATION if position >= 1 - self.config.validation else Split.TRAIN

    def _unseen_styles(self, trained: Sequence[Icon]) -> list[str]:
        """Ids to hold out for new pairs (concept, style): whole groups of concepts that earlier sources show in another style
        and that look like no training icon. Records each decision.
        """
        for group, icons in self._members(trained, lambda icon: icon.concept).items():
            held_out = self._position("style", icons[0].source, group) < self.config.unseen_style and all(
                icon.concept in self.shown and icon.drawing not in self.styles and not self._looks_trained(icon) for icon in icons
            )
            for icon in icons:
                self.styles.setdefault(icon.drawing, Split.UNSEEN_STYLE if held_out else Split.TRAIN)
        return [icon.id for icon in trained if self.styles[icon.drawing] == Split.UNSEEN_STYLE]

    def _unseen_tones(self, trained: Sequence[Icon]) -> list[str]:
        """Ids to hold out for new pairs (concept, tone). Records each decision."""
        members = self._members(trained, lambda icon: (icon.concept, icon.tone))
        chosen = {
            group
            for group, icons in members.items()
            if self._position("tone", *group) < self.config.unseen_tone
            and all(icon.tone and (icon.concept, icon.tone) not in self.tones and not self._looks_trained(icon) for icon in icons)
        }
        remaining = {icon.concept for group, icons in members.items() if group not in chosen for icon in icons} | self.shown
        for group, icons in members.items():
            held_out = group in chosen and all(icon.concept in remaining for icon in icons)
            for icon in icons:
                self.tones.setdefault((icon.concept, icon.tone), Split.UNSEEN_TONE if held_out else Split.TRAIN)
        return [icon.id for icon in trained if self.tones[icon.concept, icon.tone] == Split.UNSEEN_TONE]

    def _members(self, icons: Sequence[Icon], unit: Callable[[Icon], T]) -> dict[T, list[Icon]]:
        """Icons by group name. Icons of one unit, and icons that look alike, are in one group."""
        unit_of = {icon.id: unit(icon) for icon in icons}
        group_of = self._groups(unit_of)
        members: dict[T, list[Icon]] = defaultdict(list)
        for icon in icons:
            members[group_of[unit_of[icon.id]]].append(icon)
        return members

    def _groups(self, unit_of: Mapping[str, T]) -> dict[T, T]:
        """The group of each unit: units whose icons look alike are connected. A group is named by its smallest unit."""
        first: dict[str, T] = {}
        alike = ((unit, first.setdefault(self.cluster_of[icon], unit)) for icon, unit in unit_of.items())
        return groups(unit_of.values(), alike)

    def _looks_trained(self, icon: Icon) -> bool:
        return Split.TRAIN in self.sides[self.cluster_of[icon.id]]

    def _position(self, *name: str) -> float:
        """The hash of a name as a number in [0, 1)."""
        digest = hashlib.sha256("/".join((str(self.config.seed), *name)).encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64
