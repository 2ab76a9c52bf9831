"""`flowmodel complete`: samples the missing icons of a set in its style."""

from pathlib import Path
from typing import Annotated

import typer

from flowmodel.cli.common import console


def complete(
    icons: Annotated[Path, typer.Argument(help="Folder of your icons, or a YAML list of sources.")],
    names: Annotated[Path, typer.Option(help="Text file with the names of the missing icons, one per line.", dir_okay=False)],
    out: Annotated[Path, typer.Option(help="Folder for the PNGs, the SVGs and a contact sheet.", file_okay=False)],
    count: Annotated[int, typer.Option(min=1, max=16, help="Samples per name.")] = 4,
    recipe: Annotated[str, typer.Option(help="Recipe of the fine-tuning: a name, or the path of a YAML file.")] = "finetune",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field of the recipe, as field.path=value; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same icons.")] = 0,
    register: Annotated[bool, typer.Option("--register", help="Also evaluate the model and register it in MLflow.")] = False,
) -> None:
    """Fine-tune the shipped weights on your icons, and sample the missing ones in your style.

    The training takes minutes, resumes after an interruption, and is not repeated when you ask for more names.
    """
    from flowmodel.cli.terminal import TerminalObserver
    from flowmodel.completion.complete import complete_set
    from flowmodel.completion.names import read_names
    from flowmodel.locks import in_use
    from flowmodel.recipes import load_recipe
    from flowmodel.store import Store

    def log(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    wanted, chosen, store = read_names(names), load_recipe(recipe, set_ or []), Store.from_environment()
    with in_use(store):
        with TerminalObserver(console, out) as observer:
            completed = complete_set(icons, wanted, out, store, chosen, count, seed, [observer], log)
        copies = [drawing for drawing in completed.drawings if drawing.near_copy_of]
        for drawing in copies:
            log(f"near copy: {drawing.stem} of {drawing.near_copy_of}")
        drawn = f"{len(completed.drawings)} samples of {len(completed.names)} names"
        log(f"{drawn} in {out}/png and {out}/svg, {len(copies)} near copies")
        log(f"contact sheet: {completed.sheet}")
        if register:
            from flowmodel.registry.full_release import evaluate_and_register
            from flowmodel.registry.tracking import Tracking

            registered = evaluate_and_register(Tracking.of(store), completed.checkpoint, completed.dataset, log)
            log(f"registered as version {registered.version}: {registered.decision.reason}")
    log(f"more samples: flowmodel sample 'paper plane' --model {completed.checkpoint}")
