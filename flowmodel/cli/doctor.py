"""`flowmodel doctor`: checks what works on this machine, and tells how to fix the rest."""

import json
from typing import Annotated

import typer

from flowmodel.cli.common import console

_MARKS = {"ok": "[green]ok     [/]", "note": "[yellow]note   [/]", "problem": "[red]problem[/]"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check the installation, the store, the weights, the registered model, ports and the daemon.

    Exits with 0 if there is no problem, and with 1 otherwise.
    """
    from rich.markup import escape

    from flowmodel.doctor import examine
    from flowmodel.store import Store

    findings = examine(Store.from_environment())
    if as_json:
        typer.echo(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        for finding in findings:
            remedy = f"; {finding.remedy}" if finding.remedy else ""
            console.print(f"{_MARKS[finding.status]}  {finding.name}: {escape(finding.found + remedy)}", soft_wrap=True)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)
