"""A static page that draws in the browser, with nothing behind it: the page, ONNX Runtime for WebAssembly, and the model."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.npm_client import fetch_package, read_members
from flowmodel.errors import FlowmodelError
from flowmodel.files import write_bytes, write_json
from flowmodel.runtime.model_folder import CARD, DESCRIPTION, EMOJI, FINISHER, NETWORK, TOKENIZER, TOWERS, ModelFolder

_PACKAGE, _VERSION = "onnxruntime-web", "1.30.0"
_INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_ENGINE = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
_PAGE = ("index.html", "page.js", "style.css")


def export_page(model: ModelFolder, folder: Path, downloads: Path, log: Callable[[str], None]) -> None:
    """Write to `folder` a page that draws with the exported `model`. Any server of files can serve it, and it reaches for
    nothing else.

    The engine is the npm package onnxruntime-web, fetched into `downloads` once and held against its pinned digest.

    Raises FlowmodelError when the package can't be had, the model was changed, or something else lies at `folder`.
    """
    if folder.exists() and not (folder / "page.js").is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise FlowmodelError(f"{folder}: holds something else than such a page; give a new folder")
    package = fetch_package(_PACKAGE, _VERSION, _INTEGRITY, SourceContext(downloads, downloads, log))
    engine = read_members(package.tgz, [f"package/dist/{name}" for name in _ENGINE])
    if len(engine) != len(_ENGINE):
        raise FlowmodelError(f"{package.tgz}: lacks one of {', '.join(_ENGINE)}; remove it, and it is fetched again")
    copied = {}
    for name in (NETWORK, FINISHER, TOWERS["int8"], TOKENIZER, EMOJI, CARD):
        if name in model:
            copied[name] = write_bytes(folder / "model" / name, model.file(name).read_bytes())
    write_json(folder / "model" / DESCRIPTION, model.description.to_json(copied))
    for name in _PAGE:
        write_bytes(folder / name, (files("flowmodel.export") / "page" / name).read_bytes())
    for name, content in engine.items():
        write_bytes(folder / Path(name).name, content)
