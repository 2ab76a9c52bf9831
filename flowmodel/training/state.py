"""The state of one training between two steps: what a step changes, and how it is saved and restored.

Shape suffixes: B batch, C channels, H/W height and width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from flowmodel.files import parquet_metadata
from flowmodel.flow.objective import FlowMatchingObjective
from flowmodel.flow.sampling import mixed_seed
from flowmodel.nets import build_network
from flowmodel.recipes import Recipe
from flowmodel.training.checkpoint import CheckpointHeader, read_tensors, save_checkpoint
from flowmodel.training.device import DevicePolicy
from flowmodel.training.ema import PowerEma
from flowmodel.training.inputs import EpochOrder, TrainingInputs, load_training_set
from flowmodel.training.optimizer import Optimizers
from flowmodel.training.schedule import learning_rate


class TrainingState:
    """Network, optimiser, averaged weights and data of one training."""

    def __init__(self, recipe: Recipe, inputs: TrainingInputs, digest: str) -> None:
        config = recipe.training
        self.config = config
        self.policy = DevicePolicy.choose(config.device)
        self.data = load_training_set(inputs, recipe.data, self.policy)
        text_width = self.data.text.pooled_BD.shape[1]
        torch.manual_seed(config.seed)
        self.network: nn.Module = build_network(recipe.network, text_width).to(
            self.policy.device,
            memory_format=self.policy.memory_format,  # type: ignore[call-overload]  # missing in torch's stub
        )
        self.optimizers = Optimizers(self.network, config, fused=self.policy.fused_optimizer)
        self.ema = PowerEma(self.network, config.ema)
        self._objective = FlowMatchingObjective(recipe.objective)
        self._order = EpochOrder(len(self.data.ids), config.batch_size, config.seed)
        self._generator = torch.Generator(self.policy.device)
        embedding = parquet_metadata(inputs.embeddings.path)
        self.header = CheckpointHeader(
            step=0,
            training_digest=digest,
            dataset_digest=inputs.digest,
            recipe=recipe.model_dump(mode="json"),
            encoder=embedding["encoder"],
            encoder_digest=embedding["encoder_digest"],
            text_width=text_width,
            trained_ids=self.data.ids,
        )

    def step(self, index: int) -> tuple[Tensor, Tensor]:
        """Optimiser step number `index`, counted from 0.

        Returns loss and gradient norm as tensors, so that nobody has to wait for the device.
        """
        # Every random number of a step is a function of (seed, index). So there is no generator state to store, and a
        # continued training draws exactly what an uninterrupted one would have drawn.
        seed = mixed_seed(self.config.seed, index)
        self._generator.manual_seed(seed)
        torch.manual_seed(seed)  # dropout layers draw from the global stream
        pictures_BCHW, text = self.data.batch(self._order(index), self._generator)
        with self.policy.autocast_context():
            loss = self._objective(self.network, pictures_BCHW, text, self._generator).mean()
        loss.backward()
        gradient_norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimizers.step(learning_rate(index, self.config))
        self.ema.update(index + 1)
        return loss.detach(), gradient_norm.detach()

    def save(self, path: Path, steps_done: int) -> Path:
        """Everything that :meth:`restore` needs to continue after `steps_done` steps."""
        weights = {f"model.{name}": parameter for name, parameter in self.network.named_parameters()}
        optimizer = {f"optimizer.{key}": value for key, value in self.optimizers.state().items()}
        tensors = weights | self._averages() | optimizer
        return save_checkpoint(path, tensors, replace(self.header, step=steps_done))

    def save_final(self, path: Path) -> Path:
        """The averaged weights alone."""
        return save_checkpoint(path, self._averages(), replace(self.header, step=self.config.steps))

    def _averages(self) -> dict[str, Tensor]:
        return {f"ema.{name}": average for name, average in self.ema.state().items()}

    def restore(self, path: Path) -> None:
        self.network.load_state_dict(read_tensors(path, "model."))
        self.ema.load(read_tensors(path, "ema."))
        self.optimizers.load(read_tensors(path, "optimizer."))

    @contextmanager
    def averaged_weights(self) -> Iterator[nn.Module]:
        """The network in evaluation mode with the averaged weights, for as long as the context lasts."""
        current = {name: parameter.detach().clone() for name, parameter in self.network.named_parameters()}
        self.network.load_state_dict(self.ema.state())
        try:
            yield self.network.eval()
        finally:
            self.network.load_state_dict(current)
            self.network.train()
