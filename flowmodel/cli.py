"""The command line: `flowmodel train`, `sample`, `evaluate`, `champion` and `summary`.

What a person has to put right is one line on standard error and exit code 2; a training that was stopped and can be continued
exits with 75. Heavy imports happen inside the commands, so that
`flowmodel --help` answers at once.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from flowmodel.champion_cli import app as champion_app
from flowmodel.errors import FlowmodelError, Resumable

if TYPE_CHECKING:
    from flowmodel.store import Store

app = typer.Typer(
    help="A small text-to-icon generator: train it on captioned icons, then type a prompt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(champion_app, name="champion")
_console = Console(highlight=False)

_Model = Annotated[
    str | None,
    typer.Option(
        help="A checkpoint file, models:/NAME@alias, models:/NAME/VERSION, or pretrained: the shipped weights; default: the "
        "champion, or the shipped weights where nothing is registered yet."
    ),
]


def _resolve(store: "Store", model: str | None) -> Path:
    """The checkpoint that `--model` names; says so where it is the shipped one for want of another."""
    from flowmodel.registry.references import resolve_model
    from flowmodel.training.pretrained import FOLDER

    path = resolve_model(store, model)
    if model is None and path.parent == FOLDER:
        _console.print(f"no model is registered yet, so this is the shipped one, {path} (`make quickstart` trains your own)")
    return path


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder of the training; an unfinished one there is continued.", file_okay=False)],
    recipe: Annotated[str, typer.Option(help="Name of a recipe, or path of a YAML file.")] = "quickstart",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="field.path=value in place of the recipe's; repeatable.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps; default: the recipe's.")] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint to start from (fine-tuning), pretrained: the shipped weights, or null: random ones; default: the "
            "recipe's."
        ),
    ] = None,
    sources: Annotated[
        Path | None, typer.Option(help="YAML list of icon sources; default: $FLOWMODEL_SOURCES or the pipeline's.")
    ] = None,
) -> None:
    """Train without Dagster and MLflow; leaves OUT/final.safetensors, and OUT/grid.png of what it draws."""
    from flowmodel.prepare import prepare
    from flowmodel.recipes import load_recipe
    from flowmodel.store import Store
    from flowmodel.terminal import TerminalObserver
    from flowmodel.training.inputs import TrainingInputs
    from flowmodel.training.loop import train as run_training
    from flowmodel.training.processes import main_process_first

    given = {"training.device": device, "training.init": init}
    chosen = load_recipe(recipe, [*(set_ or []), *(f"{field}={value}" for field, value in given.items() if value)])
    # Under `accelerate launch` all processes come here.
    with main_process_first(chosen.training.device) as is_main:
        _console.quiet = not is_main
        store = Store.from_environment()
        of_main = TrainingInputs.of  # the others read what it has prepared
        inputs = prepare(chosen, store, sources, log=_console.print) if is_main else of_main(store, chosen.data.size)
    with TerminalObserver(_console, out) as observer:
        run_training(chosen, inputs, out, [observer] if is_main else [])


@app.command()
def sample(
    prompts: Annotated[list[str], typer.Argument(help="One or more captions, each in quotes.")],
    out: Annotated[Path, typer.Option(help="The grid's PNG; the pictures go into a folder of the same name beside it.")] = Path(
        "samples.png"
    ),
    count: Annotated[int, typer.Option(min=1, help="Pictures a prompt.")] = 1,
    model: _Model = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Solver steps; default: the recipe's.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Guidance scale; 1 is off; default: the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same pictures.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    animate: Annotated[bool, typer.Option("--animate", help="Also PROMPT.png in that folder: noise becoming the icons.")] = False,
) -> None:
    """Draw transparent PNGs for prompts, and a grid of them on a checkerboard."""
    from flowmodel.evaluation.trajectory import draw_animation
    from flowmodel.generate import Generator
    from flowmodel.icons.grid import picture_grid
    from flowmodel.icons.rgba import to_image
    from flowmodel.pictures import save_image, slug
    from flowmodel.store import Store

    if out.suffix.lower() != ".png":
        raise FlowmodelError(f"--out {out}: the grid is a PNG; give a name that ends in .png")
    path = _resolve(Store.from_environment(), model)
    generator = Generator.load(path, device)
    folder = out.with_suffix("")
    images, labels = [], []
    for prompt in prompts:
        # Prompt by prompt, so that a picture depends on its own prompt, its number and the seed, not on the other prompts.
        drawn_NCHW = generator.sample([prompt] * count, seed=seed, steps=steps, guidance=guidance)
        for number, rgba_CHW in enumerate(drawn_NCHW):
            images.append(to_image(rgba_CHW))
            labels.append(prompt)
            save_image(images[-1], folder / f"{slug(prompt)}-{number}.png")
        if animate:
            draw_animation(generator, [prompt] * count, folder / f"{slug(prompt)}.png", seed, steps, guidance)
    save_image(picture_grid(images, columns=count if count > 1 else 8, labels=labels), out)
    evaluations = generator.nfe(steps, guidance)
    nfe = "adaptive steps" if evaluations is None else f"{evaluations} network evaluations a picture"
    _console.print(f"{len(images)} pictures in {folder}/, grid in {out} (model {path}, {nfe}, seed {seed})")


@app.command()
def evaluate(
    model: _Model = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="First of as many seeds as the recipe has; default: the recipe's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The report, one HTML file.", dir_okay=False)] = Path("report.html"),
    json: Annotated[
        Path | None, typer.Option("--json", help="Also metrics, reference and settings as JSON.", dir_okay=False)
    ] = None,
    icons: Annotated[int | None, typer.Option(min=2, help="Icons a split, at most; default: the recipe's.")] = None,
    sweeps: Annotated[bool, typer.Option(help="Also try other numbers of steps and other guidance.")] = True,
    sources: Annotated[
        Path | None, typer.Option(help="YAML list of icon sources; default: $FLOWMODEL_SOURCES or the pipeline's.")
    ] = None,
) -> None:
    """Score a model on trained and held-out captions, and show what it draws in one HTML file."""
    from flowmodel.evaluation.report import evaluate_and_report
    from flowmodel.files import write_bytes
    from flowmodel.prepare import prepare
    from flowmodel.recipes import parse_recipe
    from flowmodel.registry.curves import training_curves
    from flowmodel.store import Store
    from flowmodel.summary import metrics_table
    from flowmodel.terminal import Stages
    from flowmodel.training.checkpoint import read_header

    for path, suffixes in ((out, (".html", ".htm")), (json, (".json",))):
        if path is not None and path.suffix.lower() not in suffixes:
            raise FlowmodelError(f"{path}: give a name that ends in {suffixes[0]}")
    store = Store.from_environment()
    checkpoint = _resolve(store, model)
    recipe = parse_recipe(read_header(checkpoint).recipe, where=str(checkpoint))
    config = recipe.evaluation
    if seed is not None:
        config = config.model_copy(update={"seeds": tuple(seed + number for number in range(len(config.seeds)))})
    if icons is not None:
        config = config.model_copy(update={"max_icons": icons})
    # Nothing but the page, the numbers and the cached features is kept.
    with Stages(_console) as stages, tempfile.TemporaryDirectory(prefix="flowmodel-") as folder:
        inputs = prepare(recipe, store, sources, log=stages)
        curves = training_curves(store, checkpoint)
        evaluation = evaluate_and_report(
            checkpoint, inputs, Path(folder), out, store.root / "features", config, sweeps, curves, log=stages
        )
        if json is not None:
            write_bytes(json, evaluation.metrics.path.read_bytes())
    _console.print(metrics_table(evaluation.report))
    _console.print(f"report {out}{f', metrics {json}' if json else ''} (model {checkpoint})", soft_wrap=True)


@app.command()
def summary() -> None:
    """What the last pipeline run has made: metrics, sample grid, registered model, and how to look at them."""
    from flowmodel.store import Store
    from flowmodel.summary import print_summary

    print_summary(Store.from_environment(), _console)


def main() -> None:
    """Entry point of the `flowmodel` command."""
    try:
        app()
    except Resumable as error:
        print(f"stopped: {error}", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)
    except FlowmodelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command continues from where it has written something", file=sys.stderr)
        sys.exit(130)
