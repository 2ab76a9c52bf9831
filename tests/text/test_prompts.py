"""Empty and long prompts, prompts in other languages, and emoji."""

import subprocess
import sys

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.text.emoji_names import name_emoji
from flowmodel.text.emoji_texts import unicode_emoji
from flowmodel.text.encoders import load_encoder
from flowmodel.text.prompts import Prompts, read_prompts
from flowmodel.text.translation import translator


def _read(*prompts: str, languages: tuple[str, ...] = ("en",)) -> Prompts:
    return read_prompts(load_encoder("minilm"), prompts, name_emoji, translator(languages), languages)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("兔子", "rabbit"),
        ("兔子, noto style", "rabbit, noto style"),
        ("cœur rouge", "red heart"),
        ("犬", "dog"),  # a keyword of dogs, poodles and guide dogs
        ("BLÅ", "blue"),  # a keyword of many blue things
        ("🐇", "rabbit"),
    ],
)
def test_what_the_bundled_names_translate_is_drawn_in_english_and_said(prompt, text):
    read = _read(prompt)
    assert read.texts == (text,) and not read.meaningless
    assert read.notes == (() if prompt == "🐇" else (f"'{prompt}' is read as '{text}'",))


def test_english_stays_as_it_is_also_with_accents():
    names = [emoji.name for emoji in unicode_emoji().values() if not emoji.name.isascii()]
    assert len(names) > 10
    assert [translator()(name) for name in names] == names
    assert translator()("naïve café") == "naïve café" and translator()("Hund") == "Hund", "ASCII is taken for English"


def test_a_language_that_the_model_was_trained_on_is_left_alone():
    assert translator(("en", "fr"))("cœur rouge") == "cœur rouge"
    assert _read("красная машина", languages=("en", "ru")).notes == ()


def test_arabic_and_chinese_without_a_translation_are_drawn_with_a_line_that_says_how_little_is_understood():
    why = "hardly understood, because the caption encoder was trained on English; write it in English"
    prompts = ("سيارة حمراء", "红色的汽车在山上")
    assert _read(*prompts).notes == tuple(f"'{prompt}' is {why}" for prompt in prompts)


def test_five_thousand_words_are_cut_with_one_short_line():
    (note,) = _read("word " * 5000).notes
    assert "only its first 254 tokens are used" in note and len(note) < 160


@pytest.mark.parametrize(
    ("prompt", "words"), [("", "prompt '': it is empty"), (" \n", "it is empty"), ("ព្រះ", "knows none of its words")]
)
def test_what_says_nothing_is_refused(prompt, words):
    read = _read("red heart", prompt)
    assert read.meaningless == (prompt,) and len(read.lines()) == 1
    with pytest.raises(FlowmodelError, match=words):
        read.require_meaning()
    _read("red heart").require_meaning()


def test_reading_prompts_needs_neither_tables_nor_torch_nor_pydantic():
    code = """
import sys
import flowmodel.text.prompts
from flowmodel.text.translation import translator
assert translator()('兔子') == 'rabbit'
print([name for name in ('torch', 'pydantic', 'pyarrow') if name in sys.modules])"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
