"""Checkpoints: one safetensors file each, written atomically.

A step's checkpoint (`step-00001500.safetensors`) holds everything needed to resume: `model.*`, `optimizer.*` and the averaged
weights `ema0.*` and `ema1.*`. Random numbers and the order of the data need no state, because they are functions of seed and
step. `final.safetensors` holds averaged weights (`ema.*`) alone; `finished.safetensors` holds them and a finisher
(`finisher.*`). Each has a JSON header that describes it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from flowmodel.data.terms import Terms
from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path, require_readable, sha256_file
from flowmodel.recipes import Recipe, parse_recipe

if TYPE_CHECKING:  # reading a header needs no PyTorch
    from torch import Tensor

FINAL, FINISHED = "final.safetensors", "finished.safetensors"
_STEP_FILE = re.compile(r"^step-(\d{8})\.safetensors$")


@dataclass(frozen=True)
class BestSoFar:
    """The lowest validation loss, with its step, its average, and the number of measurements since."""

    loss: float
    step: int
    ema: float
    measurements_ago: int = 0


@dataclass(frozen=True)
class FinisherHeader:
    """The finisher of a checkpoint.

    Attributes:
        config: the recipe's section `finisher`.
        digest: digest of its tensors.
        training_digest: identifies its training (generator, icons and settings); equal digests give equal finishers.
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
    """The header of a checkpoint.

    `training_digest` identifies recipe and data; a training resumes only a checkpoint with an equal digest. `ema` is the
    relative width of the averaged weights, and None in a checkpoint of an unfinished training. `best` is None before the first
    validation. `initial_ids` are the icons that the initial weights were trained on. `terms` are the terms of all `seen_ids`,
    sorted; they are empty in checkpoints that are older than this field. `finisher` is None for a model without one.
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
        """All icons that the weights were trained on, in this training or an earlier one, sorted."""
        return tuple(sorted({*self.trained_ids, *self.initial_ids}))


class Checkpoint:
    """A checkpoint file with its digest, recipe and terms. It is opened once and passed on.

    Attributes:
        path: the safetensors file.
        header: its header: step, digests, icons, terms.
    """

    def __init__(self, path: Path, header: "CheckpointHeader", digest: str | None = None) -> None:
        self.path, self.header = path, header
        if digest is not None:
            self.digest = digest

    @classmethod
    def open(cls, path: Path, digest: str | None = None) -> "Checkpoint":
        """Read the header of `path`. Pass `digest` if the file's SHA-256 is already known, to avoid hashing it again.

        Raises FlowmodelError when `path` is missing or is no checkpoint of this project.
        """
        return cls(Path(path), read_header(path), digest)

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, 64 hexadecimal digits; it identifies the weights together with their header."""
        return sha256_file(self.path)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the training. Raises FlowmodelError when this release can't read it."""
        # An earlier release could keep the weights of the lowest validation loss. Sampling with them needs no special case.
        training = {name: value for name, value in self.header.recipe.get("training", {}).items() if name != "keep"}
        return parse_recipe({**self.header.recipe, "training": training}, where=str(self.path))

    @property
    def terms(self) -> tuple[Terms, ...]:
        """The license terms of all icons that the weights were trained on."""
        return self.header.terms

    def tensors(self, prefix: str = "") -> "dict[str, Tensor]":
        """The tensors whose name starts with `prefix`, without it, on the CPU."""
        return read_tensors(self.path, prefix)


def save_checkpoint(path: Path, tensors: "dict[str, Tensor]", header: CheckpointHeader) -> Checkpoint:
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={"flowmodel": json.dumps(asdict(header))})
    return Checkpoint(path, header)


def read_header(path: Path) -> CheckpointHeader:
    """Read the header of a checkpoint; raises FlowmodelError when `path` is missing, unreadable or not a checkpoint of this
    project.
    """
    require_readable(path, "checkpoint")
    try:
        with safe_open(path, framework="np") as file:
            values = dict(json.loads(file.metadata()["flowmodel"]))
        if later := values.keys() - {field.name for field in fields(CheckpointHeader)}:
            known = f"its header has {', '.join(sorted(later))}, which this release can't read"
            raise FlowmodelError(f"{path}: {known}; a later release wrote it: update flowmodel")
        best = BestSoFar(**values["best"]) if values.get("best") else None
        ids = {"trained_ids": tuple(values["trained_ids"]), "initial_ids": tuple(values.get("initial_ids", ()))}
        terms = tuple(Terms.of(each) for each in values.get("terms", ()))
        finisher = FinisherHeader.of(values["finisher"]) if values.get("finisher") else None
        return CheckpointHeader(**values | ids | {"best": best, "terms": terms, "finisher": finisher})
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise FlowmodelError(f"{path}: not a flowmodel checkpoint; use a .safetensors file that a training wrote") from None


def read_tensors(path: Path, prefix: str = "") -> "dict[str, Tensor]":
    """The tensors whose name starts with `prefix`, without it, on the CPU."""
    from safetensors.torch import load_file

    return {name.removeprefix(prefix): tensor for name, tensor in load_file(path).items() if name.startswith(prefix)}


def require_like(path: Path, found: "Mapping[str, Tensor]", expected: "Mapping[str, Tensor]") -> None:
    """Raise FlowmodelError when the tensors of the checkpoint `path` differ from `expected` in name, shape or dtype."""
    advice = "remove the file, and the same command continues from the checkpoint before it or starts over"
    for name in [*expected, *found]:
        if name not in found or name not in expected:
            what = "is missing" if name in expected else "is not one that this training saves"
        elif _kind(found[name]) != _kind(expected[name]):
            what = f"is {_kind(found[name])} instead of {_kind(expected[name])}"
        else:
            continue
        raise FlowmodelError(f"{path}: tensor '{name}' {what}, so the training can't be continued; {advice}")


def _kind(tensor: "Tensor") -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def step_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}.safetensors"


def step_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of the checkpoints of an unfinished training, oldest first."""
    if not folder.is_dir():
        return []
    found = ((_STEP_FILE.match(path.name), path) for path in folder.iterdir())
    return sorted((int(match.group(1)), path) for match, path in found if match)


def remove_old(folder: Path, keep: int) -> None:
    checkpoints = step_checkpoints(folder)
    for _, path in checkpoints[: max(0, len(checkpoints) - keep)]:
        path.unlink(missing_ok=True)


def refuse_other_training(path: Path, header: CheckpointHeader, training_digest: str) -> None:
    """Raise FlowmodelError when the checkpoint belongs to another recipe or data set."""
    if header.training_digest != training_digest:
        raise FlowmodelError(
            f"{path}: belongs to another recipe or data set (recipe '{header.recipe['name']}', step {header.step}); "
            "choose another folder, or remove this one to start over"
        )
