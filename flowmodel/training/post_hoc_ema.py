"""Post-hoc EMA: averages of any width, computed from snapshots of two EMAs (Karras et al. 2312.02696, section 3.2).

Shape suffixes: S snapshots.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path
from flowmodel.training.ema import PowerEma, exponent_of

_FILE = re.compile(r"^step-(\d{8})\.safetensors$")
_DTYPE = torch.float16  # halves the disk space; the relative error of a weight is at most 5e-4


def coefficients(snapshots: Sequence[tuple[int, float]], step: int, relative_width: float) -> NDArray[np.floating]:
    """Coefficients x_S of the snapshots whose combination is closest to the average of `relative_width` at `step`.

    The profile of an average with exponent g at step s is p(t) = (g + 1) t^g / s^(g + 1) up to s, and 0 after. The
    least-squares fit to the target profile solves A x = b with A_ij = <p_i, p_j> and b_i = <p_i, p> (their algorithm 3). The
    coefficients are then divided by their sum, as in the authors' code, because any other sum would scale the whole network.

    Args:
        snapshots: step and relative width of each snapshot.
    """
    steps_S = np.array([float(at) for at, _ in snapshots])
    exponents_S = np.array([exponent_of(width) for _, width in snapshots])
    products_SS = _profile_product(steps_S[:, None], exponents_S[:, None], steps_S, exponents_S)
    wanted_S = _profile_product(steps_S, exponents_S, np.array(float(step)), np.array(exponent_of(relative_width)))
    weights_S = np.linalg.solve(products_SS, wanted_S)
    return weights_S / weights_S.sum()


def _profile_product(
    step_a: NDArray[np.float64], exponent_a: NDArray[np.float64], step_b: NDArray[np.float64], exponent_b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """<p_a, p_b>, the integral of the product of two profiles over all steps.

    = (g_a + 1) (g_b + 1) / (g_a + g_b + 1) r^g / max(s_a, s_b), where r <= 1 is the ratio of the steps and g the exponent of
    the profile that ends later.
    """
    ratio = np.minimum(step_a, step_b) / np.maximum(step_a, step_b)
    later = np.where(step_a < step_b, exponent_b, exponent_a)
    return (exponent_a + 1) * (exponent_b + 1) / (exponent_a + exponent_b + 1) * ratio**later / np.maximum(step_a, step_b)


class EmaSnapshots:
    """Snapshots of a training's averages, one file per step in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, averages: Iterable[PowerEma]) -> None:
        tensors = {
            f"{average.relative_width}/{name}": value.detach().to("cpu", _DTYPE).contiguous()
            for average in averages
            for name, value in average.state().items()
        }
        with atomic_path(self._folder / f"step-{step:08d}.safetensors") as temporary:
            save_file(tensors, temporary)

    def remove_after(self, step: int) -> None:
        for at, path in self._files().items():
            if at > step:
                path.unlink(missing_ok=True)

    def reconstruct(self, step: int, relative_width: float) -> dict[str, Tensor]:
        """The average of `relative_width` at `step`, float32, from the snapshots up to that step.

        Raises FlowmodelError when there are no snapshots.
        """
        files = {at: path for at, path in self._files().items() if at <= step}
        snapshots = [(at, width) for at, path in files.items() for width in _widths(path)]
        if not snapshots:
            raise FlowmodelError(f"{self._folder}: no snapshots of averaged weights until step {step}; train again")
        weights = dict(zip(snapshots, coefficients(snapshots, step, relative_width), strict=True))
        total: dict[str, Tensor] = {}
        for at, path in files.items():
            _add(total, path, {width: weight for (own, width), weight in weights.items() if own == at})
        return total

    def _files(self) -> dict[int, Path]:
        if not self._folder.is_dir():
            return {}
        found = {int(match[1]): path for path in self._folder.iterdir() if (match := _FILE.match(path.name))}
        return {step: found[step] for step in sorted(found)}


def _widths(path: Path) -> list[float]:
    with safe_open(path, framework="pt") as file:
        return sorted({float(key.partition("/")[0]) for key in file.keys()})  # noqa: SIM118  # not a mapping


def _add(total: dict[str, Tensor], path: Path, weights: Mapping[float, float]) -> None:
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118
            width, _, name = key.partition("/")
            value = file.get_tensor(key).float() * weights[float(width)]
            total[name] = total[name] + value if name in total else value
