"""The section `network` of a recipe, one class for each kind of network."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from flowmodel.recipes.section import Count, Fraction, Positive, Section

ConvolutionKind = Literal["plain", "depthwise_separable"]


class UNetConfig(Section):
    """flowmodel/nets/unet.py"""

    renamed = {
        "stem": "patch_size",
        "widths": "channels",
        "blocks": "blocks_per_level",
        "head_width": "head_dim",
        "embedding_width": "embedding_dim",
    }

    kind: Literal["unet"] = "unet"
    patch_size: Literal[1, 2, 4] = Field(2, description="Edge of the patches that become channels before the first layer.")
    channels: tuple[Count, ...] = Field(
        (64, 96), min_length=1, description="Channels of each level; the resolution is halved between levels."
    )
    blocks_per_level: Count = Field(2, description="Residual blocks per level on the way down; one more on the way up.")
    attention_levels: int = Field(2, ge=0, description="Number of lowest resolutions with attention to image and caption.")
    head_dim: Count = Field(32, description="Channels of one attention head.")
    embedding_dim: Count = Field(256, description="Width of the time and caption embedding.")
    convolution: ConvolutionKind = Field("plain", description="Kind of convolution in the residual blocks.")
    dropout: Fraction = Field(0.0, description="Dropout rate in the residual branches.")

    @property
    def size_divisor(self) -> int:
        """The divisor that the image size must have."""
        return self.patch_size * 2 ** (len(self.channels) - 1)

    @model_validator(mode="after")
    def _heads_divide(self) -> "UNetConfig":
        for width in self.channels:
            if width % self.head_dim:
                raise ValueError(f"channels: {width} is not a multiple of head_dim {self.head_dim}")
        return self


class GrayscaleCnnConfig(Section):
    """flowmodel/nets/grayscale_cnn.py"""

    renamed = {"width": "channels"}
    renamed_values = {"kind": {"greyscale_cnn": "grayscale_cnn"}}

    kind: Literal["grayscale_cnn"] = "grayscale_cnn"
    channels: Count = Field(64, description="Feature maps of each layer.")
    layers: Count = Field(3, description="3x3 convolutions with ReLU, before the one that outputs the image.")

    @property
    def size_divisor(self) -> int:
        return 1


class DiTConfig(Section):
    """flowmodel/nets/dit.py"""

    renamed = {"patch": "patch_size", "head_width": "head_dim", "embedding_width": "embedding_dim"}

    kind: Literal["dit"] = "dit"
    patch_size: Literal[1, 2, 4, 8, 16] = Field(8, description="Edge of a patch in pixels; each is one token.")
    width: Count = Field(192, description="Width of a token.")
    depth: Count = Field(6, description="Transformer blocks.")
    head_dim: Count = Field(32, description="Channels of one attention head.")
    mlp_ratio: Positive = Field(4.0, description="Hidden width of a block's MLP, in widths.")
    embedding_dim: Count = Field(128, description="Width of the time and caption embedding.")
    dropout: Fraction = Field(0.0, description="Dropout rate in the residual branches.")

    @property
    def size_divisor(self) -> int:
        return self.patch_size

    @model_validator(mode="after")
    def _heads_divide(self) -> "DiTConfig":
        if self.width % self.head_dim or self.width % 4:
            raise ValueError(f"width: {self.width} is not a multiple of 4 and of head_dim {self.head_dim}")
        return self


NETWORKS = (UNetConfig, GrayscaleCnnConfig, DiTConfig)


def network_kind(values: Any) -> str:
    """The kind that the section `network` asks for, by its current name."""
    kind = str(values.get("kind", "unet") if isinstance(values, dict) else getattr(values, "kind", ""))
    return GrayscaleCnnConfig.renamed_values["kind"].get(kind, kind)


NetworkConfig = Annotated[
    Annotated[UNetConfig, Tag("unet")] | Annotated[GrayscaleCnnConfig, Tag("grayscale_cnn")] | Annotated[DiTConfig, Tag("dit")],
    Discriminator(network_kind),
]
