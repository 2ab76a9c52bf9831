"""The caption encoders that recipes can name.

| name | encoder |
|---|---|
| `minilm` | all-MiniLM-L6-v2 from the Python package index: the default, works offline |
| `ViT-B-32/laion2b_s34b_b79k` | ARCHITECTURE/TAG: any of open_clip's pretrained models, from its hub |
| `hf-hub:ORGANIZATION/NAME` | any open_clip model on the Hugging Face hub |
| `local-dir:PATH` | a folder with `open_clip_config.json` and the weights |
"""

from collections.abc import Iterator
from contextlib import contextmanager

from flowmodel.text.encoded import CaptionEncoder, EncodedText
from flowmodel.text.minilm import load_minilm

__all__ = ["CaptionEncoder", "EncodedText", "load_encoder", "replaced_encoder"]


_replacements: dict[str, CaptionEncoder] = {}


@contextmanager
def replaced_encoder(encoder: CaptionEncoder) -> Iterator[None]:
    """Within the context, `encoder` is loaded by its name; for a machine that lacks the files of the original."""
    _replacements[encoder.name] = encoder
    try:
        yield
    finally:
        del _replacements[encoder.name]


def load_encoder(name: str) -> CaptionEncoder:
    """The encoder called `name`.

    Raises FlowmodelError when there is no such encoder, or its weights are not available or have the wrong digest. An encoder
    never has random weights.
    """
    if name in _replacements:
        return _replacements[name]
    if name == "minilm":
        return load_minilm()
    from flowmodel.text.clip_tower import load_clip_tower

    return load_clip_tower(name)
