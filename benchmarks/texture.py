"""Tests which texture statistics distinguish degraded icons from real ones: `python -m benchmarks.texture [--size 64] [--icons
N]`.

Every statistic of flowmodel/evaluation/metrics/texture.py is computed on real icons of three styles, unchanged, and slightly
and strongly degraded in four ways. A statistic passes if it orders real, slightly and strongly degraded icons, up or down, for
all icons and for each quarter of them, so that its distance from the real value grows with the degradation. It is kept if it
passes every degradation in every style. Some rise with one degradation and fall with another (noise sharpens edges, blur
softens them), so they are meaningful only in comparison with the real value.

Shape suffixes: N images, H/W height and width.
"""

import argparse
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor

from benchmarks.measure import EMOJI_SETS, print_rows, write_json
from flowmodel.data.prepare import prepare
from flowmodel.evaluation.metrics.texture import texture
from flowmodel.recipes import load_recipe
from flowmodel.store import Store

PARTS = 4
_SEED = 0


def blurred(rgba_N4HW: Tensor, radius: float) -> Tensor:
    """Gaussian, `radius` in pixels."""
    return _each(rgba_N4HW, lambda channel: channel.filter(ImageFilter.GaussianBlur(radius)))


def noisy(rgba_N4HW: Tensor, deviation: float) -> Tensor:
    """Gaussian, `deviation` in steps of 255."""
    noise_N4HW = torch.randn(rgba_N4HW.shape, generator=torch.Generator().manual_seed(_SEED))
    return _premultiplied(rgba_N4HW + deviation * noise_N4HW)


def coarse(rgba_N4HW: Tensor, share: float) -> Tensor:
    """Scaled to `share` of the resolution, and back."""
    edge = rgba_N4HW.shape[-1]
    small_N4HW = F.interpolate(rgba_N4HW.float(), size=round(edge * share), mode="bilinear", antialias=True)
    return _premultiplied(F.interpolate(small_N4HW, size=edge, mode="bilinear"))


def compressed(rgba_N4HW: Tensor, quality: int) -> Tensor:
    """As JPEG, color and alpha separately, because JPEG has no transparency."""
    images = []
    for rgba_HW4 in rgba_N4HW.permute(0, 2, 3, 1).numpy():
        rgb, alpha = Image.fromarray(rgba_HW4[..., :3].copy()), Image.fromarray(rgba_HW4[..., 3].copy())
        images.append(np.dstack([_jpeg(rgb, quality), _jpeg(alpha, quality)]))
    return _premultiplied(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float())


def _jpeg(image: Image.Image, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _each(rgba_N4HW: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    channels = rgba_N4HW.flatten(0, 1).numpy()
    changed = np.stack([np.asarray(change(Image.fromarray(channel_HW))) for channel_HW in channels])
    return _premultiplied(torch.from_numpy(changed).view(rgba_N4HW.shape).float())


def _premultiplied(x_N4HW: Tensor) -> Tensor:
    rgba_N4HW = x_N4HW.round().clamp(0, 255).to(torch.uint8)
    return torch.cat([torch.minimum(rgba_N4HW[:, :3], rgba_N4HW[:, 3:]), rgba_N4HW[:, 3:]], dim=1)


Degradation = Callable[[Tensor], Tensor]
# Slight and strong. Noise of 6 is about what the shipped weights leave near the end of sampling; JPEG at 75 is common.
DEGRADATIONS: Mapping[str, tuple[Degradation, Degradation]] = {
    "blur": (lambda x: blurred(x, 0.5), lambda x: blurred(x, 1.0)),
    "noise": (lambda x: noisy(x, 6), lambda x: noisy(x, 18)),
    "resolution": (lambda x: coarse(x, 0.75), lambda x: coarse(x, 0.5)),
    "JPEG": (lambda x: compressed(x, 75), lambda x: compressed(x, 25)),
}


@dataclass(frozen=True)
class Calibration:
    """One statistic of one style under one degradation; `passes` if it orders real, slightly and strongly degraded icons."""

    statistic: str
    style: str
    degradation: str
    real: float
    slightly: float
    strongly: float
    passes: bool


def calibrate(style: str, rgba_N4HW: Tensor) -> list[Calibration]:
    """All statistics of these real icons, in a random order, under all degradations."""
    real, rows = _of_all_and_parts(rgba_N4HW), []
    for degradation, by_strength in DEGRADATIONS.items():
        slightly, strongly = (_of_all_and_parts(degrade(rgba_N4HW)) for degrade in by_strength)
        for name in real[0]:
            values = [(a[name], b[name], c[name]) for a, b, c in zip(real, slightly, strongly, strict=True)]
            rows.append(Calibration(name, style, degradation, *values[0], _in_order(values)))
    return rows


def _of_all_and_parts(rgba_N4HW: Tensor) -> list[dict[str, float]]:
    return [texture(rgba_N4HW), *(texture(part_N4HW) for part_N4HW in rgba_N4HW.chunk(PARTS))]


def _in_order(values: Sequence[tuple[float, float, float]]) -> bool:
    """Whether (real, slightly, strongly) rise each time, or fall each time."""
    return all(a < b < c for a, b, c in values) or all(a > b > c for a, b, c in values)


def _direction(rows: Sequence[Calibration]) -> str:
    """The direction of a statistic as images get worse."""
    rises = {row.strongly > row.real for row in rows}
    return "either" if len(rises) > 1 else "up" if rises.pop() else "down"


def table(calibrations: Sequence[Calibration]) -> list[dict[str, object]]:
    """A row for each statistic and style: the real value, then for each degradation the slightly and strongly degraded ones."""
    rows: list[dict[str, object]] = []
    for statistic in dict.fromkeys(c.statistic for c in calibrations):
        own = [c for c in calibrations if c.statistic == statistic]
        for style in dict.fromkeys(c.style for c in own):
            cells = {c.degradation: c for c in own if c.style == style}
            of_style: dict[str, object] = {
                "statistic": statistic,
                "style": style,
                "real": f"{next(iter(cells.values())).real:.3g}",
            }
            of_style |= {d: f"{c.slightly:.3g}, {c.strongly:.3g}{'' if c.passes else ' fails'}" for d, c in cells.items()}
            rows.append(of_style | {"goes": _direction(own), "stays": "yes" if all(c.passes for c in own) else "no"})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="edge of the icons in pixels")
    parser.add_argument("--icons", type=int, default=512, help="icons a style, at most; a fixed random choice")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    recipe = load_recipe("pretrained", (f"data.size={options.size}",))
    dataset = prepare(recipe, Store.from_environment(), EMOJI_SETS, log=lambda line: print(line, file=sys.stderr))
    calibrations: list[Calibration] = []
    for source, of_source in dataset.icons.reset_index().groupby("source"):
        rows = np.random.default_rng(_SEED).permutation(of_source.index.to_numpy())[: options.icons]
        calibrations += calibrate(str(source), dataset.rgba_N4HW[torch.from_numpy(rows)])
    print_rows(table(calibrations), width=150)
    write_json(options.json, [asdict(c) for c in calibrations])
    return 0 if all(c.passes for c in calibrations) else 1


if __name__ == "__main__":
    sys.exit(main())
