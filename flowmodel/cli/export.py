"""`flowmodel export`: a model as a folder that draws without PyTorch, or as a page that draws in a browser."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from flowmodel.cli.common import console, resolve
from flowmodel.errors import FlowmodelError


def export(
    model: Annotated[str | None, typer.Argument(help="What --model is elsewhere; default: the champion.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of ONNX graphs to write; an earlier one is replaced.")] = None,
    zip: Annotated[bool, typer.Option("--zip", help="Also a zip file of it, beside the folder.")] = False,
    web: Annotated[Path | None, typer.Option(help="Folder of a page to write that draws in a browser.")] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            help="With --web, the YAML list of the sources that the model was trained on, so that the page tells what is new; "
            "default: the data set of the training, where the store still has it."
        ),
    ] = None,
) -> None:
    """Write a model as ONNX graphs with all that drawing needs, for `flowmodel sample --model FOLDER` or for a browser."""
    from flowmodel.extras import require
    from flowmodel.store import Store

    if out is None and web is None:
        raise FlowmodelError("--out: missing; name the folder to write, or that of a page with --web")
    if sources is not None and web is None:
        raise FlowmodelError("--sources: is for the page alone; give --web too, or leave it out")
    require("onnx", "onnxruntime", "onnxscript")
    from flowmodel.export.model_export import export_model, zip_folder
    from flowmodel.runtime.model_folder import TOWERS

    store = Store.from_environment()
    checkpoint = resolve(store, model)
    with TemporaryDirectory(prefix="flowmodel-") as work:
        folder = export_model(checkpoint, out or Path(work, "model"), TOWERS if out else ("int8",))
        if out:
            _tell(out, f"model {folder.description.name}, digest {folder.digest[:12]}")
        if out and zip:
            _tell(zip_folder(folder, out.with_name(f"{out.name}.zip")).path, "all of it")
        if web:
            from flowmodel.export.training_icons import TrainingIcons
            from flowmodel.export.web import export_page

            icons = TrainingIcons.find(checkpoint, store, sources, console.print)
            export_page(folder, web, store.downloads, console.print, icons)
            _tell(web, f"a page; look at it with: python -m http.server --bind 127.0.0.1 --directory {web}")
            if icons is None:
                line = "note: it can't tell what is new, as the training icons are not here; --sources names where they come from"
                console.print(line, soft_wrap=True)


def _tell(path: Path, what: str) -> None:
    listed = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    size = sum(each.stat().st_size for each in listed) / 1e6
    console.print(f"{path} ({size:.1f} MB): {what}", soft_wrap=True, markup=False)
