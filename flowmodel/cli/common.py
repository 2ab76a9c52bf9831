"""What several commands share: where they print, and how they name a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from flowmodel.store import Store

console = Console(highlight=False)

ModelOption = Annotated[
    str | None,
    typer.Option(
        help="A checkpoint file, models:/NAME@alias, models:/NAME/VERSION, or pretrained: the shipped weights; default: the "
        "champion, or the shipped weights where nothing is registered yet."
    ),
]


def resolve(store: "Store", model: str | None) -> Path:
    """The checkpoint that `--model` names; says so where it is the shipped one for want of another."""
    from flowmodel.model.pretrained import FOLDER
    from flowmodel.registry.references import resolve_model

    path = resolve_model(store, model)
    if model is None and path.parent == FOLDER:
        console.print(f"no model is registered yet, so this is the shipped one, {path} (`make quickstart` trains your own)")
    return path
