"""The table of a recipe's fields for docs/recipes.md: `python -m flowmodel.recipes.fields docs/recipes.md` updates it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from flowmodel.recipes.networks import NETWORKS
from flowmodel.recipes.schema import Recipe

MARK = "<!-- fields, written by python -m flowmodel.recipes.fields -->"


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        nested = f"{path}.{name}" if path else name
        if name == "network":
            for network in NETWORKS:
                yield f"{nested}, kind {network.model_fields['kind'].default}", network
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _sections(field.annotation, nested)
        else:
            arguments = get_args(field.annotation)
            for item in arguments:
                if isinstance(item, type) and issubclass(item, BaseModel):
                    yield from _sections(item, f"{nested}, none by default" if NoneType in arguments else f"{nested}, each")


def _type(annotation: Any) -> str:
    arguments = get_args(annotation)
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return " or ".join(arguments)
    if arguments and all(isinstance(argument, int) for argument in arguments):
        return " or ".join(map(str, arguments))
    return ""


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if value is PydanticUndefined:
        return "required"
    return "none" if value is None else f"{value}"


def fields_table() -> str:
    """Markdown with a table per section: name, default, allowed values and meaning of every field."""
    lines: list[str] = []
    for path, model in _sections(Recipe, ""):
        rows = [
            f"| `{name}` | {_cell(field.default)} | {'. '.join(filter(None, (_type(field.annotation), field.description)))} |"
            for name, field in model.model_fields.items()
            if name != "kind" and not isinstance(field.default, BaseModel)
        ]
        if path and rows:
            lines += [f"### `{path}`", "", "| field | default | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def write(document: Path) -> None:
    """Replace the text below the mark."""
    above, _, _ = document.read_text(encoding="utf-8").partition(MARK)
    document.write_text(f"{above}{MARK}\n\n{fields_table()}", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
