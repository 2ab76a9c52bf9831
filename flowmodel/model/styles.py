"""The style words that a model knows from its captions."""

from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.pretrained import FOLDER, SHIPPED
from flowmodel.settings_yaml import load_yaml


def style_words(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The style words of the training icons' captions, sorted; empty if its captions have no style.

    They are in `sources.yaml` next to the checkpoint; all shipped weights share one. A source that is not in that file is a style
    of its own.
    """
    if "name_style" not in checkpoint.recipe.data.captions:
        return ()
    sources = {icon_id.partition("/")[0] for icon_id in checkpoint.header.trained_ids}
    listed = checkpoint.path.with_name("sources.yaml")
    if checkpoint.path.parent in SHIPPED.values() and not listed.exists():  # a student has those of its teacher
        listed = FOLDER / "sources.yaml"
    entries = load_yaml(listed.read_text(encoding="utf-8"))["sources"] if listed.is_file() else []
    named = {entry["name"]: entry.get("style") or entry["name"] for entry in entries}
    return tuple(sorted({named.get(source, source) for source in sources}))
