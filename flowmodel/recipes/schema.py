"""What a recipe may say. Field descriptions are shown in docs/recipes.md and in Dagster's Launchpad."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from flowmodel.icons.emoji_texts import languages as known_languages

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]

CaptionTemplate = Literal["name", "name_keywords", "name_group", "name_tone", "name_style", "own"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitConfig(_Section):
    seed: int = Field(0, ge=0, description="Changes which concepts are held out.")
    validation: Fraction = Field(0.05, description="Share of concepts that measure the loss and choose settings.")
    unseen_concept: Fraction = Field(0.05, description="Share of concepts never looked at before the final evaluation.")
    unseen_style: Fraction = Field(
        0.05, description="Share of (concept, style) held out, of concepts that an earlier source shows in another style."
    )
    unseen_tone: Fraction = Field(0.05, description="Share of (concept, skin tone) held out, of concepts that have other tones.")

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> "SplitConfig":
        if self.validation + self.unseen_concept >= 1:
            raise ValueError("validation + unseen_concept must stay below 1")
        return self


class DataConfig(_Section):
    size: Literal[16, 32, 64, 128] = Field(64, description="Edge of the square pictures, in pixels.")
    selection: str | None = Field(None, description="Name of a list in recipes/selections, or its path; empty: every icon.")
    captions: tuple[CaptionTemplate, ...] = Field(
        ("name", "name_keywords", "name_style"), min_length=1, description="Templates; training draws one a step at random."
    )
    languages: tuple[str, ...] = Field(
        ("en",), min_length=1, description="Of the captions, by emojibase's names: en, de, fr, ja."
    )
    encoder: str = Field("minilm", description="Caption encoder: minilm, ARCHITECTURE/TAG of open_clip's hub, or local-dir:PATH.")
    split: SplitConfig = SplitConfig()

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        for language in languages:
            if language not in known_languages():
                raise ValueError(f"emojibase has no names in '{language}'; there are {', '.join(known_languages())}")
        return languages


class NetworkConfig(_Section):
    kind: Literal["unet"] = "unet"
    stem: Literal[1, 2, 4] = Field(2, description="Space-to-depth factor before the first layer.")
    widths: tuple[Count, ...] = Field((64, 96), min_length=1, description="Channels by level, halving the resolution between.")
    blocks: Count = Field(2, description="Residual blocks a level on the way down; one more on the way up.")
    attention_levels: int = Field(2, ge=0, description="How many of the lowest resolutions attend to themselves and the caption.")
    head_width: Count = Field(32, description="Channels of one attention head.")
    embedding_width: Count = Field(256, description="Width of the time and caption embedding.")
    dropout: Fraction = 0.0


class ObjectiveConfig(_Section):
    prediction: Literal["velocity", "data"] = Field("data", description="What the network puts out: v or a clean picture x.")
    time_mean: float = Field(-0.8, description="Mean of logit(t); below 0 puts weight on the noisy half.")
    time_std: Positive = Field(1.0, description="Standard deviation of logit(t).")
    min_noise: Annotated[float, Field(gt=0, le=0.5)] = Field(0.05, description="Floor of 1 - t where v is computed from x.")
    condition_dropout: Fraction = Field(0.1, description="Share of samples trained without caption, for guidance.")


class TrainingConfig(_Section):
    steps: Count = 10_000
    batch_size: Count = 32
    optimizer: Literal["adamw", "muon"] = Field("muon", description="muon: for weight matrices; AdamW for everything else.")
    learning_rate: Positive = 1e-3
    warmup_steps: int = Field(200, ge=0)
    final_learning_rate: Fraction = Field(0.02, description="End of the cosine decay, as a share of learning_rate.")
    weight_decay: float = Field(0.01, ge=0)
    gradient_clip: Positive = 1.0
    ema: Annotated[float, Field(gt=0, lt=0.3)] = Field(0.05, description="Relative width of the power-function EMA (EDM2).")
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    log_every: Count = 20
    grid_every: Count = 1_000
    checkpoint_every: Count = 500
    keep_checkpoints: Count = 2


class SamplingConfig(_Section):
    solver: Literal["euler", "midpoint", "heun"] = "midpoint"
    steps: Count = Field(8, description="Solver steps. NFE = steps x stages (euler 1, midpoint 2, heun 2) x 2 with guidance.")
    guidance: float = Field(2.0, ge=0, description="Guidance scale w; 1 is off.")


class GateConfig(_Section):
    """Thresholds that a model must keep to be registered; empty ones are waived."""

    max_kid: float | None = Field(None, description="KID against the real training icons, at most.")
    min_top1: Fraction | None = Field(None, description="Share of samples whose nearest real icon is the prompted one, at least.")
    max_copy_ratio: Fraction | None = Field(None, description="Share of held-out samples that copy a training icon, at most.")


class EvaluationConfig(_Section):
    seed: int = Field(1234, ge=0)
    max_icons: Count = Field(512, description="Samples a split, at most; a fixed random choice where there are more icons.")
    gate: GateConfig = GateConfig()


class Recipe(_Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    description: str = ""
    data: DataConfig = DataConfig()
    network: NetworkConfig = NetworkConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    training: TrainingConfig = TrainingConfig()
    sampling: SamplingConfig = SamplingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _resolutions_divide(self) -> "Recipe":
        factor = self.network.stem * 2 ** (len(self.network.widths) - 1)
        if self.data.size % factor:
            raise ValueError(
                f"data.size {self.data.size} can't be divided by stem x 2^(levels - 1) = {factor}: "
                "choose a smaller network.stem or fewer network.widths"
            )
        for width in self.network.widths:
            if width % self.network.head_width:
                raise ValueError(f"network.widths: {width} is not a multiple of network.head_width {self.network.head_width}")
        return self
