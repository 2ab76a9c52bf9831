"""The caption tower of an exported model.

Shape suffixes: B texts, L tokens, D the tower's width.
"""

from collections.abc import Sequence

import numpy as np

from flowmodel.runtime.model_folder import TOKENIZER, TOWERS, ModelFolder, Precision
from flowmodel.runtime.sessions import open_session
from flowmodel.text.encoded import EncodedText, TokenizedText, taken_in


class OnnxTower:
    """A :class:`flowmodel.text.encoded.CaptionEncoder` that uses ONNX Runtime."""

    def __init__(self, folder: ModelFolder, precision: Precision | None = None, threads: int | None = None) -> None:
        """`precision` None is the highest that `folder` has.

        Raises FlowmodelError when one of its files is missing or was changed.
        """
        from tokenizers import Tokenizer

        self.name, self.digest = folder.description.encoder, folder.description.encoder_digest
        self._tokenizer = Tokenizer.from_file(str(folder.file(TOKENIZER)))
        names = [TOWERS[precision]] if precision else [name for name in TOWERS.values() if name in folder]
        self._session = open_session(folder.file((names or [*TOWERS.values()])[0]), threads)
        self.width = int(self._session.get_outputs()[0].shape[1])

    def encode(self, texts: Sequence[str]) -> EncodedText:
        """Encode `texts`, each once and separately, because all texts of a batch have the same length."""
        ids = {text: self._tokenizer.encode(text).ids for text in dict.fromkeys(texts)}
        found = {text: self._session.run(["pooled", "tokens"], {"ids": np.array([own])}) for text, own in ids.items()}
        pooled_BD = np.concatenate([found[text][0] for text in texts]) if texts else np.zeros((0, self.width), np.float32)
        return EncodedText(pooled_BD, [found[text][1][0].astype(np.float16) for text in texts])

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """The parts of `texts` that the encoder reads, in order, without encoding them."""
        return taken_in(self._tokenizer, texts)
