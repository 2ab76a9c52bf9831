"""The prepared files that a training reads."""

from dataclasses import asdict, dataclass

from flowmodel.data.splits import load_splits
from flowmodel.files import Artifact, sha256_json
from flowmodel.recipes import load_selection
from flowmodel.recipes.schema import DataConfig
from flowmodel.store import Store


@dataclass(frozen=True)
class TrainingInputs:
    """The prepared files, each with the digest of its content."""

    normalised: Artifact
    tensors: Artifact
    captions: Artifact
    embeddings: Artifact
    splits: Artifact

    @classmethod
    def of(cls, store: Store, size: int) -> "TrainingInputs":
        """The files as they lie in `store`, for pictures of `size` pixels."""
        paths = (store.normalised(size), store.tensors(size), store.captions, store.embeddings, store.splits)
        return cls(*(Artifact.of(path) for path in paths))

    @property
    def digest(self) -> str:
        """Names the data set: the same pictures, captions, embeddings and splits have the same digest."""
        return sha256_json({name: artifact["digest"] for name, artifact in asdict(self).items()})


def icons_of_split(inputs: TrainingInputs, data: DataConfig, split: str) -> list[str]:
    """Ids of the icons of `split` that the recipe selects, sorted. The whole split where the recipe selects all."""
    keys = set(load_selection(data.selection)) if data.selection else None
    return sorted(
        icon_id
        for icon_id, assigned in load_splits(inputs.splits.path).items()
        if assigned == split and (keys is None or icon_id.partition("/")[2] in keys)
    )
