"""The shipped weights (data/pretrained), for sampling or as initial weights of a training, and the student that was distilled
from them, which samples with four network evaluations (data/pretrained-fast).
"""

from dataclasses import replace
from pathlib import Path

from flowmodel.content import tensors_digest
from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file, write_bytes
from flowmodel.model.checkpoint import Checkpoint, save_checkpoint
from flowmodel.recipes.schema import SamplingConfig
from flowmodel.shipped import shipped

PRETRAINED, FAST = "pretrained", "pretrained-fast"  # names that users write instead of a path
SHIPPED = {name: shipped(name) for name in (PRETRAINED, FAST)}  # their folders
FOLDER = SHIPPED[PRETRAINED]
WEIGHTS_FILE, DIGEST_FILE = "flowmodel.safetensors", "SHA256SUMS"


def pretrained_weights(folder: Path = FOLDER) -> Checkpoint:
    """The checkpoint in `folder`, verified against the SHA-256 in `SHA256SUMS`.

    Raises FlowmodelError when it is missing or its digest differs.
    """
    weights, sums = folder / WEIGHTS_FILE, folder / DIGEST_FILE
    if not weights.is_file() or not sums.is_file():
        missing = sums if weights.is_file() else weights
        raise FlowmodelError(
            f"{missing}: missing; the weights come with the project, so restore it from a checkout, or install flowmodel again"
        )
    stated, found = sums.read_text(encoding="utf-8").partition(" ")[0], sha256_file(weights)
    if found != stated:
        raise FlowmodelError(
            f"{weights}: has SHA-256 {found[:12]}…, but {DIGEST_FILE} states {stated[:12]}…; it is damaged or was changed, "
            "so restore both from a checkout, or install flowmodel again"
        )
    return Checkpoint.open(weights, digest=found)


def export_weights(checkpoint: Checkpoint, folder: Path, sampling: SamplingConfig | None = None) -> Checkpoint:
    """Write the averaged weights of the finished training `checkpoint` and of its finisher to `folder` in half precision, with
    their SHA-256.

    The relative error of a weight is at most 5e-4, and samples hardly change (tests/model/test_pretrained.py). `sampling`
    replaces the section of the training's recipe, because the best settings are chosen on validation after the training.

    Raises FlowmodelError when `checkpoint` is not a finished training.
    """
    import torch  # sampling without PyTorch needs only the path of the weights

    header, tensors = checkpoint.header, checkpoint.tensors()
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith(("ema.", "finisher."))}
    if not checkpoint.tensors("ema."):
        raise FlowmodelError(f"{checkpoint}: holds no averaged weights; use final.safetensors of a finished training")
    halves = {name: tensor.to(torch.float16) for name, tensor in weights.items()}
    if header.finisher:
        own = {name.removeprefix("finisher."): tensor for name, tensor in halves.items() if name.startswith("finisher.")}
        header = replace(header, finisher=replace(header.finisher, digest=tensors_digest(own)))
    if sampling:
        header = replace(header, recipe=header.recipe | {"sampling": sampling.model_dump(mode="json")})
    exported = save_checkpoint(folder / WEIGHTS_FILE, halves, header)
    write_bytes(folder / DIGEST_FILE, f"{exported.digest}  {WEIGHTS_FILE}\n".encode())
    return exported
