"""Replaces emoji in a text by given names. This module needs neither a table of emoji nor torch."""

from collections.abc import Mapping

_VARIATION_SELECTOR = "\ufe0f"


class EmojiReplacer:
    """Turns `I ♥️ 🍕🍕` into `I heart suit pizza pizza`; a text without emoji stays unchanged.

    Attributes:
        names: maps every spelling of each emoji to its name.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self._longest: dict[str, int] = {}  # maps first characters to the length of the longest emoji
        for written in names:
            self._longest[written[0]] = max(self._longest.get(written[0], 0), len(written))

    def __call__(self, text: str) -> str:
        """Replace the longest sequences (`👍🏽` is `thumbs up: medium skin tone`), with or without variation selectors."""
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
