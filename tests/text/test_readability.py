from pathlib import Path

import pytest

from flowmodel.data.captions import build_captions
from flowmodel.data.normalize import normalize_icons
from flowmodel.errors import FlowmodelError
from flowmodel.store import Store
from flowmodel.tables import CAPTIONS
from flowmodel.text.embeddings import embed_captions
from flowmodel.text.encoders import load_encoder
from flowmodel.text.readability import inspect_texts, require_languages
from tests.data.helpers import icon_row, write_icons


def test_texts_that_say_nothing_to_the_encoder_are_counted_by_what_is_wrong() -> None:
    pairs = [
        ("a", "ดาว"),
        ("b", "ព្រះ"),
        ("c", "red 🛝 kite"),
        ("d", "word " * 300),
        ("e", "Müsli"),
        ("f", "musli"),
        ("g", "kite"),
    ]
    found = inspect_texts(load_encoder("minilm"), pairs)
    assert found.texts == 7
    assert set(found.unknown) == {"ดาว", "ព្រះ"}
    assert found.partly == ["red 🛝 kite"]
    assert found.cut == ["word " * 300]
    assert ["Müsli", "musli"] in found.alike
    assert found.lost and len(found.lines()) == 4
    assert any("'Müsli = musli'" in line for line in found.lines())


def test_different_texts_of_one_thing_may_be_alike() -> None:
    assert inspect_texts(load_encoder("minilm"), [("a", "Café"), ("a", "cafe"), ("b", "kite")]).lines() == []


@pytest.mark.parametrize("language", ["ja", "zh", "ko", "hi", "th", "bn", "zh-hant"])
def test_a_language_that_the_encoder_does_not_read_is_refused_unless_forced(language: str, tmp_path: Path) -> None:
    from flowmodel.text.emoji_texts import emoji_labels

    names = [name for name, _ in list(emoji_labels(language).values())[:40]]
    rows = [(f"s/{number}#name@{language}", f"s/{number}", name, "name", language) for number, name in enumerate(names)]
    captions = CAPTIONS.write(tmp_path / "c.parquet", rows).path
    with pytest.raises(FlowmodelError, match=rf"data\.languages: encoder 'minilm' .*'{language}'.*data\.force_languages=true"):
        embed_captions(captions, "minilm", Store(tmp_path), tmp_path / "e.parquet")


def test_a_forced_language_is_encoded_and_what_is_lost_is_reported(tmp_path: Path) -> None:
    rows = [(f"s/{n}#name@th", f"s/{n}", text, "name", "th") for n, text in enumerate(["ดาว", "ปลา", "บ้าน"])]
    captions = CAPTIONS.write(tmp_path / "c.parquet", rows).path
    log: list[str] = []
    report = embed_captions(captions, "minilm", Store(tmp_path), tmp_path / "e.parquet", log.append, force_languages=True)
    assert report.encoded == 3 and report.readability.lost
    assert any("of 3 texts" in line for line in log)


def test_languages_with_an_alphabet_that_the_encoder_knows_are_taken() -> None:
    from flowmodel.text.emoji_texts import emoji_labels

    pairs = [(language, name) for language in ("de", "fr", "ru", "vi", "pl") for name, _ in emoji_labels(language).values()]
    require_languages(load_encoder("minilm"), pairs)


def test_emoji_in_names_and_own_captions_become_their_names(tmp_path: Path) -> None:
    rows = [icon_row("a", name="🐌", captions=["a 🐌 in the ☔️"]), icon_row("b", name="🪁")]
    table = normalize_icons({"test": write_icons(tmp_path / "i.parquet", rows)}, 16, tmp_path / "n.parquet").path
    captions = CAPTIONS.read(build_captions(table, tmp_path / "c.parquet").path)
    assert captions.set_index("caption_id")["text"].loc[["test/a#name", "test/b#name", "test/a#own-0"]].tolist() == [
        "snail",
        "kite",
        "a snail in the umbrella with rain drops",
    ]
    assert inspect_texts(load_encoder("minilm"), zip(captions["icon_id"], captions["text"], strict=True)).lines() == []
