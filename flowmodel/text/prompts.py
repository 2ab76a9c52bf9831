"""Prepares prompts for a caption encoder: emoji, and names in other languages, become English. Unreadable parts are reported."""

import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from flowmodel.errors import FlowmodelError
from flowmodel.text.encoded import CaptionEncoder
from flowmodel.text.readability import shortened
from flowmodel.text.translation import ENGLISH

_MEANINGLESS = "{}: the caption encoder knows none of its words; write it in English"


@dataclass(frozen=True)
class Prompts:
    """Prompts prepared for an encoder.

    Attributes:
        texts: the text to encode for each prompt.
        notes: one line for each prompt that was changed or that the encoder reads only in part.
        meaningless: prompts without any known token.
    """

    texts: tuple[str, ...]
    notes: tuple[str, ...]
    meaningless: tuple[str, ...]

    def lines(self) -> list[str]:
        """All notes for the user."""
        return [*self.notes, *(_MEANINGLESS.format(shortened(prompt)) for prompt in self.meaningless)]

    def require_meaning(self) -> None:
        """Raise FlowmodelError if a prompt is empty or has no known token."""
        for prompt in self.meaningless:
            if not prompt.strip():
                raise FlowmodelError("prompt '': it is empty; describe an icon, such as 'red heart'")
            raise FlowmodelError(f"prompt {_MEANINGLESS.format(shortened(prompt))}")


def read_prompts(
    encoder: CaptionEncoder,
    prompts: Sequence[str],
    name_emoji: Callable[[str], str],
    translate: Callable[[str], str],
    languages: Collection[str] = ENGLISH,
) -> Prompts:
    """Prepare prompts for `encoder`, and find the parts that it reads; export/page/captions.js does the same.

    Args:
        name_emoji: gives a text with names in place of its emoji.
        translate: translates a text to English, or returns it unchanged.
        languages: languages of the training captions.
    """
    texts = [translate(name_emoji(prompt)) for prompt in prompts]
    notes, meaningless = [], []
    for prompt, text, tokens in zip(prompts, texts, encoder.tokenize(texts), strict=True):
        shown = shortened(prompt)
        if tokens.unknown >= tokens.words:
            meaningless.append(prompt)
        elif not set(languages) - set(ENGLISH) and not _is_latin(text):
            notes.append(f"{shown} is hardly understood, because the caption encoder was trained on English; write it in English")
        elif tokens.unknown:
            notes.append(f"{shown} has words that the caption encoder does not know; they are ignored")
        if text != name_emoji(prompt):
            notes.append(f"{shown} is read as {shortened(text)}")
        if tokens.cut:
            notes.append(f"{shown} exceeds the limit of the caption encoder; only its first {tokens.words} tokens are used")
    return Prompts(tuple(texts), tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(meaningless)))


def _is_latin(text: str) -> bool:
    """Whether most letters are Latin."""
    letters = [character for character in text if character.isalpha()]
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return 2 * latin >= len(letters)
