"""The error of the predicted image by t, for training and validation icons. The loss follows the density of training times,
which has little weight near t = 1, where the solver's last prediction becomes the sample.

Shape suffixes: N icons, C channels, H/W height and width.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flowmodel.data.dataset import IconDataset
from flowmodel.flow.path import interpolate
from flowmodel.flow.sampler import seeded_noise
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.images.tensors import CHANNELS
from flowmodel.model.device import DevicePolicy
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes.schema import DataConfig
from flowmodel.recipes.split import Split
from flowmodel.training.icon_set import IconSet, load_icon_set
from flowmodel.training.validation import choose

TIMES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
_SEED = 20_261_126  # of the noise; independent of the training's seed, so that errors of all trainings are comparable
_BATCH = 64

ByTime = dict[float, float]


def error_without_network(t: float) -> float:
    """The error of x_t / t, a prediction without a network: (1 - t) / t, because the noise has an RMS of 1."""
    return (1 - t) / t


@dataclass(frozen=True)
class _Icons:
    data_NCHW: Tensor
    noise_NCHW: Tensor
    text: TextCondition


class PredictionError:
    """Measures networks on the same icons with the same noise at the times TIMES."""

    def __init__(
        self, dataset: IconDataset, data: DataConfig, policy: DevicePolicy, training_set: IconSet, most_icons: int
    ) -> None:
        """Use at most `most_icons` of `training_set`, and as many validation icons if there are any."""
        self._policy = policy
        held_out = choose(dataset.ids_of_split(Split.VALIDATION, data), most_icons)
        trained = choose(training_set.ids, most_icons)
        self._icons = {Split.TRAIN: self._chosen(training_set, trained, first=0)}
        if held_out:
            held_out_set = load_icon_set(dataset, data, policy, held_out)
            self._icons[Split.VALIDATION] = self._chosen(held_out_set, held_out, first=most_icons)

    def _chosen(self, icon_set: IconSet, ids: Sequence[str], first: int) -> _Icons:
        rows_N = torch.tensor([icon_set.ids.index(icon_id) for icon_id in ids])
        data_NCHW = icon_set.images(rows_N)
        noise_NCHW = seeded_noise(len(ids), data_NCHW.shape[-1], _SEED, first, CHANNELS[icon_set.color])
        return _Icons(data_NCHW, noise_NCHW.to(self._policy.device), icon_set.first_captions(rows_N))

    @torch.no_grad()
    def measure(self, model: VelocityModel) -> dict[Split, ByTime]:
        """RMS over all pixels and channels, in [-1, 1], of the difference between the predicted and the real image.

        Returned by split and t, with captions and without guidance. The network must be in evaluation mode.
        """
        return {split: {t: self._error(model, icons, t) for t in TIMES} for split, icons in self._icons.items()}

    def _error(self, model: VelocityModel, icons: _Icons, t: float) -> float:
        squares = [self._squares(model, icons, rows, t) for rows in _batches(len(icons.data_NCHW))]
        return float(torch.cat(squares).mean().sqrt())

    def _squares(self, model: VelocityModel, icons: _Icons, rows: slice, t: float) -> Tensor:
        data_BCHW = icons.data_NCHW[rows]
        t_B = torch.full((len(data_BCHW),), t, device=data_BCHW.device)
        x_BCHW = interpolate(icons.noise_NCHW[rows], data_BCHW, t_B)
        x_BCHW = x_BCHW.contiguous(memory_format=self._policy.memory_format)
        with self._policy.autocast_context():
            predicted_BCHW = model.predicted_data(x_BCHW, t_B, icons.text[rows])
        return (predicted_BCHW.float() - data_BCHW).square().mean(dim=(1, 2, 3))


def _batches(count: int) -> Iterator[slice]:
    return (slice(first, first + _BATCH) for first in range(0, count, _BATCH))


def by_name(errors: Mapping[Split, ByTime]) -> dict[str, float]:
    """The errors by metric name, such as `train/t0.95`."""
    return {f"{split}/t{t:g}": error for split, of_split in errors.items() for t, error in of_split.items()}
