"""One entry of `sources.yaml`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SourceConfig(BaseModel):
    """Where a set of captioned icons comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="First half of every icon's id, and the asset's name.")
    kind: str = Field(description="How it is read: bundled (a Parquet file) or folder (PNGs and captions.csv).")
    path: str = Field(min_length=1, description="File or folder; relative paths start at the project's root.")
    style: str = Field("", description="Named in the caption template name_style; the source's name where empty.")
    licence: str = Field("", description="Licence of the pictures; where empty, what the source itself says.")
    origin: str = Field("", description="Where the pictures come from; where empty, what the source itself says.")

    @model_validator(mode="before")
    @classmethod
    def _style_defaults_to_name(cls, values: object) -> object:
        if isinstance(values, dict) and not values.get("style") and isinstance(values.get("name"), str):
            return {**values, "style": values["name"]}
        return values

    def locate(self, root: Path) -> Path:
        """The path as it is on this machine."""
        return Path(root) / Path(self.path).expanduser()
