"""The base of a recipe's sections, and the ranges that their fields share."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flowmodel.recipes.renamed import with_current_names

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]

ANYTHING = object()
_WHY_REMOVED = "no measurement showed a gain (docs/decisions/removed-options.md, 2026-11-26)"


class Section(BaseModel):
    """A part of a recipe.

    Earlier releases had other names for some fields, and switches without measured benefit. Their recipes, checkpoints and data
    sets are still read: old names are replaced by current ones, and a removed switch is dropped if it was off.

    Attributes:
        renamed: current names by the old ones (recipes/renamed.py).
        renamed_values: for a field, by its current name, current values by the old ones.
        removed: removed fields, each with the value that was off; ANYTHING if another field was the switch.
        removed_values: removed values of existing fields.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    renamed: ClassVar[Mapping[str, str]] = {}
    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    removed: ClassVar[Mapping[str, Any]] = {}
    removed_values: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_older_forms(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = with_current_names(values, cls.renamed, cls.renamed_values)
        for name, off in cls.removed.items():
            if off is not ANYTHING and values.get(name, off) != off:
                raise ValueError(f"{name}: {values[name]!r} is gone: {_WHY_REMOVED}; leave the field out")
        for name, value in cls.removed_values.items():
            if values.get(name) == value:
                raise ValueError(f"{name}: {value!r} is gone: {_WHY_REMOVED}; leave the field out, or choose another value")
        return {name: value for name, value in values.items() if name not in cls.removed}
