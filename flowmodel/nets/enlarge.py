"""A U-Net for larger pictures, initialized with the weights of one for smaller pictures.

Shape suffixes: O out channels, I in channels, C picture channels, S stem factor, K kernel edge, W width below the head.
"""

from collections.abc import Mapping

from torch import Tensor


def enlarge_unet(weights: Mapping[str, Tensor], stem: int, factor: int) -> dict[str, Tensor]:
    """Weights of the same U-Net with a stem of `stem * factor`, for pictures of `factor` times the edge.

    It sees each picture averaged over `factor` x `factor` pixels, and repeats each pixel that it puts out as often: blurred at
    once, and sharp after a short training (progressive growing, Karras et al. 1710.10196). The average also weakens the noise by
    `factor`, so that until then a picture is cleaner than its time says.

    Args:
        weights: of a U-Net with the stem factor `stem`, by parameter name.
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
    """Weights of a U-Net with one more level, as wide as the outermost one, outside of those of `weights`: for pictures of twice
    the edge, with the same stem.

    Unlike :func:`enlarge_unet` it has to learn first how to put pictures in and out, as stem, head and the new level are those
    of `deeper`. In return no resolution is lost to a larger stem.

    Args:
        weights: of the smaller U-Net, by parameter name.
        deeper: of the one with the additional level, as it begins.
    """

    def inner(name: str) -> str:
        part, _, rest = name.partition(".")
        if part not in ("down", "downsample"):  # the way up is counted from the lowest resolution
            return name
        level, _, rest = rest.partition(".")
        return f"{part}.{int(level) + 1}.{rest}"

    outermost = ("stem", "head", "head_norm")
    moved = {inner(name): tensor for name, tensor in weights.items() if name.partition(".")[0] not in outermost}
    return {**deeper, **moved}
