"""Training of a finisher on pairs of the generator's samples of training icons and the icons themselves.

Shape suffixes: S samples of each icon, N icons, B batch, C channels (premultiplied RGBA), H/W height and width.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from flowmodel.content import tensors_digest
from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.files import atomic_path, sha256_json
from flowmodel.flow.seeds import mixed_seed
from flowmodel.images.tensors import to_unit
from flowmodel.model.device import DevicePolicy
from flowmodel.nets.finisher import Finisher
from flowmodel.recipes.identity import identity
from flowmodel.recipes.schema import FinisherConfig, TrainingConfig
from flowmodel.training.icon_set import EpochOrder
from flowmodel.training.interruption import Interruption
from flowmodel.training.optimizer import Optimizers
from flowmodel.training.pairs import Pairs
from flowmodel.training.schedule import learning_rate

STATE_FILE = "state.safetensors"
_LINES = 25  # progress lines, and points of the curve
_SAVE_SECONDS = 30.0
_WARMUP, _GRADIENT_CLIP, _WEIGHT_DECAY = 0.1, 0.5, 0.01  # without clipping, training diverged at twice the learning rate

Log = Callable[[str], None]
Report = Callable[[int, float], None]  # of a step and the mean loss since the report before


@dataclass(frozen=True)
class TrainedFinisher:
    """Attributes:
    weights: by parameter name, float32 on the CPU.
    curve: (step, mean loss since the previous point), the last one after the last step.
    """

    weights: dict[str, Tensor]
    curve: tuple[tuple[int, float], ...]


def train_finisher(
    config: FinisherConfig,
    pairs: Pairs,
    policy: DevicePolicy,
    folder: Path,
    seed: int = 0,
    initial: dict[str, Tensor] | None = None,
    log: Log = lambda line: None,
    report: Report = lambda step, loss: None,
) -> TrainedFinisher:
    """Train for `config.steps`. A checkpoint of the same training in `folder` is resumed; one of another training is ignored.

    Every random number is a function of `seed` and step, so that on the CPU a resumed training gives bit-identical results.

    Args:
        folder: folder of the checkpoint; the caller removes it after storing the weights.
        initial: initial weights, of a finisher of the same width, blocks and scale.
        log: receives 25 lines.
        report: receives the points of the curve, as they are measured.

    Raises:
        Resumable: Ctrl-C or SIGTERM stopped it; a checkpoint has been written.
        FlowmodelError: the real images are not `config.scale` times as large as the samples, the initial weights are of a
            different finisher, or the loss is no longer finite.
    """
    drawn, real = tuple(pairs.drawn_SN4HW.shape[-2:]), tuple(pairs.real_N4HW.shape[-2:])
    if real != tuple(edge * config.scale for edge in drawn):
        raise FlowmodelError(
            f"finisher.scale: {config.scale}, but the samples are {drawn[0]} x {drawn[1]} and the real images {real[0]} x "
            f"{real[1]} pixels; make pairs for this scale"
        )
    run = _Run(config, pairs, policy, folder / STATE_FILE, seed, initial, log, report)
    run.to_the_end()
    weights = {name: parameter.detach().cpu() for name, parameter in run.network.named_parameters()}
    return TrainedFinisher(weights, tuple(run.curve))


class _Run:
    """The state of a call of :func:`train_finisher`."""

    def __init__(
        self,
        config: FinisherConfig,
        pairs: Pairs,
        policy: DevicePolicy,
        file: Path,
        seed: int,
        initial: dict[str, Tensor] | None,
        log: Log,
        report: Report,
    ) -> None:
        self.config, self.policy, self.file, self.seed, self.log, self.report = config, policy, file, seed, log, report
        self.training = TrainingConfig(
            optimizer="muon",
            steps=config.steps,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            warmup_steps=int(_WARMUP * config.steps),
            final_lr_frac=0.0,
            weight_decay=_WEIGHT_DECAY,
            grad_clip_norm=_GRADIENT_CLIP,
        )
        torch.manual_seed(seed)
        self.network = Finisher(config)
        if initial is not None:
            try:
                self.network.load_state_dict(initial)
            except RuntimeError:
                raise FlowmodelError(
                    f"finisher.init_from: {config.init_from} has other channels, blocks or scale; set the same in the recipe"
                ) from None
        self.digest = sha256_json([identity(config, {"init_from"}), seed, pairs.digest, tensors_digest(initial or {})])
        self.network.to(policy.device, memory_format=policy.memory_format)  # type: ignore[call-overload]
        self.forward = torch.compile(self.network) if policy.compile else self.network
        self.optimizers = Optimizers(self.network, self.training, fused=policy.fused_optimizer)
        self.drawn_SN4HW, self.real_N4HW = pairs.drawn_SN4HW.to(policy.device), pairs.real_N4HW.to(policy.device)
        self.order = EpochOrder(len(pairs.real_N4HW), config.batch_size, seed)
        self.generator = torch.Generator()
        self.curve: list[tuple[int, float]] = []
        self.losses: list[Tensor] = []
        self.done = 0
        self._restore()

    def to_the_end(self) -> None:
        steps, every = self.config.steps, max(1, self.config.steps // _LINES)
        saved = began = time.monotonic()
        first = self.done
        with Interruption() as interruption:
            while self.done < steps:
                self.losses.append(self._step(self.done))
                self.done += 1
                if self.done % every == 0 or self.done == steps:
                    self._note(time.monotonic() - began, self.done - first)
                if interruption.signal or time.monotonic() - saved > _SAVE_SECONDS:
                    self._save()
                    saved = time.monotonic()
                if interruption.signal:
                    raise Resumable(
                        f"{self.file}: {interruption.signal.name} after step {self.done} of {steps} of the finisher; the same "
                        "command continues",
                        interruption.signal,
                        where=f"step {self.done} of {steps} of the finisher",
                    )

    def _step(self, index: int) -> Tensor:
        """Step number `index`, counted from 0; returns its loss, on the device, without synchronizing."""
        self.generator.manual_seed(mixed_seed(self.seed, index))
        icons_B = self.order(index)
        drawing_B = torch.randint(len(self.drawn_SN4HW), (len(icons_B),), generator=self.generator)
        device = self.real_N4HW.device
        icons_B, drawing_B = icons_B.to(device), drawing_B.to(device)
        drawn_BCHW, real_BCHW = self.drawn_SN4HW[drawing_B, icons_B], self.real_N4HW[icons_B]
        drawn_BCHW, real_BCHW = cropped(drawn_BCHW, real_BCHW, self.config.crop, self.generator)
        drawn_BCHW, real_BCHW = vary(drawn_BCHW, real_BCHW, self.generator)
        x_BCHW = to_unit(drawn_BCHW).contiguous(memory_format=self.policy.memory_format)
        with self.policy.autocast_context():
            finished_BCHW = self.forward(x_BCHW)
        loss = finisher_loss(finished_BCHW.float(), to_unit(real_BCHW))
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.training.grad_clip_norm)
        self.optimizers.step(learning_rate(index, self.training))
        return loss.detach()

    def _note(self, seconds: float, steps: int) -> None:
        """Log a point of the curve and a line; synchronizes with the device."""
        loss = torch.stack(self.losses).mean().item()
        self.losses = []
        if not torch.tensor(loss).isfinite():
            raise FlowmodelError(
                f"{self.file.parent}: the finisher's loss is not finite at step {self.done}; lower finisher.learning_rate (now "
                f"{self.config.learning_rate:g}) and train again"
            )
        self.curve.append((self.done, loss))
        self.report(self.done, loss)
        speed, left = steps * self.config.batch_size / seconds, (self.config.steps - self.done) * seconds / steps
        self.log(
            f"finisher: step {self.done:,} of {self.config.steps:,}, loss {loss:.4f}, {speed:,.0f} images/s, {left:.0f} s left"
        )

    def _save(self) -> None:
        tensors = {f"model.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizers.state().items()}
        tensors["losses"] = torch.stack(self.losses) if self.losses else torch.zeros(0)
        state = json.dumps({"digest": self.digest, "step": self.done, "curve": self.curve})
        with atomic_path(self.file) as temporary:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary, metadata={"state": state})

    def _restore(self) -> None:
        """Load the checkpoint if it belongs to this training."""
        try:
            with safe_open(self.file, framework="pt") as opened:
                state = json.loads(opened.metadata()["state"])
                if state["digest"] != self.digest:
                    return
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # it is no mapping
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.network.load_state_dict(part("model."))
        self.optimizers.load(part("optimizer."))
        self.done, self.curve = state["step"], [(step, loss) for step, loss in state["curve"]]
        self.losses = list(tensors["losses"].to(self.policy.device))


def cropped(drawn_BCHW: Tensor, real_BCHW: Tensor, edge: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Crop the same square, `edge` pixels of the samples, from all images; `generator` is on the CPU.

    More steps on crops work better than fewer on whole images (docs/decisions/finisher.md).
    """
    scale, (height, width) = real_BCHW.shape[-1] // drawn_BCHW.shape[-1], drawn_BCHW.shape[-2:]
    # Even offsets, which would also suit a network that merges 2 x 2 pixels.
    shares = torch.rand(2, generator=generator).tolist()
    top, left = (2 * int(share * (max(0, size - edge) // 2 + 1)) for share, size in zip(shares, (height, width), strict=True))
    drawn_BCHW = drawn_BCHW[:, :, top : top + edge, left : left + edge]
    return drawn_BCHW, real_BCHW[:, :, scale * top : scale * (top + edge), scale * left : scale * (left + edge)]


def vary(drawn_BCHW: Tensor, real_BCHW: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flip both images of each pair and permute their colors in the same random way; `generator` is on the CPU.

    The defects that a finisher repairs depend neither on the motif nor on its colors.
    """
    size, device = len(drawn_BCHW), drawn_BCHW.device
    flips_2B = torch.rand(2, size, generator=generator).to(device) < 0.5
    colors_B3 = torch.rand(size, 3, generator=generator).argsort(dim=1)
    channels_BC = torch.cat([colors_B3, torch.full((size, 1), 3)], dim=1).to(device)
    pairs_B = torch.arange(size, device=device)[:, None]

    def varied(x_BCHW: Tensor) -> Tensor:
        for dimension, flip_B in zip((3, 2), flips_2B, strict=True):
            x_BCHW = torch.where(flip_B[:, None, None, None], x_BCHW.flip(dimension), x_BCHW)
        return x_BCHW[pairs_B, channels_BC]

    return varied(drawn_BCHW), varied(real_BCHW)


def finisher_loss(finished_BCHW: Tensor, real_BCHW: Tensor) -> Tensor:
    """Mean absolute error of the images and of their horizontal and vertical differences, for flat areas and edges."""
    error_BCHW = finished_BCHW - real_BCHW
    across = error_BCHW.diff(dim=3).abs().mean()
    down = error_BCHW.diff(dim=2).abs().mean()
    return F.l1_loss(finished_BCHW, real_BCHW) + across + down
