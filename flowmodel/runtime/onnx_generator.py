"""Samples images for prompts with ONNX Runtime, like :class:`flowmodel.model.generator.Generator` without PyTorch.

Shape suffixes: N images, B batch, C channels, L tokens, D the caption tower's width, H/W height and width.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flowmodel.files import read_json
from flowmodel.flow.nfe import evaluations, evaluations_at
from flowmodel.flow.solvers import SamplingSettings, integrate
from flowmodel.runtime.caption_tower import OnnxTower
from flowmodel.runtime.model_folder import EMOJI, ENGLISH, FINISHER, NETWORK, ModelFolder, Precision, Sampling
from flowmodel.runtime.noise import seeded_noise
from flowmodel.runtime.sessions import open_session
from flowmodel.text.prompts import Prompts, read_prompts
from flowmodel.text.replacing import EmojiReplacer
from flowmodel.text.translation import Translator, read_table

if TYPE_CHECKING:
    import onnxruntime
    from PIL import Image


@dataclass(frozen=True)
class Captions:
    """Encoded captions, the network's input.

    Attributes:
        pooled_BD: a vector per caption; zeros mean no caption.
        tokens_BLD: a vector per token, padded to the longest caption.
        mask_BL: True for tokens, False for padding.
    """

    pooled_BD: NDArray[np.float32]
    tokens_BLD: NDArray[np.float32]
    mask_BL: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pooled_BD)

    def with_unconditional(self) -> "Captions":
        """Return 2B rows: these captions, then as many empty ones."""
        return Captions(
            np.concatenate([self.pooled_BD, np.zeros_like(self.pooled_BD)]),
            np.concatenate([self.tokens_BLD, self.tokens_BLD]),
            np.concatenate([self.mask_BL, np.zeros_like(self.mask_BL)]),
        )


@dataclass(frozen=True)
class States:
    """The states x_t of sampling: noise first, the images last.

    Attributes:
        states_SBCHW: uint8, premultiplied RGBA, at the S + 1 times of the solver.
    """

    states_SBCHW: NDArray[np.uint8]


class OnnxGenerator:
    """An exported model, ready to sample on the CPU.

    A seed gives the same noise as with PyTorch, and a visually identical image.

    Attributes:
        folder: the exported model.
    """

    def __init__(self, folder: ModelFolder, tower: Precision | None = None, threads: int | None = None) -> None:
        self.folder, self._precision, self._threads = folder, tower, threads

    @classmethod
    def load(cls, folder: Path | str, tower: Precision | None = None, threads: int | None = None) -> "OnnxGenerator":
        """`tower` is the caption tower's precision, `threads` the number of threads; None is one per core.

        Raises FlowmodelError when `folder` holds no exported model. Other files are opened and checked when they are needed.
        """
        return cls(ModelFolder.open(folder), tower, threads)

    def __str__(self) -> str:
        return str(self.folder.path)

    @property
    def size(self) -> int:
        """Size of the images of :meth:`sample`, in pixels."""
        return self.folder.description.finished_size

    def sampling(self, steps: int | None = None, guidance: float | None = None, solver: str | None = None) -> Sampling:
        """The model's sampling settings, overridden by the arguments. Raises FlowmodelError for a bad value."""
        given = {"steps": steps, "guidance": guidance, "solver": solver}
        changes = {name: value for name, value in given.items() if value is not None}
        return Sampling.of(asdict(self.folder.description.sampling) | changes, "sampling options")

    def nfe(self, steps: int | None = None, guidance: float | None = None, solver: str | None = None) -> int:
        """Network evaluations per image."""
        return evaluations(self.sampling(steps, guidance, solver))

    def readability(self, prompts: Sequence[str]) -> Prompts:
        """The parts of `prompts` that the caption tower reads."""
        return read_prompts(self._tower, prompts, self._name_emoji, self._translate, self.folder.description.languages)

    def images(
        self,
        prompts: Sequence[str],
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        solver: str | None = None,
    ) -> "list[Image.Image]":
        """:meth:`sample` as Pillow images, in mode RGBA with straight alpha."""
        from flowmodel.images.rgba import to_image

        return [to_image(rgba_4HW) for rgba_4HW in self.sample(prompts, seed, steps, guidance, solver)]

    def sample(
        self,
        prompts: Sequence[str],
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        solver: str | None = None,
        batch_size: int = 64,
        finish: bool = True,
    ) -> NDArray[np.uint8]:
        """Sample an image per prompt: uint8, premultiplied RGBA, (N, 4, H, W); finished if there is a finisher and `finish` is
        set.

        Image i starts from the noise of (seed, i), so the same seed gives the same images.

        Raises FlowmodelError for a bad option, or a file of the model that is missing or was changed.
        """
        settings = self.sampling(steps, guidance, solver)
        images = [
            self.draw(self.encode(prompts[first : first + batch_size]), settings, seed, first, finish)
            for first in range(0, len(prompts), batch_size)
        ]
        size = self.size if finish else self.folder.description.size
        return np.concatenate(images) if images else np.zeros((0, 4, size, size), np.uint8)

    def encode(self, prompts: Sequence[str]) -> Captions:
        """Encode the captions for the network."""
        encoded = self._tower.encode([self._translate(self._name_emoji(prompt)) for prompt in prompts])
        longest = max((len(token_LD) for token_LD in encoded.tokens), default=0)
        tokens_BLD = np.zeros((len(prompts), longest, self._tower.width), np.float32)
        mask_BL = np.zeros((len(prompts), longest), np.bool_)
        for row, token_LD in enumerate(encoded.tokens):
            tokens_BLD[row, : len(token_LD)], mask_BL[row, : len(token_LD)] = token_LD, True
        return Captions(encoded.pooled_BD, tokens_BLD, mask_BL)

    def draw(
        self, captions: Captions, settings: Sampling, seed: int = 0, first: int = 0, finish: bool = True
    ) -> NDArray[np.uint8]:
        """:meth:`sample` for encoded captions; the images are number `first`, `first` + 1, … of the seed."""
        of = self.folder.description
        return self.draw_from(seeded_noise(len(captions), of.size, seed, first, of.channels), captions, settings, finish)

    def draw_from(
        self, noise_BCHW: NDArray[np.float32], captions: Captions, settings: Sampling, finish: bool = True
    ) -> NDArray[np.uint8]:
        """:meth:`draw` for given noise, such as that of several seeds."""
        drawn_B4HW = to_bytes(integrate(guided(self._network, captions, settings), noise_BCHW, settings))
        return self.finish(drawn_B4HW) if finish else drawn_B4HW

    def trajectory(
        self,
        prompts: Sequence[str],
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        finish: bool = True,
    ) -> States:
        """The trajectory of :meth:`sample`, for all prompts at once. With a finisher, the last state is finished and the others
        are enlarged to its size.

        Raises FlowmodelError as :meth:`sample` does.
        """
        of, settings, captions = self.folder.description, self.sampling(steps, guidance), self.encode(prompts)
        noise_BCHW = seeded_noise(len(captions), of.size, seed, 0, of.channels)
        states: list[NDArray[np.uint8]] = []
        velocity = guided(self._network, captions, settings)
        last_BCHW = to_bytes(integrate(velocity, noise_BCHW, settings, lambda x_BCHW, v, t: states.append(to_bytes(x_BCHW))))
        factor = of.finished_size // of.size if finish else 1
        before_SBCHW = np.stack(states).repeat(factor, axis=-1).repeat(factor, axis=-2)
        return States(np.concatenate([before_SBCHW, (self.finish(last_BCHW) if finish else last_BCHW)[None]]))

    def finish(self, drawn_N4HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The finished images, or the unchanged images without a finisher."""
        if self.finisher is None or not len(drawn_N4HW):
            return drawn_N4HW
        [finished_N4HW] = self.finisher.run(["finished"], {"drawn": drawn_N4HW.astype(np.float32) / np.float32(127.5) - 1})
        return to_bytes(finished_N4HW)

    @cached_property
    def _tower(self) -> OnnxTower:
        return OnnxTower(self.folder, self._precision, self._threads)

    @cached_property
    def _network(self) -> "onnxruntime.InferenceSession":
        return open_session(self.folder.graph(NETWORK) or self.folder.file(NETWORK), self._threads)

    @cached_property
    def finisher(self) -> "onnxruntime.InferenceSession | None":
        """The finisher, or None if the model has none."""
        graph = self.folder.graph(FINISHER)
        return open_session(graph, self._threads) if graph else None

    def _name_emoji(self, prompt: str) -> str:
        return prompt if prompt.isascii() else self._replacer(prompt)

    @cached_property
    def _replacer(self) -> EmojiReplacer:
        return EmojiReplacer(read_json(self.folder.file(EMOJI)))

    def _translate(self, text: str) -> str:
        return text if text.isascii() or self._translator is None else self._translator(text)

    @cached_property
    def _translator(self) -> Translator | None:
        """None for an export of an earlier release."""
        return Translator(read_table(self.folder.file(ENGLISH))) if ENGLISH in self.folder else None


def guided(
    network: "onnxruntime.InferenceSession", captions: Captions, settings: SamplingSettings
) -> Callable[[NDArray[np.float32], float], NDArray[np.float32]]:
    """Like :class:`flowmodel.flow.guidance.GuidedVelocity`, the velocity at x and t, with guidance if it is on at t."""
    both = captions.with_unconditional()

    def evaluate(x_BCHW: NDArray[np.float32], t: float, told: Captions) -> NDArray[np.float32]:
        t_B = np.full(len(x_BCHW), t, np.float32)
        given = {"x": x_BCHW, "t": t_B, "pooled": told.pooled_BD, "tokens": told.tokens_BLD, "mask": told.mask_BL}
        [velocity_BCHW] = network.run(["velocity"], given)
        return velocity_BCHW

    def velocity(x_BCHW: NDArray[np.float32], t: float) -> NDArray[np.float32]:
        if evaluations_at(t, settings) == 1:
            return evaluate(x_BCHW, t, captions)
        found = np.split(evaluate(np.concatenate([x_BCHW, x_BCHW]), t, both), 2)
        conditional_BCHW, unconditional_BCHW = found
        return unconditional_BCHW + settings.guidance * (conditional_BCHW - unconditional_BCHW)

    return velocity


def to_bytes(x_NCHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Like :func:`flowmodel.images.tensors.from_unit`."""
    bytes_NCHW = ((x_NCHW + 1) * np.float32(127.5)).round().clip(0, 255).astype(np.uint8)
    if bytes_NCHW.shape[1] == 4:
        alpha_N1HW = bytes_NCHW[:, 3:]
        return np.concatenate([np.minimum(bytes_NCHW[:, :3], alpha_N1HW), alpha_N1HW], axis=1)
    color_N3HW = np.broadcast_to(bytes_NCHW, (len(bytes_NCHW), 3, *bytes_NCHW.shape[2:]))
    return np.concatenate([color_N3HW, np.full_like(color_N3HW[:, :1], 255)], axis=1)
