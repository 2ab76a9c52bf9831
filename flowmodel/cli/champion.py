"""`flowmodel champion …`: which registered version is used, why, and how to choose another one."""

from typing import Annotated

import typer
from rich.table import Table

from flowmodel.cli.common import console
from flowmodel.store import Store

app = typer.Typer(help="Which registered version is used by default, why, and how to choose another.", no_args_is_help=True)


@app.command()
def show() -> None:
    """The champion and what the gate decided about it."""
    from flowmodel.errors import FlowmodelError
    from flowmodel.registry.champion import DECISION, REASON, registered_versions
    from flowmodel.registry.references import CHAMPION

    champion = next((row for row in registered_versions(Store.from_environment()) if CHAMPION in row.aliases), None)
    if champion is None:
        raise FlowmodelError("no version is champion; `flowmodel champion list` shows them, `flowmodel champion set` chooses one")
    tags = champion.tags
    console.print(
        f"version {champion.version}, registered {champion.registered}, recipe {tags.get('recipe', '?')}", soft_wrap=True
    )
    # What the gate said then; a person may have chosen otherwise since.
    console.print(f"the gate's decision: {tags.get(DECISION, 'none')}: {tags.get(REASON, 'none recorded')}", soft_wrap=True)
    for rule in champion.rules:
        console.print(f"  {rule['in words']}", soft_wrap=True)


@app.command(name="list")
def list_() -> None:
    """Every registered version with its scores and the gate's decision, oldest first."""
    from flowmodel.registry.champion import DECISION, REASON, ROLLED_BACK, registered_versions

    table = Table("version", "aliases", "registered", "recipe", "KID", "top-1", "the gate's decision")
    for row in registered_versions(Store.from_environment()):
        decision = f"{row.tags.get(DECISION, '-')}: {row.tags.get(REASON, '-')}"
        if ROLLED_BACK in row.tags:
            decision += f" (rolled back {row.tags[ROLLED_BACK]})"
        scores = (row.tags.get(name, "-") for name in ("recipe", "kid", "retrieval_top1_all"))
        table.add_row(row.version, ", ".join(row.aliases) or "-", row.registered, *scores, decision)
    console.print(table)


@app.command(name="set")
def set_(version: Annotated[str, typer.Argument(help="A number of `flowmodel champion list`.")]) -> None:
    """Make VERSION the champion, whatever the gate said: to roll back, or to choose by eye."""
    from flowmodel.registry.champion import set_champion

    before = set_champion(Store.from_environment(), version)
    if before == version:
        console.print(f"version {version} is the champion already")
    elif before is None:
        console.print(f"version {version} is the champion now; there was none before")
    else:
        console.print(f"version {version} is the champion now; `flowmodel champion set {before}` undoes that", soft_wrap=True)
