"""docs/recipes.md matches the schema."""

from flowmodel.recipes.fields import MARK, fields_table
from flowmodel.recipes.loading import recipe_names
from flowmodel.store import PROJECT_ROOT

DOCUMENT = (PROJECT_ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


def test_the_document_has_the_current_table_of_fields():
    _, _, below = DOCUMENT.partition(MARK)
    assert below.strip() == fields_table().strip(), "run: python -m flowmodel.recipes.fields docs/recipes.md"


def test_every_field_is_described():
    rows = [line for line in fields_table().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row for row in rows if len(row.split("|")[3].strip()) < 10] == []


def test_every_recipe_is_listed():
    assert [name for name in recipe_names() if f"| `{name}` |" not in DOCUMENT] == []
