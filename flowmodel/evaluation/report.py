"""The typed report of an evaluation, as in `metrics.json` (docs/evaluation.md explains each score).

Scores that could not be measured are None here and absent from the file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report_migration import with_current_form
from flowmodel.files import Artifact, read_json, write_json
from flowmodel.recipes.schema import Color, SamplingConfig
from flowmodel.recipes.split import Split

METRICS_FILE = "metrics.json"
SCHEMA_VERSION: Final = 2
AllSplits = Literal["all"]
ALL: AllSplits = "all"  # all splits together, because distances between sets need many images


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Sparse(_Part):
    @model_serializer(mode="wrap")
    def _measured(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class Scores(_Sparse):
    """All scores. Rates and overlaps are in [0, 1]; the best distance is 0.

    The scores of metrics/texture.py are best at the values of real icons.
    """

    kid: float | None = None
    kid_low: float | None = None
    kid_high: float | None = None
    fd: float | None = None
    fd_infinity: float | None = None
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None
    vendi: float | None = None
    retrieval_top1_split: float | None = None
    retrieval_top1_source: float | None = None
    retrieval_top1_all: float | None = None
    retrieval_top5_all: float | None = None
    caption_probe_top1: float | None = None
    caption_probe_top5: float | None = None
    clip_similarity: float | None = None
    alpha_iou: float | None = None
    alpha_error: float | None = None
    flat_share: float | None = None
    inner_variation: float | None = None
    edge_sharpness: float | None = None
    half_transparent: float | None = None
    color_count: float | None = None
    finest_band: float | None = None
    near_copy_rate: float | None = None
    copy_rate: float | None = None
    copy_rate_pixels: float | None = None
    neighbor_ratio: float | None = None
    neighbor_ratio_pixels: float | None = None
    authentic_rate: float | None = None
    loss: float | None = None
    loss_gap: float | None = None

    @property
    def measured(self) -> dict[str, float]:
        """The measured scores by name."""
        values = ((name, getattr(self, name)) for name in SCORES)
        return {name: value for name, value in values if value is not None}

    def get(self, score: str) -> float | None:
        """The score `name`, or None if it was not measured. Raises KeyError for an unknown name."""
        if score not in SCORES:
            raise KeyError(score)
        value: float | None = getattr(self, score)
        return value


SCORES = tuple(Scores.model_fields)


class SplitScores(Scores):
    """`count` icons and the scores of their images."""

    count: int


def _in_order(by_split: dict[Split, SplitScores]) -> dict[Split, SplitScores]:
    return {split: by_split[split] for split in Split if split in by_split}


# In the usual order of the splits, regardless of the file's order.
BySplit = Annotated[dict[Split, SplitScores], AfterValidator(_in_order)]
ByTime = dict[float, float]


class BaselineScores(_Sparse):
    """Scores of other images in place of the samples (baselines.py); None if there are no such images."""

    real: BySplit
    noise: BySplit
    copies: BySplit | None = None
    other_vendor: BySplit | None = None

    @property
    def rows(self) -> dict[str, BySplit]:
        """The measured baselines by name."""
        values = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: row for name, row in values if row is not None}


class TracedScores(_Part):
    """Scores of traced samples of `count` training icons (docs/vector.md): KID, retrieval and number of paths.

    Attributes:
        pixels: scores of these samples as pixels.
        drawn: scores of the traced samples, rendered at their own size.
        real: scores of the traced real icons.
        drawn_paths, real_paths: medians of the number of paths per icon.
    """

    count: int
    pixels: Scores
    drawn: Scores
    real: Scores
    drawn_paths: float
    real_paths: float


class SweepRow(_Part):
    """Scores with other settings than the recipe's, on fewer icons.

    Attributes:
        network_evaluations: network evaluations per image.
        is_own: whether these are the recipe's settings.
    """

    network_evaluations: int
    is_own: bool
    scores: dict[Split | AllSplits, Scores]


class StepsRow(SweepRow):
    """`distance` from the exact solution: root mean square, as a fraction of a pixel's range."""

    steps: int
    distance: float


class GuidanceRow(SweepRow):
    guidance: float


class Sweeps(_Part):
    """Sweeps over the solver's steps and over the guidance scale."""

    nfe: tuple[StepsRow, ...]
    guidance: tuple[GuidanceRow, ...]


class ProbeQuality(_Part):
    """How often the caption probe ranks the captions of `count` real icons first, or among the first five, among the captions
    of the split and among all.
    """

    count: float
    retrieval_top1_split: float
    retrieval_top5_split: float
    retrieval_top1_all: float
    retrieval_top5_all: float


class NearCopy(_Part):
    """Distance ratio below which an image is a near copy, calibrated on `images` real images, of which the fraction `rate` is
    below.
    """

    features: float
    pixels: float
    rate: float
    images: int = Field(validation_alias=AliasChoices("images", "pictures"))  # the second is the name in reports written before


class Thresholds(_Sparse):
    """The constants that scores are compared with."""

    copy_distance_ratio: float
    near_copy: NearCopy | None = None
    neighbors: int
    confidence: float


class FinisherSettings(_Part):
    """The finisher: digest of its tensors, training steps, number of parameters, and scale."""

    digest: str
    steps: int
    parameters: int
    scale: int


class Settings(SamplingConfig):
    """Everything that the scores depend on: the solver's settings, and these.

    Attributes:
        comparison_digest: equal for models that are scored on the same icons in the same way and may be compared.
        left_out: reason for each score or baseline that could not be measured.
        ema: relative width of the averaged weights.
        finisher: None if unfinished images are scored.
        training_icons: number of training icons, including `initial_icons` of the initial weights.
        samples: number of samples of each split, over all seeds.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)  # ignores removed solver settings of old reports

    recipe: str
    color: Color = "rgba"
    checkpoint_digest: str
    dataset_digest: str
    comparison_digest: str
    extractor: str
    extractor_digest: str
    clip: str | None = None
    clip_digest: str | None = None
    left_out: dict[str, str] = Field({})
    caption_probe_digest: str
    caption_probe_quality: dict[Split, ProbeQuality]
    thresholds: Thresholds
    network_evaluations: int
    ema: float
    training_steps: int
    training_icons: int
    initial_icons: int = 0
    parameters: int
    finisher: FinisherSettings | None = None
    prompt_template: str
    real_icons: int
    samples: dict[Split, int]
    seeds: tuple[int, ...]
    device: str


class EvaluationReport(_Sparse):
    """Scores of a checkpoint's samples.

    Attributes:
        metrics: means over the seeds, of finished images if the model has a finisher.
        unfinished: scores of the same samples before the finisher; None without a finisher.
        std: standard deviations between the seeds; empty for a single seed.
        by_group: like `metrics`, for each emoji group.
        baselines: scores of other images in place of the samples.
        traced: scores of traced samples; None if none were traced.
        prediction_error: error of the predicted image by split and t (training/prediction_error.py).
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    metrics: BySplit
    std: dict[Split, Scores]
    by_group: dict[Split, dict[str, SplitScores]]
    baselines: BaselineScores
    settings: Settings
    unfinished: BySplit | None = None
    traced: TracedScores | None = None
    sweeps: Sweeps | None = None
    prediction_error: dict[Split, ByTime] | None = None

    def score(self, split: Split, score: str) -> float | None:
        """The score, or None if it was not measured. Raises KeyError for an unknown name."""
        return self.metrics.get(split, Scores()).get(score)

    def required(self, split: Split, score: str) -> float:
        """Like :meth:`score`; raises FlowmodelError if it was not measured."""
        value = self.score(split, score)
        if value is None:
            raise FlowmodelError(f"evaluation of recipe '{self.settings.recipe}': {score} of '{split}' was not measured")
        return value

    @classmethod
    def parse(cls, values: Any, where: Path | str) -> "EvaluationReport":
        """Raises FlowmodelError that names `where` and the first invalid field when `values` are not a report of this schema."""
        if isinstance(values, Mapping):
            values = with_current_form(values)
        version = values.get("schema_version") if isinstance(values, Mapping) else SCHEMA_VERSION
        if version != SCHEMA_VERSION:
            raise FlowmodelError(
                f"{where}: schema_version is {version!r}, and this release reads 1 and {SCHEMA_VERSION}; evaluate the model again"
            )
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "report"
            message = first["msg"].removeprefix("Value error, ")
            raise FlowmodelError(
                f"{where}: not the report of an evaluation ({field}: {message}); evaluate the model again"
            ) from None

    @classmethod
    def read(cls, path: Path) -> "EvaluationReport":
        """Raises FlowmodelError when the file is missing, damaged, or of another schema."""
        return cls.parse(read_json(path), path)

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def write(self, path: Path) -> Artifact:
        return Artifact.of(write_json(path, self.as_json()))
