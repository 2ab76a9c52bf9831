"""The state of a training: what a step changes, and how it is saved and restored.

Shape suffixes: B batch, C channels, H/W height and width.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from flowmodel.data.dataset import IconDataset
from flowmodel.data.terms import UNKNOWN
from flowmodel.flow.objective import FlowMatchingObjective
from flowmodel.flow.seeds import mixed_seed
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.images.tensors import CHANNELS
from flowmodel.model.checkpoint import (
    BestSoFar,
    Checkpoint,
    CheckpointHeader,
    read_header,
    read_tensors,
    require_like,
    save_checkpoint,
)
from flowmodel.model.device import DevicePolicy
from flowmodel.nets import TextCondition, build_network
from flowmodel.recipes import Recipe
from flowmodel.training.augmentation import augment
from flowmodel.training.batches import Batches
from flowmodel.training.distillation import Distillation
from flowmodel.training.ema import PowerEma
from flowmodel.training.icon_set import load_training_set
from flowmodel.training.initial import load_initial_weights
from flowmodel.training.optimizer import Optimizers
from flowmodel.training.processes import Processes
from flowmodel.training.schedule import learning_rate
from flowmodel.training.trajectories import draw_trajectories

# For a compiled network, all captions are padded to the longest one's tokens, rounded up to a multiple of this number, because
# every length is compiled separately, which takes a minute or more.
_TOKENS = 16

# Random streams of a step. The stream for dropout is the last; each process adds its rank to it.
_NOISE, _CHOICES, _DROPOUT = range(3)


@dataclass(frozen=True)
class StepNumbers:
    """Loss and time of each sample of this process, and the gradient norm; on the device."""

    loss_B: Tensor
    t_B: Tensor
    gradient_norm: Tensor


class TrainingState:
    """Network, optimizer, averaged weights and data of a training.

    Attributes:
        steps_done: optimizer steps taken; None while a step changes the weights, because a state saved then would be
            inconsistent.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: IconDataset,
        digest: str,
        build: Callable[[int, int], nn.Module] | None = None,
        trajectories: Path | None = None,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`build` replaces the recipe's network; it gets the width of the captions and the number of image channels. A teacher's
        trajectories are kept in the folder `trajectories`.

        Raises Resumable when their sampling is interrupted.
        """
        config = recipe.training
        self.recipe, self.config = recipe, config
        self.policy = DevicePolicy.choose(config.device, config.precision, config.compile)
        self.processes = Processes(self.policy, config.batch_size, config.grad_accum_steps)
        if self.processes.device.type != self.policy.device:  # the launcher was told to use the CPU
            self.policy = DevicePolicy.choose(self.processes.device.type, config.precision, config.compile)
        self.policy = replace(self.policy, device=str(self.processes.device))
        self.data = load_training_set(dataset, recipe.data, self.policy)
        self.header = CheckpointHeader(
            step=0,
            training_digest=digest,
            dataset_digest=dataset.digest,
            recipe=recipe.model_dump(mode="json"),
            encoder=dataset.encoder,
            encoder_digest=dataset.encoder_digest,
            text_width=dataset.text_width,
            trained_ids=self.data.ids,
            terms=dataset.terms(self.data.ids),
        )
        torch.manual_seed(config.seed)
        build = build or partial(build_network, recipe.network)
        self.network = build(dataset.text_width, CHANNELS[recipe.data.color]).to(
            self.policy.device,
            memory_format=self.policy.memory_format,  # type: ignore[call-overload]  # missing in torch's stubs
        )
        if config.init_from:
            initial = load_initial_weights(self.network, config.init_from, self.header)
            terms = tuple(sorted({*self.header.terms, *(initial.terms or [UNKNOWN])}))
            self.header = replace(self.header, initial_ids=initial.seen_ids, terms=terms)
        self._shared = self.processes.share(self.network)
        forward = torch.compile(self._shared) if self.policy.compile else self._shared
        self._model = VelocityModel.of(forward, recipe.objective)
        self.optimizers = Optimizers(self.network, config, fused=self.policy.fused_optimizer)
        self.averages = [PowerEma(self.network, width) for width in config.ema_widths]
        self.best: BestSoFar | None = None
        self.steps_done: int | None = 0
        self._objective = FlowMatchingObjective(recipe.objective)
        self._batches = Batches(recipe, dataset, self.policy, self.data)
        self._compiled_tokens = _TOKENS * -(-int(self.data.text.lengths_T.max()) // _TOKENS)
        self._distillation: Distillation | None = None
        if config.distillation.trajectories:
            drawn = draw_trajectories(recipe, dataset, self.policy, trajectories, log)
            self._distillation = Distillation(recipe, drawn, self.policy)
        self._generator = torch.Generator(self.policy.device)
        self._cpu_generator = torch.Generator()

    def icons_of_step(self, index: int) -> list[str]:
        """Ids of the icons of step number `index`, counted from 0; the prompts of a distillation."""
        return self._distillation.prompts(index) if self._distillation else self._batches.ids(index)

    def step(self, index: int) -> StepNumbers:
        """Optimizer step number `index`, counted from 0. Does not synchronize with the device."""
        # Every random number of a step is a function of (seed, index). There is no generator state to store, and a resumed
        # training draws exactly the same numbers as an uninterrupted one. Separate streams keep the noise independent of the
        # choice of captions.
        self._generator.manual_seed(mixed_seed(self.config.seed, index, _NOISE))
        self._cpu_generator.manual_seed(mixed_seed(self.config.seed, index, _CHOICES))
        # Dropout layers draw from the global generator, which differs between processes.
        torch.manual_seed(mixed_seed(self.config.seed, index, _DROPOUT + self.processes.index))
        t_B, loss_of = self._distilled(index) if self._distillation else self._matched(index)
        losses = []
        slices = self.processes.slices
        for rows in slices:
            is_last = rows is slices[-1]
            with nullcontext() if is_last else self.processes.without_averaging(self._shared):
                with self.policy.autocast_context():
                    loss_B = loss_of(rows)
                (loss_B.mean() / len(slices)).backward()
            losses.append(loss_B.detach())
        gradient_norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.grad_clip_norm)
        self.steps_done = None
        self.optimizers.step(learning_rate(index, self.config))
        for average in self.averages:
            average.update(index + 1)
        self.steps_done = index + 1
        own = slice(slices[0].start, slices[-1].stop)
        return StepNumbers(torch.cat(losses), t_B[own], gradient_norm.detach())

    def _matched(self, index: int) -> tuple[Tensor, Callable[[slice], Tensor]]:
        """The times of a batch for flow matching, and the loss of some of its rows."""
        data_BCHW, text = self._batches(index, self._cpu_generator)
        data_BCHW, text = augment(data_BCHW, text, self.config.augmentation, self.recipe.data.color, self._cpu_generator)
        draw = self._objective.draw(data_BCHW, self._generator, progress=index / self.config.steps)

        def loss(rows: slice) -> Tensor:
            return self._objective.loss(self._model, data_BCHW[rows], self._captions(text, rows), draw.rows(rows))

        return draw.t_B, loss

    def _distilled(self, index: int) -> tuple[Tensor, Callable[[slice], Tensor]]:
        """The same for the jumps of a student."""
        assert self._distillation is not None
        with self.policy.autocast_context():
            jumps = self._distillation(index, self._model, self._cpu_generator)

        def loss(rows: slice) -> Tensor:
            return jumps.loss(self._model, rows, self._captions(jumps.text, rows), self.recipe.objective.gradient_weight)

        return jumps.t_B, loss

    def _captions(self, text: TextCondition, rows: slice) -> TextCondition:
        # Padded after selecting rows, because the selection removes unnecessary padding.
        return text[rows].padded(self._compiled_tokens) if self.policy.compile else text[rows]

    @torch.no_grad()
    def has_finite_weights(self) -> bool:
        """Whether all weights are finite; synchronizes with the device."""
        return bool(torch.stack(torch._foreach_norm(list(self.network.parameters()))).isfinite().all())

    def forget_gradients(self) -> None:
        """Drop the gradients, and release their memory."""
        self.network.zero_grad(set_to_none=True)

    def save(self, path: Path, steps_done: int) -> Checkpoint:
        """All tensors that :meth:`restore` needs to resume after `steps_done` steps."""
        tensors = self._tensors(self.optimizers.state())
        return save_checkpoint(path, tensors, replace(self.header, step=steps_done, best=self.best))

    def _tensors(self, optimizer: Mapping[str, Tensor]) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {f"model.{name}": parameter for name, parameter in self.network.named_parameters()}
        tensors |= {f"optimizer.{key}": value for key, value in optimizer.items()}
        for number, average in enumerate(self.averages):
            tensors |= {f"ema{number}.{name}": value for name, value in average.state().items()}
        return tensors

    def restore(self, path: Path) -> None:
        """Restore the state; raises FlowmodelError when a tensor is missing or unexpected."""
        tensors = read_tensors(path)
        require_like(path, tensors, self._tensors(self.optimizers.expected()))

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        header = read_header(path)
        self.steps_done, self.best = header.step, header.best
        self.network.load_state_dict(part("model."))
        for number, average in enumerate(self.averages):
            average.load(part(f"ema{number}."))
        self.optimizers.load(part("optimizer."))

    def save_average(self, path: Path, weights: Mapping[str, Tensor], steps_done: int, width: float) -> Checkpoint:
        """Averaged weights of relative width `width`, for sampling."""
        tensors = {f"ema.{name}": value for name, value in weights.items()}
        return save_checkpoint(path, tensors, replace(self.header, step=steps_done, ema=width, best=self.best))

    @contextmanager
    def averaged_weights(self, average: PowerEma) -> Iterator[VelocityModel]:
        """A context with the model in evaluation mode and averaged weights."""
        current = {name: parameter.detach().clone() for name, parameter in self.network.named_parameters()}
        self.network.load_state_dict(average.state())
        try:
            yield VelocityModel.of(self.network.eval(), self.recipe.objective)
        finally:
            self.network.load_state_dict(current)
            self.network.train()
