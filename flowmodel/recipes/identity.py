"""The parts of a recipe that identify a data set or a training."""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from flowmodel.recipes.renamed import with_former_names

# Raised when a default value changes: a recipe that leaves the field out then means something else.
DEFAULTS = 1


def identity(section: BaseModel, ignore: Collection[str] = ()) -> dict[str, Any]:
    """The fields of `section`, without those in `ignore`, that are not at their defaults, as JSON values; and a network's kind.

    A field that a later release adds, with a default that does what was done before, therefore renames nothing. Nor does a
    new name for a field: what is hashed has the name and the value that the field had first.

    Raises ValueError when `ignore` names a field that the section doesn't have.
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
