"""Emoji in a text, replaced by given names. Nothing here needs a table of them, or torch."""

from collections.abc import Mapping

_VARIATION_SELECTOR = "\ufe0f"


class EmojiReplacer:
    """`I ♥️ 🍕🍕` becomes `I heart suit pizza pizza`; a text without emoji comes back as it is.

    Attributes:
        names: the name of each emoji in every form in which it is written.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self._longest: dict[str, int] = {}  # length of the longest one by first character
        for written in names:
            self._longest[written[0]] = max(self._longest.get(written[0], 0), len(written))

    def __call__(self, text: str) -> str:
        """The longest sequence counts (`👍🏽` is `thumbs up: medium skin tone`), with or without its variation selectors."""
        longest, names = self._longest, self.names
        parts, at, plain = [], 0, 0
        while at < len(text):
            if text[at] in longest:
                for length in range(min(longest[text[at]], len(text) - at), 0, -1):
                    if name := names.get(text[at : at + length]):
                        parts += [text[plain:at], name]
                        plain = at = at + length
                        while text[at : at + 1] == _VARIATION_SELECTOR:
                            plain = at = at + 1
                        break
                else:
                    at += 1
            else:
                at += 1
        return " ".join(" ".join([*parts, text[plain:]]).split()) if parts else text
