"""The fields of an entry of `sources.yaml`: one model for each kind of source. docs/sources.md has an example of each."""

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
        description="Subresource integrity of the package, sha512-…; by default the one that the registry states.",
    ),
]


class BaseSource(BaseModel):
    """What every kind has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="First half of every icon's id, and the asset's name.")
    kind: str
    style: str = Field("", description="Name of the style in captions; by default the source's name.")
    license: str = Field("", description="License of the images; by default the source's own information.")
    origin: str = Field("", description="Origin of the images; by default the source's own information.")
    redistributable: bool | None = Field(
        None, description="Whether the images may be redistributed; by default what is known of the source (Apple's: no)."
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

    svg_pixels: int = Field(
        256, ge=16, le=2048, description="Longer edge of a rendered SVG in pixels; 4 x the training size is enough."
    )


class BundledSource(BaseSource):
    """An icons table: the Noto icons that come with flowmodel, or another one."""

    kind: Literal["bundled"]
    path: str = Field(
        "",
        description="Parquet file; relative paths start at the folder of sources.yaml. By default the Noto icons that come "
        "with flowmodel.",
    )


class FolderSource(_Drawn):
    """A folder of images with a file of captions."""

    kind: Literal["folder"]
    path: str = Field(
        min_length=1, description="The folder; relative paths start at the folder of sources.yaml. Or s3://BUCKET/FOLDER."
    )
    captions: str = Field("", description="Name of the captions file in it; by default the first usual name that exists.")
    encoding: str = Field("", description="Encoding of the captions file, a Python name; by default it is detected.")
    code_points: bool | None = Field(
        None, description="Whether the files' names are code points; by default only unambiguous ones are."
    )
    follow_links: bool = Field(False, description="Whether links may lead out of the folder, as in the cache of a model hub.")


class NpmSource(_Drawn):
    """A package of images in the npm registry: emoji-datasource-* or openmoji."""

    kind: Literal["npm"]
    package: str = Field(pattern=r"^(emoji-datasource-(google|twitter|facebook|apple)|openmoji)$", description="Package name.")
    version: Version
    integrity: Integrity = ""
    skin_tones: bool = Field(True, description="Whether variants with a skin tone are included.")


class IconifySource(_Drawn):
    """An Iconify JSON set: the npm package @iconify-json/SET."""

    kind: Literal["iconify"]
    set: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", description="Prefix of the set: fluent-emoji-flat, for example.")
    version: Version
    integrity: Integrity = ""
    variant: str = Field("", description="Title of one of the set's variants (Fill or 32, for example); all where empty.")
    names: Literal["set", "unicode"] = Field("set", description="unicode: names of Unicode where an icon has a code point.")
    skin_tones: bool = Field(True, description="Whether variants with a skin tone are included.")
    color: str = Field("", pattern=r"^(#[0-9a-fA-F]{6})?$", description="Color of one-color sets (currentColor), #rrggbb.")


class FontSource(BaseSource):
    """A font with color bitmaps on this machine: Apple Color Emoji (sbix) or Noto Color Emoji (CBDT)."""

    kind: Literal["font"]
    path: str = Field("", description="The .ttf, .otf or .ttc file; where empty, the usual places of this system are searched.")
    skin_tones: bool = Field(True, description="Whether variants with a skin tone are included.")


class HtmlChartSource(_Drawn):
    """A web page that shows images with their names. The user provides the address; nothing is fetched by default."""

    kind: Literal["html_chart"]
    url: str = Field(pattern=r"^https?://\S+$", description="The page.")
    layout: Literal["unicode_chart", "images"] = Field(
        "unicode_chart", description="unicode_chart: a row per emoji, a column per vendor; images: images found by `item`."
    )
    vendor: str = Field("", description="unicode_chart: heading of the vendor's column, such as Appl or Goog.")
    item: str = Field("img", min_length=1, description="images: CSS selector of the images.")
    caption: str = Field("", description="images: CSS selector of the caption, from the image upwards; empty: alt or title.")
    next_page: str = Field("", description="images: CSS selector of the link to the next page of an index; empty: one page.")
    allow_hosts: tuple[str, ...] = Field((), description="Names of hosts that may have a private address.")
    contact: str = Field("", pattern=r"^[ -~]*$", description="Contact address that is sent to servers in the User-Agent.")
    pause_seconds: float = Field(1.0, ge=0, le=60, description="Pause between two requests; robots.txt may ask for a longer one.")
    timeout_seconds: float = Field(120.0, gt=0, le=600, description="Timeout of a request, including its body.")
    max_megabytes: float = Field(128.0, gt=0, le=1024, description="Maximum size of a decompressed response, in MiB.")
    max_icons: int = Field(20_000, ge=1, description="Maximum number of images.")


SourceConfig = Annotated[
    BundledSource | FolderSource | NpmSource | IconifySource | FontSource | HtmlChartSource, Field(discriminator="kind")
]
SOURCE: TypeAdapter[SourceConfig] = TypeAdapter(SourceConfig)


def locate(path: str, root: Path) -> Path:
    """A configured path, resolved on this machine."""
    return Path(root) / Path(path).expanduser()
