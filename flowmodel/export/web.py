"""A static page that samples in the browser without a server: the page, its libraries, and a model."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.npm_client import fetch_package, read_members
from flowmodel.errors import FlowmodelError
from flowmodel.export.training_icons import TrainingIcons
from flowmodel.files import write_bytes, write_json
from flowmodel.runtime.model_folder import CARD, DESCRIPTION, EMOJI, ENGLISH, PACKED, TOKENIZER, TOWERS, ModelFolder

PAGE = "page.json"  # which models the page offers
MODEL, _ICONS, _VENDOR = "model", "icons", "vendor"


@dataclass(frozen=True)
class _Package:
    """An npm package at a pinned digest; `members` maps the page's file names to files in its archive. A name in
    .zlib is compressed.
    """

    name: str
    version: str
    integrity: str
    license: str
    members: Mapping[str, str]


_PACKAGES = (
    _Package(
        "onnxruntime-web",
        "1.30.0",
        "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        "MIT, Microsoft",
        {
            "ort.wasm.bundle.min.mjs": "package/dist/ort.wasm.bundle.min.mjs",
            "ort-wasm-simd-threaded.wasm.zlib": "package/dist/ort-wasm-simd-threaded.wasm",  # 4 instead of 14 MB
        },
    ),
    _Package(
        "vectortracer",
        "0.1.2",
        "sha512-RqshIHxcUKX8WZYvcCAnyVoH6MXMfU74BNxldgQfxM8Vk9rPKHCec/MOq/slXPHMrk7l3Pqr30m6eqBAdgU6Gg==",
        "MIT, Alan North; includes vtracer: MIT, Tsang Hao Fung and visioncortex",
        {name: f"package/pkg/{name}" for name in ("vectortracer_bg.js", "vectortracer_bg.wasm")},
    ),
    _Package(
        "fflate",
        "0.8.3",
        "sha512-tbZNuJrLwGUp3zshBtdy4W+ORxZuIh8a5ilyIEQDC5rY1f3U20JMry0Ll3WBzU58EZKsEuJFXhb5gwv8CsPvgA==",
        "MIT, Arjun Barrett",
        {"fflate.js": "package/esm/browser.js"},
    ),
    _Package(
        "@fontsource-variable/inter",
        "5.3.0",
        "sha512-OupL48va4JNofb97w6NYeF9S7W/kHNKM0Er8Dem5nqi4jeOLrVJDoE8tZEpnMJmtkvNbB1EIPPwHcdkF6b1oUA==",
        "OFL-1.1, The Inter Project Authors",
        {"inter-latin-wght-normal.woff2": "package/files/inter-latin-wght-normal.woff2"},
    ),
)


@dataclass(frozen=True)
class PageModel:
    """A model that the page offers.

    Attributes:
        name: name on the page.
        path, training: folders of the model and of its training icons, as addresses relative to the page, with a slash at the
            end; `training` is None if the training icons are unknown.
        hint: message of the page while it loads the model.
    """

    name: str
    path: str
    training: str | None = None
    hint: str | None = None


def export_page(
    model: ModelFolder, folder: Path, downloads: Path, log: Callable[[str], None], icons: TrainingIcons | None = None
) -> None:
    """Write to `folder` a page that samples with the exported `model` and shows which of `icons` a sample is close to. Any
    static file server can serve it, and it loads nothing from elsewhere.

    Raises FlowmodelError when a package can't be fetched, the model was changed, or `folder` has other contents.
    """
    if folder.exists() and not (folder / PAGE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise FlowmodelError(f"{folder}: not a page that `flowmodel export` wrote; choose a new folder")
    from flowmodel.export.packed import write_packed_graph, write_packed_tower

    write_page(folder, downloads, log)
    copied = {TOWERS["packed"]: write_packed_tower(model, folder / MODEL / TOWERS["packed"])}
    for name, packed in PACKED.items():
        if name in model:
            copied[packed] = write_packed_graph(model, name, folder / MODEL / packed)
    for name in (TOKENIZER, EMOJI, ENGLISH, CARD):
        if name in model:
            copied[name] = write_bytes(folder / MODEL / name, model.file(name).read_bytes())
    write_json(folder / MODEL / DESCRIPTION, model.description.to_json(copied))
    if icons is not None:
        icons.write(folder / _ICONS)
    write_models(folder, [PageModel(model.description.name, f"{MODEL}/", f"{_ICONS}/" if icons else None)])


def write_page(folder: Path, downloads: Path, log: Callable[[str], None]) -> None:
    """Write the page without a model. Its libraries are npm packages, which are fetched into `downloads` once and checked
    against pinned digests. Raises FlowmodelError when one can't be fetched.
    """
    context = SourceContext(downloads, downloads, log)
    for package in _PACKAGES:
        fetched = fetch_package(package.name, package.version, package.integrity, context)
        members = read_members(fetched.tgz, package.members.values())
        if missing := [path for path in package.members.values() if path not in members]:
            raise FlowmodelError(f"{fetched.tgz}: lacks {', '.join(missing)}; delete it, and it will be downloaded again")
        for name, path in package.members.items():
            content = members[path]
            write_bytes(folder / _VENDOR / name, zlib.compress(content, 9) if name.endswith(".zlib") else content)
    told = [f"{each.name} {each.version}: {each.license}\n" for each in _PACKAGES]
    write_bytes(folder / _VENDOR / "LICENSES.txt", "".join(told).encode())
    for file in (files("flowmodel.export") / "page").iterdir():
        write_bytes(folder / file.name, file.read_bytes())


def write_models(folder: Path, models: Sequence[PageModel]) -> None:
    """Set the `models` that the page in `folder` offers; it opens with the first."""
    write_json(folder / PAGE, {"models": [asdict(each) for each in models]})
