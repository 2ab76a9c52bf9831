"""`flowmodel export`: writes a checkpoint as a folder from which flowmodel/runtime samples."""

import shutil
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from uuid import uuid4

from flowmodel.errors import FlowmodelError
from flowmodel.export.card import model_card
from flowmodel.export.eight_bits import in_eight_bits
from flowmodel.export.graphs import DifferentGraph, export_finisher, export_network, export_tower
from flowmodel.files import Artifact, atomic_path, fsync_folder, share, write_bytes, write_json
from flowmodel.images.tensors import CHANNELS
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.generator import Generator
from flowmodel.model.pretrained import FOLDER, SHIPPED
from flowmodel.nets import count_parameters
from flowmodel.runtime.model_folder import (
    CARD,
    DESCRIPTION,
    EMOJI,
    ENGLISH,
    FINISHER,
    NETWORK,
    TOKENIZER,
    TOWERS,
    Description,
    ModelFolder,
    Precision,
    Sampling,
)
from flowmodel.settings_yaml import load_yaml
from flowmodel.text.emoji_names import PATH as EMOJI_NAMES
from flowmodel.text.minilm import MAX_TOKENS, MiniLm, load_minilm
from flowmodel.text.translation import PATH, packed, read_table, without

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest date in a zip file, so that equal folders give equal files


def export_model(
    checkpoint: Checkpoint,
    folder: Path,
    towers: Iterable[Precision] = ("float32", "int8"),
    earlier: Sequence[ModelFolder] = (),
    trace: bool = True,
) -> ModelFolder:
    """Write `checkpoint` to `folder` atomically; an earlier export there is replaced.

    `towers` are the precisions of the caption tower to write. The files of the same tower in an `earlier` export are shared, and
    its graphs are used again if they differ only in their weights. PyTorch's exporter traces the others.

    Raises DifferentGraph when no earlier export has a graph and `trace` is False, and FlowmodelError when the model's caption
    encoder can't be exported, or `folder` has other contents.
    """
    if checkpoint.header.encoder != "minilm":
        raise FlowmodelError(
            f"{checkpoint}: its caption encoder is '{checkpoint.header.encoder}', and only minilm can be exported; train with "
            "data.encoder=minilm"
        )
    if folder.exists() and not (folder / DESCRIPTION).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise FlowmodelError(f"{folder}: not an exported model; choose a new folder")
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    try:
        _write(checkpoint, temporary, towers, earlier, trace)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
        fsync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return ModelFolder.open(folder)


def zip_folder(folder: ModelFolder, path: Path) -> Artifact:
    """Write all files of an exported model to the zip file `path`, in a folder of its name."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for file in sorted(folder.path.iterdir()):
            entry = zipfile.ZipInfo(f"{folder.path.name}/{file.name}", _TIME)
            # Compressing weights takes half a minute and saves little.
            entry.compress_type = zipfile.ZIP_STORED if file.suffix == ".onnx" else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())
    return Artifact.of(path)


def _write(
    checkpoint: Checkpoint, folder: Path, towers: Iterable[Precision], earlier: Sequence[ModelFolder], trace: bool
) -> None:
    generator, encoder = Generator.load(checkpoint, "cpu"), load_minilm()
    description = _description(generator, encoder)
    channels, size = description.channels, description.size
    network, finisher = generator.model, generator.finisher
    similar = [each for each in earlier if _shape(each.description) == _shape(description)]

    def graph(name: str, write: Callable[[Path, Path | None], Path]) -> Path:
        for each in similar:
            with suppress(DifferentGraph, FlowmodelError):  # a FlowmodelError if it is damaged
                return write(folder / name, each.file(name))
        if not trace:
            raise DifferentGraph(name)
        return write(folder / name, None)

    written = {
        NETWORK: graph(NETWORK, partial(export_network, network, channels, size, checkpoint.header.text_width)),
        TOKENIZER: write_bytes(folder / TOKENIZER, encoder.tokenizer.to_str().encode()),
        EMOJI: write_bytes(folder / EMOJI, EMOJI_NAMES.read_bytes()),
        ENGLISH: write_bytes(folder / ENGLISH, packed(without(read_table(PATH), description.languages))),
        CARD: write_bytes(folder / CARD, model_card(description).encode()),
    }
    if finisher:
        written[FINISHER] = graph(FINISHER, partial(export_finisher, finisher, channels, size))
    for precision in towers:
        name = TOWERS[precision]
        if original := _same_tower(name, description, earlier):
            written[name] = Path(shutil.copyfile(original, folder / name))
            share(folder / name, original)
        elif trace:
            tower = encoder.tower if precision == "float32" else in_eight_bits(encoder.tower)
            written[name] = export_tower(tower, folder / name)
        else:
            raise DifferentGraph(name)
    write_json(folder / DESCRIPTION, description.to_json(written))


def _shape(description: Description) -> tuple[object, ...]:
    """What is equal in models that differ only in their weights."""
    same = description
    return same.size, same.finished_size, same.channels, same.parameters, same.encoder_digest


def _same_tower(name: str, description: Description, earlier: Iterable[ModelFolder]) -> Path | None:
    for each in earlier:
        if each.description.encoder_digest == description.encoder_digest and name in each:
            with suppress(FlowmodelError):  # it is damaged
                return each.file(name)
    return None


def _description(generator: Generator, encoder: MiniLm) -> Description:
    recipe, header = generator.recipe, generator.header
    return Description(
        name=recipe.name,
        checkpoint=generator.checkpoint.digest,
        size=recipe.data.size,
        finished_size=generator.size,
        channels=CHANNELS[recipe.data.color],
        parameters=generator.parameters + (count_parameters(generator.finisher) if generator.finisher else 0),
        encoder=encoder.name,
        encoder_digest=encoder.digest,
        max_tokens=MAX_TOKENS,
        sampling=Sampling.of(recipe.sampling.model_dump(), "sampling"),
        styles=_styles(generator.checkpoint) if "name_style" in recipe.data.captions else (),
        terms=tuple(asdict(each) for each in header.terms),
        languages=tuple(recipe.data.languages),
    )


def _styles(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The style words of the training icons' captions, from `sources.yaml` next to the checkpoint; all shipped weights share one.
    A source that is not in that file is a style of its own.
    """
    sources = {icon_id.partition("/")[0] for icon_id in checkpoint.header.trained_ids}
    listed = checkpoint.path.with_name("sources.yaml")
    if checkpoint.path.parent in SHIPPED.values() and not listed.exists():  # a student has those of its teacher
        listed = FOLDER / "sources.yaml"
    entries = load_yaml(listed.read_text(encoding="utf-8"))["sources"] if listed.is_file() else []
    named = {entry["name"]: entry.get("style") or entry["name"] for entry in entries}
    return tuple(sorted({named.get(source, source) for source in sources}))
