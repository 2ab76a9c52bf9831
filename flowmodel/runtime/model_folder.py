"""The folder of an exported model, and its `model.json`, which describes it and lists every file with its digest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from flowmodel.errors import FlowmodelError
from flowmodel.files import read_json, sha256_file, sha256_json

Precision = Literal["float32", "int8", "packed"]  # of the caption tower; only the page has the last one

FORMAT = 1
DESCRIPTION, CARD = "model.json", "README.md"
NETWORK, FINISHER = "network.onnx", "finisher.onnx"
TOWERS: Mapping[Precision, str] = {"float32": "tower.onnx", "int8": "tower.int8.onnx", "packed": "tower.packed.zlib"}
PACKED = {NETWORK: "network.packed.zlib", FINISHER: "finisher.packed.zlib"}  # names of the page's graphs
TOKENIZER, EMOJI, ENGLISH = "tokenizer.json", "emoji.json", "english.zlib"

_AGAIN = "export the model again"


@dataclass(frozen=True)
class Sampling:
    """Sampling settings: the recipe's section `sampling`."""

    solver: str
    steps: int
    time_shift: float
    guidance: float
    guidance_interval: tuple[float, float]

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str) -> "Sampling":
        """Raises FlowmodelError that begins with `where` for a bad value."""

        def number(name: str, least: float, kinds: tuple[type, ...] = (int, float)) -> Any:
            value = values[name]
            if type(value) not in kinds or not least <= value < float("inf"):
                raise FlowmodelError(f"{where}: {name}: {value!r} must be a number of at least {least}; correct it")
            return value

        if values["solver"] not in (solvers := ("euler", "midpoint", "heun")):
            raise FlowmodelError(f"{where}: solver: {values['solver']!r} must be one of {', '.join(solvers)}; correct it")
        start, end = values["guidance_interval"]
        shift = number("time_shift", 1e-3)
        return cls(values["solver"], number("steps", 1, (int,)), shift, number("guidance", 0), (float(start), float(end)))


@dataclass(frozen=True)
class Description:
    """The description of a model.

    Attributes:
        name: name of the recipe that trained it.
        checkpoint: SHA-256 of its checkpoint.
        size, finished_size: image size before and after the finisher, in pixels.
        channels: channels of the network: 4 for premultiplied RGBA, 3 for RGB on white, 1 for luminance on white.
        parameters: number of parameters of network and finisher.
        encoder, encoder_digest, max_tokens: the caption tower, and the most tokens that it reads of a prompt.
        sampling: default sampling settings.
        styles: styles for prompts that end in `, STYLE style`; empty if the model has only one.
        terms: source, license, redistributable and origin of all training data.
        languages: languages of the captions that it was trained on.
    """

    name: str
    checkpoint: str
    size: int
    finished_size: int
    channels: int
    parameters: int
    encoder: str
    encoder_digest: str
    max_tokens: int
    sampling: Sampling
    styles: tuple[str, ...]
    terms: tuple[dict[str, Any], ...]
    languages: tuple[str, ...] = ("en",)

    def to_json(self, files: Mapping[str, Path]) -> dict[str, Any]:
        """The contents of `model.json`, with size and digest of each of `files` by its name in the folder."""
        listed = {name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for name, path in sorted(files.items())}
        values = {"format": FORMAT, **asdict(self), "files": listed}
        return values | {"digest": sha256_json(values)}


class ModelFolder:
    """An exported model on disk. Each file is checked against its digest when it is requested.

    Attributes:
        path: the folder.
        description: the model's description.
        digest: names the whole export.
    """

    def __init__(self, path: Path, description: Description, files: Mapping[str, Mapping[str, Any]], digest: str) -> None:
        self.path, self.description, self.digest = path, description, digest
        self._files = files

    @classmethod
    def open(cls, path: Path | str) -> "ModelFolder":
        """Raises FlowmodelError when there is no exported model, or its description was changed."""
        path = Path(path)
        json_path = path / DESCRIPTION
        values = read_json(json_path)
        if not isinstance(values, dict) or "format" not in values:
            raise FlowmodelError(
                f"{json_path}: not the description of an exported model; use a folder that `flowmodel export` wrote"
            )
        if values["format"] != FORMAT:
            raise FlowmodelError(f"{json_path}: has format {values['format']!r}, and this release reads {FORMAT}; {_AGAIN}")
        digest = values.pop("digest", None)
        if digest != sha256_json(values):
            raise FlowmodelError(f"{json_path}: its digest does not match, so it was changed or damaged; {_AGAIN}")
        try:
            sampling = Sampling.of(values["sampling"], f"{json_path}: sampling")
            values.setdefault("languages", ["en"])  # earlier releases leave it out
            given = {field.name: values[field.name] for field in fields(Description)}
            own = given | {"sampling": sampling, "styles": tuple(given["styles"]), "terms": tuple(given["terms"])}
            own["languages"] = tuple(given["languages"])
            return cls(path, Description(**own), {name: dict(of) for name, of in values["files"].items()}, digest)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FlowmodelError(f"{json_path}: a field is missing or has the wrong type ({error}); {_AGAIN}") from None

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def file(self, name: str) -> Path:
        """The path of the file `name`. Raises FlowmodelError when it is missing or differs from the exported file."""
        path, listed = self.path / name, self._files.get(name)
        if listed is None:
            raise FlowmodelError(f"{self.path / DESCRIPTION}: lists no file {name}; {_AGAIN}")
        if not path.is_file():
            raise FlowmodelError(f"{path}: missing; {_AGAIN}")
        if (found := path.stat().st_size) != listed["bytes"]:
            raise FlowmodelError(f"{path}: has {found:,} bytes instead of {listed['bytes']:,}; {_AGAIN}")
        if (digest := sha256_file(path)) != listed["sha256"]:
            stated = str(listed["sha256"])
            raise FlowmodelError(f"{path}: has SHA-256 {digest[:12]}…, but {DESCRIPTION} states {stated[:12]}…; {_AGAIN}")
        return path

    def graph(self, name: str) -> Path | None:
        """The path of the graph `name`, packed or not, or None. Raises FlowmodelError as :meth:`file` does."""
        found = next((each for each in (PACKED[name], name) if each in self), None)
        return self.file(found) if found else None

    def verify(self) -> None:
        """Check every file against its digest. Raises FlowmodelError as :meth:`file` does."""
        for name in self._files:
            self.file(name)
