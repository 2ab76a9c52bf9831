"""`flowmodel champion …`: shows which registered version is used and why, and chooses another one."""

from typing import Annotated

import typer
from rich import box
from rich.table import Table

from flowmodel.cli.common import console
from flowmodel.errors import FlowmodelError
from flowmodel.store import Store

app = typer.Typer(help="Show which registered version is used and why, or choose another.", no_args_is_help=True)


@app.command()
def show(
    version: Annotated[str | None, typer.Argument(help="Number from `flowmodel champion list`; default: the champion.")] = None,
) -> None:
    """Show a version and the gate's decision about it."""
    from flowmodel.registry.names import CHAMPION, DECISION, ROLLED_BACK
    from flowmodel.registry.versions import decided, registered_versions

    store = Store.from_environment()
    rows = registered_versions(store)
    row = next((row for row in rows if (CHAMPION in row.aliases if version is None else row.version == version)), None)
    if row is None and version is None:
        raise FlowmodelError("no version is champion; `flowmodel champion list` shows them, `flowmodel champion set` chooses one")
    if row is None:
        raise FlowmodelError(f"version '{version}': no such version; there are {', '.join(row.version for row in rows)}")
    aliases = "".join(f", {alias}" for alias in row.aliases)
    lines = [f"version {row.version}{aliases}, registered {row.registered}, recipe {row.tags.get('recipe', '?')}"]
    # The gate's decision at registration; a person may have chosen another champion since.
    reason, rules = decided(store, row) if DECISION in row.tags else ("none recorded", [])
    lines.append(f"the gate's decision: {row.tags.get(DECISION, 'none')}: {reason}")
    if ROLLED_BACK in row.tags:
        lines.append(f"rolled back {row.tags[ROLLED_BACK]}: somebody chose another champion")
    lines += [f"  {rule}" for rule in rules]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


@app.command(name="list")
def list_() -> None:
    """List every registered version with its scores and the gate's verdict, oldest first."""
    from flowmodel.registry.versions import registered_versions

    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("version", "alias", "registered", "recipe", "KID", "top-1", "the gate"):
        table.add_column(name, no_wrap=name != "recipe", overflow="fold")
    for row in registered_versions(Store.from_environment()):
        top1 = row.tags.get("top1") or row.tags.get("retrieval_top1_all", "-")  # its name in earlier releases
        scores = (row.tags.get("recipe", "-"), row.tags.get("kid", "-"), top1)
        table.add_row(row.version, ", ".join(row.aliases) or "-", row.registered.split()[0], *scores, row.verdict)
    console.print(table)
    console.print("why: flowmodel champion show VERSION", soft_wrap=True)


@app.command(name="set")
def set_(version: Annotated[str, typer.Argument(help="Number from `flowmodel champion list`.")]) -> None:
    """Make VERSION the champion regardless of the gate, to roll back or to choose by eye."""
    from flowmodel.registry.choosing import set_champion

    before = set_champion(Store.from_environment(), version)
    if before == version:
        console.print(f"version {version} is already the champion")
    elif before is None:
        console.print(f"version {version} is now the champion; there was none before")
    else:
        console.print(f"version {version} is now the champion; `flowmodel champion set {before}` undoes that", soft_wrap=True)
