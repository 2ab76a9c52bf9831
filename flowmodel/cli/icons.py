"""`flowmodel icons check`: checks icons before training on them."""

from pathlib import Path
from typing import Annotated

import typer

from flowmodel.cli.common import console
from flowmodel.errors import FlowmodelError

app = typer.Typer(help="Check icons before training on them.", no_args_is_help=True)

NOT_FINE = 1
SHOWN = 5  # duplicate names to print


@app.callback()
def icons() -> None:
    """Check icons before training on them."""


@app.command()
def check(
    where: Annotated[Path, typer.Argument(help="A folder of icons, or a YAML list of sources.")],
    out: Annotated[Path, typer.Option(help="Folder for the report, the contact sheet and captions.csv.", file_okay=False)] = Path(
        "icons-check"
    ),
    size: Annotated[int, typer.Option(min=16, help="Size of the training images, in pixels.")] = 64,
    encoder: Annotated[str, typer.Option(help="Caption encoder of the training.")] = "minilm",
) -> None:
    """Report usable and unusable icons with reasons, look-alikes, and captions that the encoder can't distinguish.

    Writes report.html, contact-sheet.png and, for a folder, a captions.csv to start from. Exits with 0 if there are no problems,
    and with 1 otherwise.
    """
    from flowmodel.data.inspection import inspect_sources
    from flowmodel.data.inspection_files import REPORT, write_findings
    from flowmodel.data.sources.config import SOURCE
    from flowmodel.data.sources.context import SourceContext
    from flowmodel.data.sources.source_list import load_sources
    from flowmodel.store import Store

    def log(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    if not where.exists():
        raise FlowmodelError(f"{where}: no such folder or list of sources")
    path = where.resolve()
    if path.is_dir():
        configs = [SOURCE.validate_python({"name": "icons", "kind": "folder", "path": str(path)})]
    else:
        configs = load_sources(path)
    context = SourceContext(path.parent, Store.from_environment().downloads, log)
    findings = inspect_sources(configs, context, size, encoder)
    log(f"{len(findings.usable):,} of {len(findings.icons):,} icons are usable")
    for reason, ids in findings.unusable.items():
        log(f"  unusable: {len(ids):,} x {reason} ({_some(ids)})")
    for line in findings.readability.lines():
        log(f"  captions: {line}")
    for name, ids in list(findings.same_name.items())[:SHOWN]:
        log(f"  same name: {len(ids):,} x '{name}' ({_some(ids)})")
    if (more := len(findings.same_name) - SHOWN) > 0:
        log(f"  same name: {more:,} more names, listed in the report")
    if findings.look_alikes:
        groups = len(findings.look_alikes)
        log(f"  look alike: {sum(map(len, findings.look_alikes)):,} icons in {groups:,} group{'s' * (groups > 1)}")
    if findings.small:
        log(f"  smaller than {size} pixels: {len(findings.small):,} ({_some(findings.small)})")
    for note, ids in findings.notes.items():
        log(f"  noted: {len(ids):,} x {note} ({_some(ids)})")
    written = write_findings(findings, path.name, out)
    report = written.pop(REPORT)
    log(f"report {report}" + (f", with {', '.join(sorted(written))}" if written else ""))
    if not findings.is_fine:
        raise typer.Exit(NOT_FINE)


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
