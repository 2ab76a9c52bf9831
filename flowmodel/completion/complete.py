"""Fine-tunes on an icon set and samples the names that it lacks.

Shape suffixes: N samples, M icons of the set, H/W height and width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from flowmodel.completion.drawing import Drawing
from flowmodel.completion.near_copies import copied_icons
from flowmodel.completion.sheet import contact_sheet
from flowmodel.data.captions import caption_texts
from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import prepare, prepare_targets
from flowmodel.files import write_json
from flowmodel.images.rgba import to_image
from flowmodel.images.save import file_stem, save_image
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.generator import Generator
from flowmodel.recipes import Recipe
from flowmodel.store import Store
from flowmodel.training.finishing import finish
from flowmodel.training.loop import train, training_folder
from flowmodel.training.observers import TrainingObserver
from flowmodel.vector import files
from flowmodel.vector.artwork import Artwork

# A style word that the shipped weights know. Samples of other names adopt more of the set's style with it than with a new word
# (docs/decisions/style-adoption.md).
STYLE = "twemoji"
SHEET, RECORD = "contact-sheet.png", "drawings.json"


@dataclass(frozen=True)
class Completion:
    """The result of :func:`complete_set`.

    Attributes:
        checkpoint: the fine-tuned model.
        dataset: the icons of the set.
        trained_now: False if an earlier call had finished the training.
        drawings: all samples, name by name.
        sheet: contact sheet of the samples next to icons of the set.
    """

    checkpoint: Checkpoint
    dataset: IconDataset
    trained_now: bool
    drawings: tuple[Drawing, ...]
    sheet: Path

    @property
    def names(self) -> tuple[str, ...]:
        """The sampled names, once each."""
        return tuple(dict.fromkeys(drawing.name for drawing in self.drawings))


def complete_set(
    icons: Path,
    names: Sequence[str],
    out: Path,
    store: Store,
    recipe: Recipe,
    count: int = 4,
    seed: int = 0,
    observers: Sequence[TrainingObserver] = (),
    log: Callable[[str], None] = lambda line: None,
) -> Completion:
    """Sample `count` icons for each of `names`, once each, in the style of `icons`, and write them to `out` as PNG and SVG.

    The training is stored in `store` and depends only on the icons and the recipe. The same call resumes it after an
    interruption, and a call with other names does not train again. No icon is held out.

    Args:
        icons: a folder of icons, or a YAML list of sources. Captions call their style STYLE.
        recipe: a recipe that starts from other weights, such as `finetune`.
        log: receives progress lines.

    Raises:
        Resumable: the training was stopped; the same call continues.
        FlowmodelError: the icons, the initial weights or an encoder can't be read, or `out` is not writable.
    """
    files.check("svg", None, traces=True)
    names, recipe = list(dict.fromkeys(names)), without_held_out_icons(recipe)
    dataset = prepare(recipe, store, icons, log, style=STYLE)
    trained = train(recipe, dataset, training_folder(store, recipe, dataset), observers)
    checkpoint = finish(recipe, trained.checkpoint, dataset, prepare_targets(recipe, store, icons, log, STYLE), log).checkpoint
    generator = Generator.load(checkpoint, recipe.training.device)
    template = recipe.data.captions[0]
    prompts = [caption_texts(name, [], "", "", STYLE).get(template, name) for name in names]
    for line in generator.readability(prompts).lines():
        log(f"note: {line}")
    log(f"sampling {len(names)} x {count} icons with {generator}")
    # Prompt by prompt, so that the samples of a name do not depend on the other names.
    rgba_N4HW = torch.cat([generator.sample([prompt] * count, seed) for prompt in prompts])
    own = [dataset.row_of[icon_id] for icon_id in checkpoint.header.trained_ids]  # not those that data.selection leaves out
    copied = copied_icons(rgba_N4HW, dataset.rgba_N4HW[own])
    drawings = tuple(
        Drawing(name, f"{file_stem(name)}-{number}", None if row is None else dataset.ids[own[row]])
        for (name, number), row in zip(((name, number) for name in names for number in range(count)), copied, strict=True)
    )
    artworks = {drawing.stem: Artwork(rgba_4HW) for drawing, rgba_4HW in zip(drawings, rgba_N4HW.numpy(), strict=True)}
    files.write(artworks, out / "png", "png")
    files.write(artworks, out / "svg", "svg")
    write_json(out / RECORD, [vars(drawing) for drawing in drawings])
    sheet = contact_sheet(drawings, [to_image(rgba_4HW) for rgba_4HW in rgba_N4HW], dataset, own, count)
    save_image(sheet, out / SHEET)
    return Completion(checkpoint, dataset, not trained.already_finished, drawings, out / SHEET)


def without_held_out_icons(recipe: Recipe) -> Recipe:
    """The recipe with all icons in the split `train`, because a set of a few dozen needs each of them."""
    split = recipe.data.split.model_copy(
        update=dict.fromkeys(("validation", "unseen_concept", "unseen_style", "unseen_tone"), 0.0)
    )
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"split": split})})
