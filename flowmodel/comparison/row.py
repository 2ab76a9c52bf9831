"""The measurements of one network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """The measurements of one network. A value that does not apply is None, such as the alpha IoU of an RGB network.

    Attributes:
        forward_flops: of one evaluation for one image.
        images_per_second: in training, the median over the log.
        validation_loss: of the final weights, over all validation icons.
    """

    slug: str
    network: str
    color: str
    parameters: int
    forward_flops: int
    images_per_second: float | None
    validation_loss: float | None
    kid: float
    kid_low: float
    kid_high: float
    top1: float
    alpha_iou: float | None
    run_url: str

    @property
    def cells(self) -> dict[str, str]:
        """The row with formatted values for a table."""
        return {
            "network": self.network,
            "color": self.color,
            "parameters": f"{self.parameters / 1e6:.2f} M",
            "GFLOP per image": f"{self.forward_flops / 1e9:.3f}",
            "images/s": _shown(self.images_per_second, ".0f"),
            "validation loss": _shown(self.validation_loss, ".4f"),
            "KID": f"{self.kid:.4f} ({self.kid_low:.4f} to {self.kid_high:.4f})",
            "top-1": f"{self.top1:.1%}",
            "alpha IoU": _shown(self.alpha_iou, ".3f"),
        }


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
