"""What several commands share: where they print, and how they name a model."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.store import Store

console = Console(highlight=False)

ModelOption = Annotated[
    str | None,
    typer.Option(
        help="A checkpoint file, models:/NAME@alias, models:/NAME/VERSION, or pretrained: the shipped weights; default: the "
        "champion, or the shipped weights where nothing is registered yet."
    ),
]


def resolve(store: "Store", model: str | None) -> "Checkpoint":
    """The checkpoint that `--model` names; says so where it is the shipped one for want of another."""
    from flowmodel.model.pretrained import FOLDER
    from flowmodel.registry.references import resolve_model

    checkpoint = resolve_model(store, model)
    if model is None and checkpoint.path.parent == FOLDER:
        console.print(f"no model is registered yet; using the shipped weights, {checkpoint} (`make quickstart` trains your own)")
    return checkpoint
