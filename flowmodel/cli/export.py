"""`flowmodel export`: writes a model as a folder that needs no PyTorch, or as a page for a browser."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from flowmodel.cli.common import console, resolve
from flowmodel.errors import FlowmodelError


def export(
    model: Annotated[str | None, typer.Argument(help="As --model of other commands; default: the champion.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of ONNX graphs to write; an earlier one is replaced.")] = None,
    zip: Annotated[bool, typer.Option("--zip", help="Also write a zip file next to the folder.")] = False,
    web: Annotated[Path | None, typer.Option(help="Folder to write, with a page that samples in the browser.")] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            help="With --web, the YAML list of the sources that the model was trained on, so that the page can mark new icons; "
            "default: the data set of the training, if it is still in the store."
        ),
    ] = None,
) -> None:
    """Write a model as ONNX graphs with everything that sampling needs, for `flowmodel sample --model FOLDER` or a browser."""
    from flowmodel.extras import require
    from flowmodel.store import Store

    if out is None and web is None:
        raise FlowmodelError("--out: missing; name the folder to write, or use --web to write a page")
    if sources is not None and web is None:
        raise FlowmodelError("--sources: only used with --web; add that, or leave it out")
    require("onnx", "onnxruntime", "onnxscript")
    from flowmodel.export.model_export import export_model, zip_folder

    store = Store.from_environment()
    checkpoint = resolve(store, model)
    with TemporaryDirectory(prefix="flowmodel-") as work:
        folder = export_model(checkpoint, out or Path(work, "model"), ("float32", "int8") if out else ())
        if out:
            _tell(out, f"model {folder.description.name}, digest {folder.digest[:12]}")
        if out and zip:
            _tell(zip_folder(folder, out.with_name(f"{out.name}.zip")).path, "all files of the folder")
        if web:
            from flowmodel.export.training_icons import TrainingIcons
            from flowmodel.export.web import export_page

            icons = TrainingIcons.find(checkpoint, store, sources, console.print)
            export_page(folder, web, store.downloads, console.print, icons)
            _tell(web, f"a page; view it with: python -m http.server --bind 127.0.0.1 --directory {web}")
            if icons is None:
                line = "note: the page can't mark new icons, because their sources are unknown; name them with --sources"
                console.print(line, soft_wrap=True)


def _tell(path: Path, what: str) -> None:
    listed = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    size = sum(each.stat().st_size for each in listed) / 1e6
    console.print(f"{path} ({size:.1f} MB): {what}", soft_wrap=True, markup=False)
