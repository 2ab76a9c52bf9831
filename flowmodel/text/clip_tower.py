"""The text towers of open_clip models, from its hub, the Hugging Face hub or a local folder.

Shape suffixes: B texts, L tokens, D width of the joint embedding space.
"""

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from torch import Tensor

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.text.encoded import EncodedText, TokenizedText
from flowmodel.text.torchvision_shim import let_torchvision_import

LOCAL, HUB = "local-dir:", "hf-hub:"

_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
_BATCH = 64
_OFFLINE = "encoder 'minilm' works offline"


class ClipTower:
    """The text tower of a CLIP model. The image tower is dropped as soon as the weights are loaded."""

    def __init__(self, name: str, weights: Path, architecture: str, tag: str | None) -> None:
        """`architecture` and `tag` are open_clip's `model_name` and `pretrained`; `weights` is the corresponding file."""
        self.name = name
        self.digest = sha256_file(weights)
        self._weights, self._architecture, self._tag = weights, architecture, tag
        self.width = self._read_width()

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> EncodedText:
        """Encode `texts` on the CPU; texts longer than the context length are truncated.

        open_clip projects only the pooled vector. Here, the projection is applied to every token, so that both have one width
        and tokens are in the joint embedding space too.
        """
        tower, tokenizer = self._tower
        pooled_BD = np.zeros((len(texts), self.width), np.float32)
        tokens = []
        for start in range(0, len(texts), _BATCH):
            ids_BL = tokenizer(list(texts[start : start + _BATCH]))
            found_BD, states_BLW = tower(ids_BL)
            pooled_BD[start : start + _BATCH] = torch.nn.functional.normalize(found_BD, dim=-1).numpy()
            tokens_BLD = _project(tower, states_BLW)
            for row, length in enumerate(_lengths(tower, ids_BL)):
                tokens.append(tokens_BLD[row, :length].numpy().astype(np.float16))
        return EncodedText(pooled_BD, tokens)

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenize `texts`, in order, without encoding them.

        CLIP's tokenizers work on bytes, so that no token is unknown. That does not mean that the model was trained on the
        language.
        """
        tokenizer = self._tokenizer
        inner = getattr(tokenizer, "tokenizer", None)  # open_clip's wrapper of a transformers tokenizer
        unknown = getattr(inner, "unk_token_id", None)
        padding = (getattr(inner, "pad_token_id", None) or 0) if inner is not None else 0
        found = []
        for start in range(0, len(texts), _BATCH):
            for ids in tokenizer(list(texts[start : start + _BATCH])).tolist():
                marked = len(ids) - ids.count(padding) if ids[-1] == padding else len(ids)
                strange = ids.count(unknown) if unknown is not None and unknown != padding else 0
                found.append(TokenizedText(tuple(ids), strange, max(0, marked - 2), ids[-1] != padding))
        return found

    def _read_width(self) -> int:
        import open_clip

        return int(open_clip.get_model_config(self._architecture)["embed_dim"])

    def load_model(self) -> tuple[Any, Any]:
        """The whole model and its tokenizer. Raises FlowmodelError when the weights belong to another model."""
        import open_clip

        problem = f"{self._weights}: these weights don't fit the model's configuration"
        with _hub(network=not self.name.startswith(LOCAL)), _readable(self.name, problem):
            model = open_clip.create_model(
                self._architecture, pretrained=self._tag, force_custom_text=True, require_pretrained=True, device="cpu"
            )
        return model.eval().requires_grad_(False), self._tokenizer

    @cached_property
    def _tokenizer(self) -> Any:
        import open_clip

        with _hub(network=not self.name.startswith(LOCAL)), _readable(self.name, "its tokenizer can't be loaded"):
            return open_clip.get_tokenizer(self._architecture)

    @cached_property
    def _tower(self) -> tuple[Any, Any]:
        model, tokenizer = self.load_model()
        tower = model.text
        tower.output_tokens = True
        return tower, tokenizer


def load_clip_tower(name: str) -> ClipTower:
    """The tower called `name`, see :mod:`flowmodel.text.encoders`. Models of a hub are downloaded on first use.

    Raises FlowmodelError that says what was searched for and where, and which encoder works offline.
    """
    let_torchvision_import()
    if name.startswith(LOCAL):
        _check_local_config(name)
        return ClipTower(name, _local_weights(name), f"{LOCAL}{_folder(name)}", None)
    if name.startswith(HUB):
        from open_clip.pretrained import download_pretrained_from_hf

        with _downloading(name):
            return ClipTower(name, Path(download_pretrained_from_hf(name.removeprefix(HUB))), name, None)
    architecture, tag = _known(name)
    import open_clip

    with _downloading(name):
        path = Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(architecture, tag)))
    return ClipTower(name, path, architecture, tag)


def _known(name: str) -> tuple[str, str]:
    """Architecture and tag of a model that open_clip lists."""
    import open_clip

    listed = {f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()}
    if name in listed:
        architecture, _, tag = name.rpartition("/")
        return architecture, tag
    near = difflib.get_close_matches(name, ["minilm", *sorted(listed)], n=3, cutoff=0.4)
    raise FlowmodelError(
        f"encoder '{name}': no such caption encoder; there are minilm (offline), local-dir:PATH, hf-hub:ORGANIZATION/NAME and "
        f"ARCHITECTURE/TAG of open_clip{', for example ' + ', '.join(near) if near else ''}"
    )


def _folder(name: str) -> Path:
    return Path(name.removeprefix(LOCAL)).expanduser()


def _check_local_config(name: str) -> None:
    path = _folder(name) / "open_clip_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
        assert isinstance(config["embed_dim"], int) and "text_cfg" in config
    except OSError as error:
        raise FlowmodelError(f"encoder '{name}': {path} can't be read ({error.strerror}); {_OFFLINE}") from None
    except (ValueError, KeyError, TypeError, AssertionError):
        raise FlowmodelError(f"encoder '{name}': {path} is not a model configuration of open_clip; {_OFFLINE}") from None


def _local_weights(name: str) -> Path:
    """The first existing file of _WEIGHTS, or the only weights file, as open_clip chooses it."""
    folder = _folder(name)
    named = [folder / file for file in _WEIGHTS if (folder / file).is_file()]
    found = named or [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".pth")]
    if not named and len(found) != 1:
        how_many = "several files of weights" if found else "no weights"
        raise FlowmodelError(f"encoder '{name}': {how_many} in {folder} (looked for {' or '.join(_WEIGHTS)}); {_OFFLINE}")
    return found[0]


def _project(tower: Any, states_BLW: Tensor) -> Tensor:
    projection = getattr(tower, "text_projection", None)
    if projection is None:
        projection = getattr(tower, "proj", None)  # Hugging Face towers
    if projection is None:
        return states_BLW
    return projection(states_BLW) if isinstance(projection, torch.nn.Module) else states_BLW @ projection


def _lengths(tower: Any, ids_BL: Tensor) -> list[int]:
    """The tokens of each text up to its end marker or its last non-padding token."""
    pool = getattr(tower, "pool_type", "")
    if pool == "argmax":
        ends_B = ids_BL.argmax(dim=-1)
    elif pool == "eos":
        ends_B = (ids_BL == tower.eos_id).int().argmax(dim=-1)
    else:
        padding = getattr(tower, "pad_id", None)
        padding = tower.config.pad_token_id if padding is None else padding
        places_L = torch.arange(ids_BL.shape[1])
        ends_B = torch.where(ids_BL != padding, places_L, 0).amax(dim=-1)
    return [int(end) + 1 for end in ends_B]


@contextmanager
def _downloading(name: str) -> Iterator[None]:
    with _hub() as place, _readable(name, f"its weights can't be loaded; looked in {place}"):
        yield


@contextmanager
def _hub(network: bool = True) -> Iterator[str]:
    """Yields a description of where the hub's client searches. Without a network that is only its cache, because retries take
    minutes.
    """
    from huggingface_hub import constants

    was_offline = constants.HF_HUB_OFFLINE
    if was_offline:
        place = "nowhere else, because HF_HUB_OFFLINE is set"
    elif network and _reachable(constants.ENDPOINT):
        place = f"on {constants.ENDPOINT}"
    else:
        place = f"nowhere else, because {constants.ENDPOINT} is not reachable"
        constants.HF_HUB_OFFLINE = True
    try:
        yield f"{constants.HF_HUB_CACHE} and {place}"
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def _reachable(address: str) -> bool:
    try:
        httpx.head(address, timeout=5)
    except httpx.HTTPError:
        return False
    return True


@contextmanager
def _readable(name: str, what: str) -> Iterator[None]:
    try:
        yield
    except FlowmodelError:
        raise
    except Exception as error:  # open_clip, the hub client and torch raise many exception types
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = reason if len(reason) <= 160 else reason[:160] + "..."
        raise FlowmodelError(f"encoder '{name}': {what} ({reason}); {_OFFLINE}") from None
