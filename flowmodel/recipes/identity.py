"""The parts of a recipe that identify a data set or a training."""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from flowmodel.recipes.renamed import with_former_names

# Incremented when a default value changes, because recipes that omit the field then have another meaning.
DEFAULTS = 1


def identity(section: BaseModel, ignore: Collection[str] = ()) -> dict[str, Any]:
    """The fields of `section` with non-default values, as JSON values, without those in `ignore`; and a network's kind.

    A new field whose default keeps the former behavior therefore does not change digests. Neither does renaming a field,
    because the original names and values are hashed.

    Raises ValueError when `ignore` names an unknown field.
    """
    if unknown := set(ignore) - type(section).model_fields.keys():
        raise ValueError(f"{type(section).__name__} has no field {', '.join(sorted(unknown))} to ignore")
    values: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            if own := identity(value):
                values[name] = own
        elif name == "kind" or (name not in ignore and value != field.default):
            values[name] = section.model_dump(mode="json", include={name})[name]
    return with_former_names(values, getattr(type(section), "renamed", {}), getattr(type(section), "renamed_values", {}))
