"""What of a recipe tells one data set, or one training, from another."""

from typing import Any

from pydantic import BaseModel

# Raised when a default value changes: a recipe that leaves the field out then means something else.
DEFAULTS = 1


def identity(section: BaseModel) -> dict[str, Any]:
    """The fields of `section` that are not at their defaults, as JSON values, and each network's kind.

    A field that a later release adds, with a default that does what was done before, therefore renames nothing.
    """
    values: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name == "kind":
            values[name] = value
        elif isinstance(value, BaseModel):
            if own := identity(value):
                values[name] = own
        elif value != field.default:
            values[name] = section.model_dump(mode="json", include={name})[name]
    return values
