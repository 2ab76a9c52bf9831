"""Checkpoints: one safetensors file, whole or absent.

A step's checkpoint (`step-00001500.safetensors`) holds everything needed to continue: `model.*`, `optimizer.*` and the averaged
weights `ema0.*` and `ema1.*`. Random numbers and the order of the data need no state, as they are functions of seed and step.
`final.safetensors` holds averaged weights (`ema.*`) alone; `finished.safetensors` holds them and a finisher (`finisher.*`). All
carry a JSON header that says what they are.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from flowmodel.data.terms import Terms
from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path, require_readable, sha256_file
from flowmodel.recipes import Recipe, parse_recipe

FINAL, FINISHED = "final.safetensors", "finished.safetensors"
_STEP_FILE = re.compile(r"^step-(\d{8})\.safetensors$")


@dataclass(frozen=True)
class BestSoFar:
    """The lowest validation loss: after which step, of which average, and how many measurements ago."""

    loss: float
    step: int
    ema: float
    measurements_ago: int = 0


@dataclass(frozen=True)
class FinisherHeader:
    """What a checkpoint's finisher is.

    Attributes:
        config: the recipe's section `finisher`.
        digest: of its tensors.
        training_digest: names its training: generator, icons and section; an equal one would give the same finisher.
        curve: (step, mean loss since the point before).
    """

    config: dict[str, Any]
    digest: str
    training_digest: str
    curve: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(cls, values: dict[str, Any]) -> "FinisherHeader":
        return cls(**values | {"curve": tuple((int(step), float(loss)) for step, loss in values["curve"])})


@dataclass(frozen=True)
class CheckpointHeader:
    """What a checkpoint is of.

    `training_digest` names recipe and data: only an equal one may be continued. `ema` is the relative width of averaged weights,
    and None where a checkpoint is to be continued. `best` is None before the first validation. `initial_ids` are the icons that
    the initial weights had been trained on. `terms` are those of all `seen_ids`, sorted; empty in checkpoints of before there was
    this field. `finisher` is None in a model without one.
    """

    step: int
    training_digest: str
    dataset_digest: str
    recipe: dict[str, Any]
    encoder: str
    encoder_digest: str
    text_width: int
    trained_ids: tuple[str, ...]
    ema: float | None = None
    best: BestSoFar | None = None
    initial_ids: tuple[str, ...] = ()
    terms: tuple[Terms, ...] = ()
    finisher: FinisherHeader | None = None

    @property
    def seen_ids(self) -> tuple[str, ...]:
        """Every icon that has shaped the weights, in this training or in one before it; sorted."""
        return tuple(sorted({*self.trained_ids, *self.initial_ids}))


class Checkpoint:
    """A checkpoint file, opened once and passed on, with its digest, recipe and terms.

    Attributes:
        path: the safetensors file.
        header: what it is of: step, digests, icons, terms.
    """

    def __init__(self, path: Path, header: "CheckpointHeader", digest: str | None = None) -> None:
        self.path, self.header = path, header
        if digest is not None:
            self.digest = digest

    @classmethod
    def open(cls, path: Path, digest: str | None = None) -> "Checkpoint":
        """Read the header of `path`. `digest` spares hashing the file where its SHA-256 has just been computed.

        Raises FlowmodelError when `path` is missing or is no checkpoint of this project.
        """
        return cls(Path(path), read_header(path), digest)

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, 64 hexadecimal digits; it names the weights together with their header."""
        return sha256_file(self.path)

    @cached_property
    def recipe(self) -> Recipe:
        """What the model was trained with. Raises FlowmodelError when this release can't read the header's recipe."""
        # A training of before could end with the weights of its lowest validation loss. They are drawn with as any others.
        training = {name: value for name, value in self.header.recipe.get("training", {}).items() if name != "keep"}
        return parse_recipe({**self.header.recipe, "training": training}, where=str(self.path))

    @property
    def terms(self) -> tuple[Terms, ...]:
        """The terms of every icon that has shaped the weights."""
        return self.header.terms

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """The tensors whose name starts with `prefix`, without it, on the CPU."""
        return read_tensors(self.path, prefix)


def save_checkpoint(path: Path, tensors: dict[str, Tensor], header: CheckpointHeader) -> Checkpoint:
    with atomic_path(path) as temporary:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={"flowmodel": json.dumps(asdict(header))})
    return Checkpoint(path, header)


def read_header(path: Path) -> CheckpointHeader:
    """Raises FlowmodelError when `path` is missing, may not be read or is no checkpoint of this project."""
    require_readable(path, "checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            values = json.loads(file.metadata()["flowmodel"])
        best = BestSoFar(**values["best"]) if values.get("best") else None
        ids = {"trained_ids": tuple(values["trained_ids"]), "initial_ids": tuple(values.get("initial_ids", ()))}
        terms = tuple(Terms.of(each) for each in values.get("terms", ()))
        finisher = FinisherHeader.of(values["finisher"]) if values.get("finisher") else None
        return CheckpointHeader(**values | ids | {"best": best, "terms": terms, "finisher": finisher})
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise FlowmodelError(f"{path}: not a flowmodel checkpoint; give a .safetensors file that a training wrote") from None


def read_tensors(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """The tensors whose name starts with `prefix`, without it, on the CPU."""
    return {name.removeprefix(prefix): tensor for name, tensor in load_file(path).items() if name.startswith(prefix)}


def require_like(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raises FlowmodelError when the tensors of the checkpoint `path` differ from `expected` in name, shape or type."""
    advice = "remove the file, and the same command continues from the checkpoint before it or begins anew"
    for name in [*expected, *found]:
        if name not in found or name not in expected:
            what = "is missing" if name in expected else "is none that this training saves"
        elif _kind(found[name]) != _kind(expected[name]):
            what = f"is {_kind(found[name])} instead of {_kind(expected[name])}"
        else:
            continue
        raise FlowmodelError(f"{path}: tensor '{name}' {what}, so that it can't be continued; {advice}")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def step_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}.safetensors"


def step_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of the unfinished training's checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    found = ((_STEP_FILE.match(path.name), path) for path in folder.iterdir())
    return sorted((int(match.group(1)), path) for match, path in found if match)


def remove_old(folder: Path, keep: int) -> None:
    checkpoints = step_checkpoints(folder)
    for _, path in checkpoints[: max(0, len(checkpoints) - keep)]:
        path.unlink(missing_ok=True)


def refuse_other_training(path: Path, header: CheckpointHeader, training_digest: str) -> None:
    """Raises FlowmodelError when the checkpoint is of another recipe or data set."""
    if header.training_digest != training_digest:
        raise FlowmodelError(
            f"{path}: belongs to another recipe or data set (recipe '{header.recipe['name']}', step {header.step}); "
            "give another folder, or remove this one to start over"
        )
