"""The generator: the trained network, its caption encoder, a solver and the finisher behind one method.

Shape suffixes: N images, B batch, H/W height and width.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from flowmodel.errors import FlowmodelError
from flowmodel.flow.nfe import evaluations
from flowmodel.flow.path import interpolate
from flowmodel.flow.sampler import Trajectory, sample, sample_states, sample_trajectory, seeded_noise
from flowmodel.flow.velocity_model import VelocityModel
from flowmodel.images.rgba import to_image
from flowmodel.images.tensors import CHANNELS, from_unit, to_unit
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.device import DevicePolicy
from flowmodel.model.pretrained import PRETRAINED, SHIPPED, pretrained_weights
from flowmodel.nets import TextCondition, build_network, count_parameters
from flowmodel.nets.finisher import Finisher
from flowmodel.recipes import parse_recipe
from flowmodel.recipes.schema import FinisherConfig, SamplingConfig
from flowmodel.text.emoji_names import name_emoji
from flowmodel.text.encoders import CaptionEncoder, load_encoder
from flowmodel.text.prompts import Prompts, read_prompts
from flowmodel.text.translation import translator


class Generator:
    """A trained model, ready to sample with its averaged (EMA) weights.

    Attributes:
        checkpoint: path of the checkpoint.
        recipe: recipe of the training.
        header: header of the checkpoint: step, digests, training icons.
        model: the velocity model, in evaluation mode on the policy's device.
        finisher: the finisher network, in evaluation mode on the same device, or None.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        network: nn.Module,
        policy: DevicePolicy,
        finisher: Finisher | None = None,
    ) -> None:
        self.finisher = finisher
        self.checkpoint, self.recipe, self.header = checkpoint, checkpoint.recipe, checkpoint.header
        self.model = VelocityModel.of(network, self.recipe.objective)
        self._network, self._policy = network, policy

    @classmethod
    def load(cls, checkpoint: Checkpoint | Path, device: str = "auto") -> "Generator":
        """Raises FlowmodelError when the file is missing or is no checkpoint, or there is no such device."""
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = Checkpoint.open(checkpoint)
        recipe, header = checkpoint.recipe, checkpoint.header
        # Compiling takes longer than sampling.
        policy = DevicePolicy.choose(device, compile="off")
        network = build_network(recipe.network, header.text_width, CHANNELS[recipe.data.color])
        try:
            network.load_state_dict(checkpoint.tensors("ema."))
        except RuntimeError:
            raise FlowmodelError(
                f"{checkpoint}: holds no averaged weights of the network that its recipe describes; use final.safetensors of a "
                "training by this release"
            ) from None
        network = network.to(policy.device, memory_format=policy.memory_format).eval()  # type: ignore[call-overload]
        finisher = None
        if header.finisher:
            finisher = Finisher(FinisherConfig.model_validate(header.finisher.config))
            try:
                finisher.load_state_dict(checkpoint.tensors("finisher."))
            except RuntimeError:
                raise FlowmodelError(
                    f"{checkpoint}: its finisher is not the one that its header describes; train it again"
                ) from None
            finisher.to(policy.device, memory_format=policy.memory_format).eval()  # type: ignore[call-overload]
        return cls(checkpoint, network, policy, finisher)

    @classmethod
    def from_pretrained(cls, path: Path | str = PRETRAINED, device: str = "auto") -> "Generator":
        """The generator with the weights that come with flowmodel, or with those in the checkpoint file at `path`.

        "pretrained" samples with 20 network evaluations per image, "pretrained-fast" with 4.

        Raises FlowmodelError as :meth:`load` does, or when the shipped weights are damaged.
        """
        return cls.load(pretrained_weights(SHIPPED[str(path)]) if str(path) in SHIPPED else Path(path), device)

    def __str__(self) -> str:
        return str(self.checkpoint)

    @property
    def network(self) -> nn.Module:
        return self._network

    @property
    def policy(self) -> DevicePolicy:
        return self._policy

    @property
    def trained_ids(self) -> tuple[str, ...]:
        return self.header.trained_ids

    @property
    def dataset_digest(self) -> str:
        return self.header.dataset_digest

    @property
    def step(self) -> int:
        return self.header.step

    @property
    def device(self) -> str:
        return self._policy.device

    @property
    def parameters(self) -> int:
        return count_parameters(self._network)

    @property
    def size(self) -> int:
        """Edge of the images that :meth:`sample` returns, in pixels."""
        return self.recipe.data.size * (self.finisher.scale if self.finisher else 1)

    @cached_property
    def _encoder(self) -> CaptionEncoder:
        encoder = load_encoder(self.header.encoder)
        if encoder.digest != self.header.encoder_digest:
            raise FlowmodelError(
                f"caption encoder '{self.header.encoder}': its weights have digest {encoder.digest[:12]}…, but the model was "
                f"trained with {self.header.encoder_digest[:12]}…; install that version"
            )
        return encoder

    def readability(self, prompts: Sequence[str]) -> Prompts:
        """The parts of `prompts` that the caption encoder reads; raises FlowmodelError when it is missing."""
        languages = self.recipe.data.languages
        return read_prompts(self._encoder, prompts, name_emoji, self._translate, languages)

    def _translate(self, text: str) -> str:
        return text if text.isascii() else translator(tuple(self.recipe.data.languages))(text)

    def sampling(self, steps: int | None = None, guidance: float | None = None, solver: str | None = None) -> SamplingConfig:
        """The recipe's sampling settings with the given overrides. Raises FlowmodelError for an invalid value."""
        given = {"steps": steps, "guidance": guidance, "solver": solver}
        changes = {name: value for name, value in given.items() if value is not None}
        values = self.recipe.model_dump(mode="json")
        return parse_recipe(values | {"sampling": values["sampling"] | changes}, where="sampling options").sampling

    def nfe(self, steps: int | None = None, guidance: float | None = None, solver: str | None = None) -> int:
        """Network evaluations per image."""
        return evaluations(self.sampling(steps, guidance, solver))

    def sample(
        self,
        prompts: Sequence[str],
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        solver: str | None = None,
        batch_size: int = 64,
        finish: bool = True,
    ) -> Tensor:
        """One image per prompt: uint8, premultiplied RGBA, (N, 4, H, W). If `finish` is set, the finisher, if any, is applied.

        Image number i starts from the noise of (seed, i), so the same seed gives the same images.

        Raises FlowmodelError for a bad option or a missing caption encoder.
        """
        config = self.sampling(steps, guidance, solver)
        images = [
            self.draw(self.encode(prompts[first : first + batch_size]), config, seed, first, finish)
            for first in range(0, len(prompts), batch_size)
        ]
        size = self.size if finish else self.recipe.data.size
        return torch.cat(images) if images else torch.empty(0, CHANNELS["rgba"], size, size, dtype=torch.uint8)

    def images(
        self,
        prompts: Sequence[str],
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        solver: str | None = None,
    ) -> list[Image.Image]:
        """:meth:`sample` as Pillow images in mode RGBA with straight alpha."""
        return [to_image(rgba_4HW) for rgba_4HW in self.sample(prompts, seed, steps, guidance, solver)]

    def encode(self, prompts: Sequence[str]) -> TextCondition:
        """The encoded captions on the network's device. Raises FlowmodelError when the caption encoder is missing."""
        encoded = self._encoder.encode([self._translate(name_emoji(prompt)) for prompt in prompts])
        tokens = [torch.from_numpy(token_LD) for token_LD in encoded.tokens]
        return TextCondition.from_features(torch.from_numpy(encoded.pooled_BD), tokens).to(self.device)

    def draw(self, text: TextCondition, config: SamplingConfig, seed: int = 0, first: int = 0, finish: bool = True) -> Tensor:
        """:meth:`sample` for encoded captions; the images are number `first`, `first` + 1, … of the seed."""
        with self._policy.autocast_context():
            noise_BCHW = self._noise(len(text), seed, first)
            drawn_B4HW = sample(self.model, text, noise_BCHW, config)
        return self.finish(drawn_B4HW) if finish else drawn_B4HW

    def states(self, text: TextCondition, noise_BCHW: Tensor, config: SamplingConfig, times: Sequence[float]) -> Tensor:
        """The states at `times` of sampling from `noise_BCHW`: float32, (B, K, C, H, W), on the CPU; not finished."""
        with self._policy.autocast_context():
            return sample_states(self.model, text, noise_BCHW.to(self.device), config, times).cpu()

    def redraw(
        self, x_BCHW: Tensor, text: TextCondition, config: SamplingConfig, start: float, seed: int = 0, first: int = 0
    ) -> Tensor:
        """Sample from the images `x_BCHW`, noised to the time `start`. The finisher is not applied.

        Takes float (B, C, H, W) in [-1, 1] on the network's device, and returns what :meth:`draw` does.
        """
        with self._policy.autocast_context():
            noise_BCHW = self._noise(len(text), seed, first)
            x_BCHW = interpolate(noise_BCHW, x_BCHW, x_BCHW.new_full((len(text),), start))
            return sample(self.model, text, x_BCHW, config, start)

    @torch.no_grad()
    def finish(self, drawn_N4HW: Tensor, batch_size: int = 64) -> Tensor:
        """Apply the finisher, if any, to sampled images.

        Takes and returns uint8, premultiplied RGBA, on the CPU; the result has edges of `size` pixels.
        """
        if self.finisher is None or not len(drawn_N4HW):
            return drawn_N4HW
        finished = []
        for drawn_B4HW in drawn_N4HW.split(batch_size):
            x_BCHW = to_unit(drawn_B4HW.to(self.device)).contiguous(memory_format=self._policy.memory_format)
            with self._policy.autocast_context():
                finished.append(from_unit(self.finisher(x_BCHW)).cpu())
        return torch.cat(finished)

    def trajectory(
        self,
        prompts: Sequence[str],
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        finish: bool = True,
    ) -> Trajectory:
        """The intermediate states of :meth:`sample`, for all prompts at once. The finisher, if any, is applied to the last state.

        Raises FlowmodelError for a bad option or a missing caption encoder.
        """
        config = self.sampling(steps, guidance)
        text = self.encode(prompts)
        with self._policy.autocast_context():
            noise_BCHW = self._noise(len(text), seed)
            drawn = sample_trajectory(self.model, text, noise_BCHW, config)
        return self._finished(drawn) if finish else drawn

    def _finished(self, drawn: Trajectory) -> Trajectory:
        """The trajectory with finished final images; earlier states are enlarged to their size."""
        factor = self.size // self.recipe.data.size

        def finished(x_SBCHW: Tensor) -> Tensor:
            before_SBCHW = x_SBCHW[:-1].repeat_interleave(factor, -1).repeat_interleave(factor, -2)
            return torch.cat([before_SBCHW, self.finish(x_SBCHW[-1])[None]])

        return Trajectory(drawn.times, finished(drawn.states_SBCHW), finished(drawn.estimates_SBCHW))

    def _noise(self, count: int, seed: int, first: int = 0) -> Tensor:
        data = self.recipe.data
        return seeded_noise(count, data.size, seed, first, CHANNELS[data.color]).to(self.device)
