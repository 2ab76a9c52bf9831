from flowmodel.data.keys import base_key
from flowmodel.files import read_parquet
from flowmodel.recipes.schema import LANGUAGES
from flowmodel.text.emoji_texts import PATH, emoji_labels, unicode_emoji


def test_every_emoji_of_unicode_17_is_there_in_every_language() -> None:
    emoji = unicode_emoji()
    assert len(emoji) == 3979
    assert set(read_parquet(PATH, ["language"])["language"].to_pylist()) == set(LANGUAGES) >= {"en", "de", "fr", "ja"}
    for language in ("de", "fr", "ja"):
        assert emoji_labels(language).keys() == emoji.keys()


def test_names_keywords_and_groups_belong_together() -> None:
    heart, wave = unicode_emoji()["2764"], unicode_emoji()["1f44b-1f3ff"]
    assert (heart.char, heart.name, heart.group, heart.subgroup) == ("❤️", "red heart", "smileys-emotion", "heart")
    assert wave.name == "waving hand: dark skin tone" and "hello" in wave.keywords
    assert emoji_labels("fr")["2764"][0] == "cœur rouge"


def test_a_variant_has_the_keywords_of_what_it_varies() -> None:
    emoji = unicode_emoji()
    assert all(entry.keywords == emoji[base_key(key)].keywords for key, entry in emoji.items() if base_key(key) in emoji)
