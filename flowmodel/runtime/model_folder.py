"""The folder of an exported model, and its `model.json`, which says what it is and names every file by its digest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from flowmodel.errors import FlowmodelError
from flowmodel.files import read_json, sha256_file, sha256_json

Precision = Literal["float32", "int8"]  # of the caption tower

FORMAT = 1
DESCRIPTION, CARD = "model.json", "README.md"
NETWORK, FINISHER = "network.onnx", "finisher.onnx"
TOWERS: Mapping[Precision, str] = {"float32": "tower.onnx", "int8": "tower.int8.onnx"}
TOKENIZER, EMOJI = "tokenizer.json", "emoji.json"

_AGAIN = "export the model again"


@dataclass(frozen=True)
class Sampling:
    """How to draw: the recipe's section `sampling`."""

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
                raise FlowmodelError(f"{where}: {name}: {value!r} is no number of at least {least}; correct it")
            return value

        if values["solver"] not in (solvers := ("euler", "midpoint", "heun")):
            raise FlowmodelError(f"{where}: solver: {values['solver']!r} is none of {', '.join(solvers)}; name one of them")
        start, end = values["guidance_interval"]
        shift = number("time_shift", 1e-3)
        return cls(values["solver"], number("steps", 1, (int,)), shift, number("guidance", 0), (float(start), float(end)))


@dataclass(frozen=True)
class Description:
    """What a model is.

    Attributes:
        name: of the recipe that trained it.
        checkpoint: SHA-256 of the checkpoint that it was made of.
        size, finished_size: edge of a picture as it is drawn, and as the finisher leaves it, in pixels.
        channels: of a picture in the network: 4 are premultiplied RGBA, 3 RGB on white, 1 luminance on white.
        parameters: of network and finisher.
        encoder, encoder_digest, max_tokens: the caption tower, and how many tokens it takes in of a prompt.
        sampling: how to draw where nothing else is asked for.
        styles: for prompts that end in `, STYLE style`; empty where the model knows only one.
        terms: source, license, redistributable and origin of everything that has shaped the weights.
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

    def to_json(self, files: Mapping[str, Path]) -> dict[str, Any]:
        """What stands in `model.json`, with size and digest of each of `files` by its name in the folder."""
        listed = {name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for name, path in sorted(files.items())}
        values = {"format": FORMAT, **asdict(self), "files": listed}
        return values | {"digest": sha256_json(values)}


class ModelFolder:
    """An exported model on disk. Its files are held against their digests when they are asked for.

    Attributes:
        path: the folder.
        description: what the model is.
        digest: names the whole export.
    """

    def __init__(self, path: Path, description: Description, files: Mapping[str, Mapping[str, Any]], digest: str) -> None:
        self.path, self.description, self.digest = path, description, digest
        self._files = files

    @classmethod
    def open(cls, path: Path | str) -> "ModelFolder":
        """Raises FlowmodelError when there is no exported model, or what describes it was changed."""
        path = Path(path)
        json_path = path / DESCRIPTION
        values = read_json(json_path)
        if not isinstance(values, dict) or "format" not in values:
            raise FlowmodelError(f"{json_path}: describes no exported model; give a folder that `flowmodel export` has written")
        if values["format"] != FORMAT:
            raise FlowmodelError(f"{json_path}: is of format {values['format']!r}, and this release reads {FORMAT}; {_AGAIN}")
        digest = values.pop("digest", None)
        if digest != sha256_json(values):
            raise FlowmodelError(f"{json_path}: its digest is another one, so it was changed or damaged; {_AGAIN}")
        try:
            sampling = Sampling.of(values["sampling"], f"{json_path}: sampling")
            given = {field.name: values[field.name] for field in fields(Description)}
            own = given | {"sampling": sampling, "styles": tuple(given["styles"]), "terms": tuple(given["terms"])}
            return cls(path, Description(**own), {name: dict(of) for name, of in values["files"].items()}, digest)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FlowmodelError(f"{json_path}: lacks a field or has one of another kind ({error}); {_AGAIN}") from None

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def file(self, name: str) -> Path:
        """The file called `name`, whole. Raises FlowmodelError when it is missing, or another one than was exported."""
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

    def verify(self) -> None:
        """Hold every file against its digest. Raises FlowmodelError as :meth:`file` does."""
        for name in self._files:
            self.file(name)
