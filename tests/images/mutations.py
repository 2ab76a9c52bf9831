"""Damaged and hostile inputs made from valid ones, reproducible by seed."""

import random
import re
from collections.abc import Callable
from pathlib import Path

_NUMBERS = (b"0", b"-1", b"1e9", b"1e-9", b"99999999999", b"", b"0.5", b"nan", b"65536", b"-0")
_HOSTILE = Path(__file__).with_name("hostile")


def lines(name: str) -> list[str]:
    """The pieces in a file of the folder `hostile`, one per line."""
    return (_HOSTILE / f"{name}.txt").read_text(encoding="utf-8").splitlines()


# Possible values, mostly in wrong places; and the same for names, rules and elements.
_VALUES, _NAMES, _CSS, _ELEMENTS = (lines(name) for name in ("values", "names", "css", "elements"))
_OPENED = r"(?<=<path)|(?<=<g)|(?<=<svg)|(?<=<circle)|(?<=<rect)"


def mutated(content: bytes, seed: int) -> bytes:
    """`content` with one to six changes to its bytes: others, removed, repeated, moved or cut off, and strange numbers."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 6)):
        length = len(content)
        start = chance.randrange(length + 1)
        end = min(length, start + chance.choice((1, 2, 4, 16, 64, 256)))
        match chance.randrange(6):
            case 0:
                content = content[:start] + chance.randbytes(end - start) + content[end:]
            case 1:
                content = content[:start] + content[end:]
            case 2:
                content = content[:end] + content[start:end] * chance.randint(1, 20) + content[end:]
            case 3:
                other = chance.randrange(length + 1)
                content = content[:start] + content[other : other + end - start] + content[end:]
            case 4 if numbers := list(re.finditer(rb"\d+", content)):
                found = chance.choice(numbers)
                content = content[: found.start()] + chance.choice(_NUMBERS) + content[found.end() :]
            case _:
                content = content[: max(1, length - (end - start))]
    return content


def rewritten(svg: str, seed: int) -> str:
    """`svg` with one to five changes that mostly leave it well-formed: values, names and numbers of attributes, style sheets and
    elements in unexpected places.
    """
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 5)):
        match chance.randrange(6):
            case 0:
                svg = _replaced(svg, r'="([^"]*)"', lambda _: f'="{_value(chance)}"', chance)
            case 1:
                svg = _replaced(svg, r" [\w:-]+(?==)", lambda _: f" {chance.choice(_NAMES)}", chance)
            case 2:
                svg = _replaced(svg, r"\d+\.?\d*", lambda _: chance.choice(_NUMBERS).decode(), chance)
            case 3:
                svg = _replaced(svg, r"(?<=>)", lambda _: f"<style>{chance.choice(_CSS)}</style>", chance)
            case 4:
                svg = _replaced(svg, r"(?<=>)", lambda _: chance.choice(_ELEMENTS), chance)
            case _:
                attribute = f' {chance.choice(_NAMES)}="{_value(chance)}"'
                svg = _replaced(svg, _OPENED, lambda _, new=attribute: new, chance)
    return svg


def _value(chance: random.Random) -> str:
    value = chance.choice(_VALUES).replace('"', "'")
    return f"fill:{value};--a:{value};stroke:{value}" if chance.random() < 0.3 else value


def _replaced(text: str, pattern: str, new: Callable[[re.Match[str]], str], chance: random.Random) -> str:
    places = list(re.finditer(pattern, text))
    if not places:
        return text
    place = chance.choice(places)
    return f"{text[: place.start()]}{new(place)}{text[place.end() :]}"
