"""Initializes a U-Net for larger images from the weights of one for smaller images.

Shape suffixes: O out channels, I in channels, C image channels, S stem factor, K kernel edge, W width below the head.
"""

from collections.abc import Mapping

from torch import Tensor


def enlarge_unet(weights: Mapping[str, Tensor], stem: int, factor: int) -> dict[str, Tensor]:
    """Weights of the same U-Net with a stem of `stem * factor`, for images with edges `factor` times as long.

    The network sees each image averaged over `factor` x `factor` pixels, and repeats each output pixel as often. Its images are
    blurry at first and sharp after a short training (progressive growing, Karras et al. 1710.10196). Averaging also divides the
    noise by `factor`, so that the network at first sees less noise than the time indicates.

    Args:
        weights: weights of a U-Net with stem factor `stem`, by parameter name.
    """
    enlarged = dict(weights)
    stem_OIKK = weights["stem.weight"]
    blocks_OCSSKK = stem_OIKK.unflatten(1, (-1, stem, stem)) / factor**2
    enlarged["stem.weight"] = blocks_OCSSKK.repeat_interleave(factor, 2).repeat_interleave(factor, 3).flatten(1, 3)
    for name in ("head.weight", "head.bias"):
        blocks_CSSWKK = weights[name].unflatten(0, (-1, stem, stem))
        enlarged[name] = blocks_CSSWKK.repeat_interleave(factor, 1).repeat_interleave(factor, 2).flatten(0, 2)
    return enlarged


def deepen_unet(weights: Mapping[str, Tensor], deeper: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a U-Net with one more outermost level of the same width, for images with edges twice as long and the same stem.

    Unlike with :func:`enlarge_unet`, stem, head and the new level are those of `deeper` and must be learned first. In return, no
    resolution is lost to a larger stem.

    Args:
        weights: weights of the smaller U-Net, by parameter name.
        deeper: initial weights of the U-Net with the additional level.
    """

    def inner(name: str) -> str:
        part, _, rest = name.partition(".")
        if part not in ("down", "downsample"):  # the up path is numbered from the lowest resolution
            return name
        level, _, rest = rest.partition(".")
        return f"{part}.{int(level) + 1}.{rest}"

    outermost = ("stem", "head", "head_norm")
    moved = {inner(name): tensor for name, tensor in weights.items() if name.partition(".")[0] not in outermost}
    return {**deeper, **moved}
