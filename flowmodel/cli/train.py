"""`flowmodel train`: trains without Dagster and MLflow."""

from pathlib import Path
from typing import Annotated

import typer

from flowmodel.cli.common import console


def train(
    out: Annotated[Path, typer.Option(help="Folder of the training; an unfinished training is resumed.", file_okay=False)],
    recipe: Annotated[str, typer.Option(help="Name of a recipe, or the path of a YAML file.")] = "quickstart",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field of the recipe, as field.path=value; repeatable.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps; default: the recipe's.")] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint to start from, pretrained (the shipped weights) or null (random weights); default: the recipe's."
        ),
    ] = None,
    sources: Annotated[
        Path | None, typer.Option(help="YAML list of icon sources; default: $FLOWMODEL_SOURCES or the pipeline's.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Read all sources again, even if they look unchanged.")] = False,
) -> None:
    """Train without Dagster and MLflow; writes OUT/final.safetensors and OUT/grid.png with samples.

    If the recipe has a finisher, OUT/finished.safetensors is the same model with it.
    """
    from flowmodel.cli.terminal import TerminalObserver
    from flowmodel.data.dataset import IconDataset
    from flowmodel.data.prepare import prepare, prepare_targets
    from flowmodel.locks import in_use
    from flowmodel.recipes import load_recipe
    from flowmodel.store import Store
    from flowmodel.training.finishing import finish
    from flowmodel.training.loop import train as run_training
    from flowmodel.training.processes import made_by_main

    given = {"training.device": device, "training.init_from": init}
    chosen = load_recipe(recipe, [*(set_ or []), *(f"{field}={value}" for field, value in given.items() if value)])
    store = Store.from_environment()

    def log(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    with in_use(store):
        # Under `accelerate launch` all processes get here.
        folder, is_main = made_by_main(chosen.training.device, lambda: prepare(chosen, store, sources, log, again).folder)
        console.quiet = not is_main
        dataset = IconDataset.open(folder)
        with TerminalObserver(console, out) as observer:
            trained = run_training(chosen, dataset, out, [observer] if is_main else [])
        if is_main and chosen.finisher:
            targets = prepare_targets(chosen, store, sources, log=log)
            finished = finish(chosen, trained.checkpoint, dataset, targets, log=log)
            words = "trained" if finished.trained_now else "was already trained"
            console.print(f"finisher {words}: {finished.checkpoint}", soft_wrap=True)
