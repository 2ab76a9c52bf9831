"""`flowmodel store`: lists the store, and removes what is no longer needed."""

from typing import Annotated

import typer
from rich.table import Table

from flowmodel.cli.common import console
from flowmodel.store import Store

app = typer.Typer(help="List the store with sizes and references, or remove what is unused.")


@app.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """List the store by kind: number, size, and references."""
    if context.invoked_subcommand is not None:
        return
    from flowmodel.inventory import disk_usage, inventory
    from flowmodel.registry.retention import registered_in

    store = Store.from_environment()
    entries = inventory(store, registered_in(store))
    table = Table("", "", "size", "referred to by", caption=str(store.root), caption_justify="left")
    for kind in dict.fromkeys(entry.kind for entry in entries):
        of_kind = [entry for entry in entries if entry.kind == kind]
        for words in dict.fromkeys(entry.referred_by for entry in of_kind):
            same = [entry for entry in of_kind if entry.referred_by == words]
            what = same[0].path.relative_to(store.root).as_posix() if len(same) == 1 else f"{len(same)} of them"
            table.add_row(kind, what, _size(disk_usage(same)), words or "[bold]nothing[/bold]")
    console.print(table)
    unused = [entry for entry in entries if not entry.referred_by]
    console.print(
        f"{_size(disk_usage(entries))}, of which nothing refers to {_size(disk_usage(unused))}: `flowmodel store clean`",
        soft_wrap=True,
    )


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Remove the entries; without this they are only listed.")] = False,
) -> None:
    """Remove entries that no asset, registered version or unfinished training refers to."""
    from flowmodel.inventory import clean as remove
    from flowmodel.inventory import disk_usage, unreferenced
    from flowmodel.registry.retention import registered_in

    store = Store.from_environment()
    registered = registered_in(store)
    unused = (remove if yes else unreferenced)(store, registered)
    for entry in unused:
        console.print(f"{_size(disk_usage([entry])):>10}  {entry.path.relative_to(store.root)}", soft_wrap=True)
    if not unused:
        console.print("everything here is in use")
    elif yes:
        console.print(f"removed: {_size(disk_usage(unused))}")
    else:
        console.print(
            f"nothing refers to these, {_size(disk_usage(unused))}; `flowmodel store clean --yes` removes them", soft_wrap=True
        )


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
