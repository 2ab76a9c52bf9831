"""What an entry of `sources.yaml` may say: one model for each kind of source. docs/sources.md has an example of each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from flowmodel.recipes.renamed import with_current_names

Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+([-+.][0-9A-Za-z.-]+)?$", description="Exact version, as in 16.0.0.")]
Integrity = Annotated[
    str,
    Field(
        pattern=r"^(sha512-[A-Za-z0-9+/]{86}==)?$",
        description="Subresource integrity of the package, sha512-…; where empty, the one that the registry states.",
    ),
]


class BaseSource(BaseModel):
    """What every kind has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="First half of every icon's id, and the asset's name.")
    kind: str
    style: str = Field("", description="What captions call the drawing style; the source's name where empty.")
    license: str = Field("", description="License of the images; where empty, what the source itself says.")
    origin: str = Field("", description="Where the images come from; where empty, what the source itself says.")
    redistributable: bool | None = Field(
        None, description="Whether the images may be passed on; where empty, what is known of the source (Apple's: no)."
    )
    trim: bool = Field(False, description="Cut transparent margins, so that all icons fill their square; not for emoji sets.")

    renamed: ClassVar[Mapping[str, str]] = {"licence": "license", "colour": "color"}

    @model_validator(mode="before")
    @classmethod
    def _reads_old_names_and_completes_the_style(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        values = with_current_names(values, cls.renamed)
        if not values.get("style") and isinstance(values.get("name"), str):
            return {**values, "style": values["name"]}
        return values


class _Drawn(BaseSource):
    """Sources that may hold SVG."""

    svg_pixels: int = Field(256, ge=16, le=2048, description="Longer edge of a rendered SVG; 4 x the training size is plenty.")


class BundledSource(BaseSource):
    """An icons table: the Noto icons that come with flowmodel, or another one."""

    kind: Literal["bundled"]
    path: str = Field(
        "",
        description="Parquet file; relative paths start at the folder of sources.yaml. Where empty, the Noto icons that come "
        "with flowmodel.",
    )


class FolderSource(_Drawn):
    """A folder of images with a file of captions."""

    kind: Literal["folder"]
    path: str = Field(min_length=1, description="The folder; relative paths start at the folder of sources.yaml.")
    captions: str = Field("", description="Name of the captions file in it; where empty, the first usual name that is there.")
    encoding: str = Field("", description="Encoding of the captions file, as Python calls it; where empty, it is found out.")
    code_points: bool | None = Field(
        None, description="Whether the files' names are code points; where empty, those that can be nothing else are."
    )
    follow_links: bool = Field(False, description="Whether links may lead out of the folder, as those of a hub's cache do.")


class NpmSource(_Drawn):
    """A package of images in the npm registry: emoji-datasource-* or openmoji."""

    kind: Literal["npm"]
    package: str = Field(pattern=r"^(emoji-datasource-(google|twitter|facebook|apple)|openmoji)$", description="Package name.")
    version: Version
    integrity: Integrity = ""
    skin_tones: bool = Field(True, description="Whether variants with a skin tone are taken too.")


class IconifySource(_Drawn):
    """An Iconify JSON set: the npm package @iconify-json/SET."""

    kind: Literal["iconify"]
    set: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", description="Prefix of the set: fluent-emoji-flat, for example.")
    version: Version
    integrity: Integrity = ""
    names: Literal["set", "unicode"] = Field("set", description="unicode: names of Unicode where an icon has a code point.")
    skin_tones: bool = Field(True, description="Whether variants with a skin tone are taken too.")
    color: str = Field("", pattern=r"^(#[0-9a-fA-F]{6})?$", description="Color of one-color sets (currentColor), #rrggbb.")


class FontSource(BaseSource):
    """A font with color bitmaps on this machine: Apple Color Emoji (sbix) or Noto Color Emoji (CBDT)."""

    kind: Literal["font"]
    path: str = Field("", description="The .ttf, .otf or .ttc file; where empty, the usual places of this system are searched.")
    skin_tones: bool = Field(True, description="Whether variants with a skin tone are taken too.")


class HtmlChartSource(_Drawn):
    """A page in the web that shows images with their names. The address is the user's; nothing is fetched by default."""

    kind: Literal["html_chart"]
    url: str = Field(pattern=r"^https?://\S+$", description="The page.")
    layout: Literal["unicode_chart", "images"] = Field(
        "unicode_chart", description="unicode_chart: a row an emoji, a column a vendor; images: images found by `item`."
    )
    vendor: str = Field("", description="unicode_chart: heading of the vendor's column, as in Appl or Goog.")
    item: str = Field("img", min_length=1, description="images: CSS selector of the images.")
    caption: str = Field("", description="images: CSS selector of the caption, from the image upwards; empty: alt or title.")
    next_page: str = Field("", description="images: CSS selector of the link to the next page of an index; empty: one page.")
    allow_hosts: tuple[str, ...] = Field((), description="Names of hosts that may have a private address.")
    contact: str = Field("", pattern=r"^[ -~]*$", description="Address of a person, told to the server in the User-Agent.")
    pause_seconds: float = Field(1.0, ge=0, le=60, description="Pause between two requests; robots.txt may ask for a longer one.")
    timeout_seconds: float = Field(120.0, gt=0, le=600, description="Limit of one request, body included.")
    max_megabytes: float = Field(128.0, gt=0, le=1024, description="Limit of one response, unpacked, in MiB.")
    max_icons: int = Field(20_000, ge=1, description="Limit of the images taken.")


SourceConfig = Annotated[
    BundledSource | FolderSource | NpmSource | IconifySource | FontSource | HtmlChartSource, Field(discriminator="kind")
]
SOURCE: TypeAdapter[SourceConfig] = TypeAdapter(SourceConfig)


def locate(path: str, root: Path) -> Path:
    """A configured path as it is on this machine."""
    return Path(root) / Path(path).expanduser()
