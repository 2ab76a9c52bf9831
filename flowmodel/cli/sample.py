"""`flowmodel sample`: samples icons for prompts, in the requested format."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowmodel.cli.common import ModelOption, console, exported, quicker, resolve
from flowmodel.errors import FlowmodelError
from flowmodel.vector.formats import Format

if TYPE_CHECKING:
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.model.generator import Generator
    from flowmodel.runtime.onnx_generator import OnnxGenerator


def sample(
    prompts: Annotated[list[str], typer.Argument(help="One or more captions, each in quotes.")],
    out: Annotated[
        Path, typer.Option(help="PNG of the grid; single images go into a folder of the same name next to it.")
    ] = Path("samples.png"),
    count: Annotated[int, typer.Option(min=1, help="Images per prompt.")] = 1,
    model: ModelOption = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Solver steps; default: the recipe's.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Guidance scale; 1 is off; default: the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same images.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    finish: Annotated[
        bool,
        typer.Option("--finish/--no-finish", help="Whether the model's finisher, if it has one, sharpens the images."),
    ] = True,
    format: Annotated[
        Format, typer.Option(help="Format of the images. A sheet is one PNG with a JSON file; a favicon is a folder of files.")
    ] = "png",
    size: Annotated[
        int | None,
        typer.Option(min=16, max=4096, help="Size of the images in pixels; default: the model's own, 512 for webp."),
    ] = None,
    background: Annotated[str, typer.Option(help="transparent, or a color such as #fff.")] = "transparent",
    trace: Annotated[
        bool,
        typer.Option(
            "--trace/--no-trace",
            help="Whether sizes other than the model's own are rendered from traced shapes or resampled from pixels.",
        ),
    ] = True,
    animate: Annotated[
        bool, typer.Option("--animate", help="Also write PROMPT-animated.png in that folder: noise turning into icons.")
    ] = False,
) -> None:
    """Sample transparent icons for prompts, and write a grid of them on a checkerboard."""
    import numpy as np

    from flowmodel.images.grid import image_grid
    from flowmodel.images.save import file_stem, save_image
    from flowmodel.store import Store
    from flowmodel.vector import artwork, files

    if out.suffix.lower() != ".png":
        raise FlowmodelError(f"--out {out}: the grid is a PNG; choose a name that ends in .png")
    ground = artwork.background(background)
    files.check(format, size, trace)
    generator: OnnxGenerator | Generator | None = exported(model, device)
    named = str(generator)
    if generator is None:
        store = Store.from_environment()
        checkpoint = resolve(store, model)
        named = str(checkpoint)
        generator = quicker(store, checkpoint, device, count * len(prompts)) or _generator(checkpoint, device)
    read = generator.readability(prompts)
    read.require_meaning()
    for line in read.notes:
        console.print(f"note: {line}", soft_wrap=True, markup=False)
    folder = out.with_suffix("")
    drawn: dict[str, artwork.Artwork] = {}
    labels: list[str] = []
    animations: list[Path] = []
    # Prompt by prompt, so that an image depends on its prompt, its number and the seed, but not on other prompts. A prompt that
    # is given twice has twice as many images.
    text_of = dict(zip(prompts, read.texts, strict=True))
    for prompt, times in Counter(prompts).items():
        asked, stem = [prompt] * (times * count), file_stem(prompt)
        for number, rgba_4HW in enumerate(np.asarray(generator.sample(asked, seed, steps, guidance, finish=finish))):
            drawn[f"{stem}-{number}"] = artwork.Artwork(rgba_4HW, trace, ground)
            labels.append(text_of[prompt])
        if animate:
            from flowmodel.images.animation import write_animation

            animations.append(folder / f"{stem}-animated.png")
            states_SN4HW = generator.trajectory(asked, seed, steps, guidance, finish).states_SBCHW
            write_animation(np.asarray(states_SN4HW), animations[-1])
    files.write(drawn, folder, format, size)
    # The grid shows traced shapes as shapes, even if they are written at the model's own size.
    shown = [
        icon.at(size or files.default_size(format) or (2 * icon.size if format == "svg" else None)) for icon in drawn.values()
    ]
    save_image(image_grid(shown, columns=count if count > 1 else 8, labels=labels), out)
    nfe = f"{generator.nfe(steps, guidance)} network evaluations per image"
    images = f"{len(drawn)} image{'s' if len(drawn) > 1 else ''}"
    finished = ", finished" if finish and generator.finisher else ""
    # Not wrapped, so that paths can be copied.
    for path in animations:
        console.print(f"noise turning into icons: {path}", soft_wrap=True, markup=False)
    console.print(f"{images} in {folder}/, grid in {out} (model {named}, {nfe}{finished}, seed {seed})", soft_wrap=True)


def _generator(checkpoint: "Checkpoint", device: str) -> "Generator":
    from flowmodel.model.generator import Generator

    return Generator.load(checkpoint, device)
