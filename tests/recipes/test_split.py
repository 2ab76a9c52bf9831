"""The names of the splits, in code and in the documents."""

import json

from flowmodel.recipes.split import EXCLUDED, Split
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import SPLITS


def test_a_split_is_its_name_wherever_it_is_written():
    assert f"{Split.UNSEEN_CONCEPT}" == json.loads(json.dumps(Split.UNSEEN_CONCEPT)) == "unseen_concept"
    assert Split("train") is Split.TRAIN and {Split.TRAIN: 1}["train"] == 1


def test_the_table_of_splits_has_these_and_excluded():
    assert (*Split, EXCLUDED) == SPLITS


def test_the_documents_say_of_every_split_what_the_code_says():
    evaluation, sources = ((PROJECT_ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("evaluation.md", "sources.md"))
    assert [split for split in Split if f"| `{split}` | {split.description} |" not in evaluation] == []
    assert [split for split in Split if f"| `{split}` |" not in sources] == []
