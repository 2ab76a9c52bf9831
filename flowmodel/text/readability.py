"""What an encoder loses from captions: unknown characters, the ends of long texts, and differences between texts with equal
encodings.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from flowmodel.errors import FlowmodelError
from flowmodel.text.encoded import CaptionEncoder

# Highest share of a language's texts with an unknown token. For alphabets that an encoder can read the share is zero, and for
# others it is 40% and more (docs/sources.md).
MOST_UNKNOWN = 0.1
_SHOWN = 3


@dataclass(frozen=True)
class Readability:
    """Unique texts, grouped by what is wrong with them.

    Attributes:
        texts: total number.
        unknown: texts of unknown tokens only, which all have the same vectors.
        partly: texts with some unknown tokens.
        cut: texts longer than the encoder's context length.
        alike: groups of different texts about different icons with the same tokens.
    """

    texts: int
    unknown: list[str] = field(default_factory=list)
    partly: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    alike: list[list[str]] = field(default_factory=list)

    @property
    def lost(self) -> bool:
        """Whether a text has no known token, or the same tokens as another one."""
        return bool(self.unknown or self.alike)

    def lines(self) -> list[str]:
        """One line per problem, with examples; empty if there is none."""
        told = [
            (len(self.unknown), "consist of unknown tokens only, so that the encoder can't distinguish them", self.unknown),
            (len(self.partly), "contain unknown tokens", self.partly),
            (len(self.cut), "exceed the length limit of the encoder and are truncated", self.cut),
            (
                sum(map(len, self.alike)),
                "are the same to the encoder as another icon's text",
                [" = ".join(group[:_SHOWN]) for group in self.alike],
            ),
        ]
        return [f"{count:,} of {self.texts:,} texts {what}: {_some(texts)}" for count, what, texts in told if count]


def inspect_texts(encoder: CaptionEncoder, pairs: Iterable[tuple[str, str]]) -> Readability:
    """Check `pairs` of any name for a subject and a text about it."""
    about: dict[str, set[str]] = defaultdict(set)
    for thing, text in pairs:
        about[text].add(thing)
    texts = sorted(about)
    by_ids: dict[tuple[int, ...], list[str]] = defaultdict(list)
    found = Readability(len(texts))
    for text, tokens in zip(texts, encoder.tokenize(texts), strict=True):
        if tokens.unknown >= tokens.words:
            found.unknown.append(text)
        elif tokens.unknown:
            found.partly.append(text)
        if tokens.cut:
            found.cut.append(text)
        by_ids[tokens.ids].append(text)
    for same in by_ids.values():
        if len(same) > 1 and len({frozenset(about[text]) for text in same}) > 1:
            found.alike.append(same)
    return found


def require_languages(encoder: CaptionEncoder, pairs: Iterable[tuple[str, str]]) -> None:
    """Raise FlowmodelError when `encoder` can't read a language. `pairs` are a language and a text in it."""
    texts: dict[str, set[str]] = defaultdict(set)
    for language, text in pairs:
        texts[language].add(text)
    strange: Counter[str] = Counter()
    for language, of_language in texts.items():
        strange[language] = sum(tokens.unknown > 0 for tokens in encoder.tokenize(sorted(of_language)))
    refused = {name: count / len(texts[name]) for name, count in strange.items() if count > MOST_UNKNOWN * len(texts[name])}
    if refused:
        told = ", ".join(f"'{language}' ({share:.0%} of its texts)" for language, share in sorted(refused.items()))
        raise FlowmodelError(
            f"data.languages: encoder '{encoder.name}' has no tokens for much of {told}, so that different texts become the "
            "same; leave it out, choose an encoder for it (docs/sources.md), or set data.force_languages=true"
        )


def shortened(text: str) -> str:
    """A text in quotes, cut to what fits into a line."""
    return f"'{text if len(text) <= 60 else text[:59] + '…'}'"


def _some(texts: list[str]) -> str:
    return ", ".join(map(shortened, texts[:_SHOWN])) + (", ..." if len(texts) > _SHOWN else "")
