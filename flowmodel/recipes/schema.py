"""The schema of recipes. docs/recipes.md lists every field with its description."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from flowmodel.recipes.gate import GateConfig
from flowmodel.recipes.networks import NetworkConfig, UNetConfig
from flowmodel.recipes.section import ANYTHING, Count, Fraction, Positive, Section

EmaWidth = Annotated[float, Field(gt=0, lt=0.28)]

Prediction = Literal["velocity", "data"]
Color = Literal["rgba", "rgb", "grayscale"]
Precision = Literal["auto", "float32", "bfloat16"]
Switch = Literal["auto", "on", "off"]
# That emojibase translates into (data/bundled/emojibase.parquet).
# fmt: off
LANGUAGES = (
    "bn", "da", "de", "en", "en-gb", "es", "es-mx", "et", "fi", "fr", "hi", "hu", "it", "ja", "ko", "lt", "ms", "nb", "nl", "pl",
    "pt", "ru", "sv", "th", "uk", "vi", "zh", "zh-hant",
)
# fmt: on
LARGEST = 128  # edge of an image, in pixels

CaptionTemplate = Literal["name", "name_keywords", "name_group", "name_tone", "name_style", "mixed", "own"]


class SplitConfig(Section):
    seed: int = Field(0, ge=0, description="Seed of the choice of held-out concepts.")
    validation: Fraction = Field(0.05, description="Share of concepts used for the validation loss and to choose settings.")
    unseen_concept: Fraction = Field(0.05, description="Share of concepts that are used only in the final evaluation.")
    unseen_style: Fraction = Field(
        0.05, description="Share of (concept, style) pairs held out, among concepts that an earlier source has in another style."
    )
    unseen_tone: Fraction = Field(
        0.05, description="Share of (concept, tone) pairs held out, among concepts with other skin tones."
    )

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> "SplitConfig":
        if self.validation + self.unseen_concept >= 1:
            raise ValueError("validation + unseen_concept must stay below 1")
        return self


class DataConfig(Section):
    renamed = {"colour": "color"}
    renamed_values = {"color": {"greyscale": "grayscale"}}

    size: Literal[16, 32, 64, 128] = Field(64, description="Edge of the square images, in pixels.")
    color: Color = Field("rgba", description="rgb and grayscale have a white background and no transparency.")
    selection: str | None = Field(None, description="Name of a list in recipes/selections, or its path; empty: every icon.")
    captions: tuple[CaptionTemplate, ...] = Field(
        ("name", "name_keywords", "name_style", "own"),
        min_length=1,
        description="Templates; own means the source's own texts. Each training step picks one at random.",
    )
    languages: tuple[str, ...] = Field(
        ("en",), min_length=1, description="Languages of the captions, by emojibase's names, such as en, de or ja."
    )
    force_languages: bool = Field(False, description="Also accept languages that the encoder turns into unknown tokens.")
    encoder: str = Field("minilm", description="Caption encoder: minilm, ARCHITECTURE/TAG of open_clip's hub, or local-dir:PATH.")
    recolored: Fraction = Field(
        0.0, description="Share of each batch that consists of recolored copies of suitable icons, with the color in the caption."
    )
    split: SplitConfig = SplitConfig()

    @model_validator(mode="after")
    def _has_colors_and_their_words(self) -> "DataConfig":
        if self.recolored and self.color == "grayscale":
            raise ValueError("recolored: grayscale images have no colors to turn; leave one of recolored and color out")
        if self.recolored and "en" not in self.languages:
            raise ValueError("recolored: color words are English; add en to languages, or omit recolored")
        return self

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        for language in languages:
            if language not in LANGUAGES:
                raise ValueError(f"emojibase has no names in '{language}'; there are {', '.join(LANGUAGES)}")
        return languages


class ObjectiveConfig(Section):
    renamed = {
        "times": "time_distribution",
        "time_mean": "logit_mean",
        "time_std": "logit_std",
        "condition_dropout": "cond_dropout",
    }
    removed = {
        "contrastive": 0,
        "coupling": "independent",
        "coupling_condition_weight": ANYTHING,
        "time_uniform_share": ANYTHING,
    }
    removed_values = {"time_distribution": "mixed"}

    prediction: Prediction = Field("data", description="What the network predicts: the velocity v or the clean image x.")
    time_distribution: Literal["logit_normal", "uniform"] = Field("logit_normal", description="Density of t in training.")
    logit_mean: float = Field(-0.8, description="Mean of logit(t); below 0 puts weight on the noisy half.")
    logit_std: Positive = Field(1.0, description="Standard deviation of logit(t).")
    uniform_tail: Fraction = Field(
        0.0, description="Share of the training's last steps whose times are uniform: the clean end is learned after the shapes."
    )
    gradient_weight: float = Field(
        0.0, ge=0, description="Weight of the error of differences between neighboring pixels, at t of 0.3 and above; 0: off."
    )
    min_noise: Annotated[float, Field(gt=0, le=0.5)] = Field(0.05, description="Lower bound of 1 - t when v is computed from x.")
    cond_dropout: Fraction = Field(0.1, description="Share of samples trained without caption, for guidance.")


class AugmentationConfig(Section):
    """Small shifts and scalings of an image. The network is conditioned on them, so that its samples don't have them."""

    probability: Fraction = Field(0.0, description="Share of the images that are augmented; 0: off.")
    scale: float = Field(0.15, ge=0, le=1, description="Standard deviation of log2 of the size.")
    aspect: float = Field(0.1, ge=0, le=1, description="Standard deviation of log2 of width / height.")
    translation: float = Field(0.05, ge=0, le=0.5, description="Standard deviation of the shift, in image widths.")


class ValidationConfig(Section):
    """Loss of the averaged weights on a fixed grid of held-out icons, noises and times."""

    every: int = Field(0, ge=0, description="Steps between two measurements; 0 is off.")
    icons: Count = Field(
        128, description="Maximum number of held-out icons; the same number of training icons is measured for comparison."
    )
    times: Count = Field(8, description="Times per icon: the midpoints of equal shares of the training's time distribution.")
    patience: int = Field(0, ge=0, description="Measurements without improvement after which the training stops; 0: never.")


class RehearsalConfig(Section):
    """Samples of the initial weights in each batch, so that a training on few icons does not forget all other names."""

    share: Fraction = Field(
        0.0, description="Share of each batch that consists of the initial weights' samples of names that they know; 0: off."
    )
    samples: Count = Field(
        256, description="Number of samples, each of a different name; fewer if the initial weights know fewer."
    )
    styles: tuple[str, ...] = Field(
        (),
        description="Style words of the initial weights. Each sample is prompted with one of them; empty: name alone.",
    )


class DistillationConfig(Section):
    """Training of a sampler with few steps from the trajectories of the initial weights (flowmodel/training/distillation.py)."""

    trajectories: int = Field(
        0,
        ge=0,
        description="Number of trajectories of the initial weights whose jumps between the times of `sampling` are learned, in "
        "place of flow matching; 0: off.",
    )
    blends: Fraction = Field(
        0.35, description="Share of the trajectories whose caption is that of an icon with the name of another one in front."
    )
    on_policy: Fraction = Field(
        0.5, description="Share of the batch that starts at states of the student's own sampling instead of the teacher's."
    )


class TrainingConfig(Section):
    renamed = {
        "accumulate": "grad_accum_steps",
        "final_learning_rate": "final_lr_frac",
        "gradient_clip": "grad_clip_norm",
        "init": "init_from",
        "grid_every": "sample_every",
    }
    removed = {"keep": "last"}

    steps: Count = Field(10_000, description="Optimizer steps.")
    batch_size: Count = Field(32, description="Batch size over all processes.")
    grad_accum_steps: Count = Field(
        1, description="Micro-batches that a batch is split into, with accumulated gradients: less memory, same steps."
    )
    optimizer: Literal["adamw", "muon"] = Field("muon", description="muon: Muon for weight matrices, AdamW for everything else.")
    learning_rate: Positive = Field(1e-3, description="Peak rate; Muon's updates are scaled to the size of AdamW's.")
    warmup_steps: int = Field(200, ge=0, description="Steps of the linear rise to the peak.")
    final_lr_frac: Fraction = Field(0.02, description="End of the cosine decay, as a fraction of learning_rate.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay of all parameters.")
    grad_clip_norm: Positive = Field(1.0, description="Maximum norm of the gradient.")
    ema_widths: tuple[EmaWidth, EmaWidth] = Field(
        (0.05, 0.1), description="Relative widths of the two power-function EMAs that are kept (EDM2)."
    )
    ema: EmaWidth = Field(
        0.05, description="Relative width of the final weights; another width is computed from snapshots of the two EMAs."
    )
    ema_snapshots: int = Field(12, ge=2, description="Snapshots of the two EMAs during the training, if ema needs them.")
    keep_snapshots: bool = Field(False, description="Always take snapshots, and keep them after the training.")
    augmentation: AugmentationConfig = AugmentationConfig()
    rehearsal: RehearsalConfig = RehearsalConfig()
    distillation: DistillationConfig = DistillationConfig()
    validation: ValidationConfig = ValidationConfig()
    seed: int = Field(0, ge=0, description="Seed of initial weights, order, noise, times and captions.")
    init_from: str | None = Field(
        None,
        description="Checkpoint whose averaged weights are the initial ones, or pretrained (shipped weights); empty: random.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto: the best one available.")
    precision: Precision = Field("auto", description="auto: bfloat16 on CUDA, float32 elsewhere.")
    compile: Switch = Field("auto", description="torch.compile; auto: on CUDA only.")
    log_every: Count = Field(20, description="Steps between two log lines.")
    sample_every: Count = Field(1_000, description="Steps between two grids of samples; the first is of the initial weights.")
    checkpoint_every: Count = Field(500, description="Steps between two checkpoints.")
    keep_checkpoints: Count = Field(2, description="Number of the newest checkpoints that are kept.")

    @model_validator(mode="after")
    def _fits_together(self) -> "TrainingConfig":
        if self.batch_size % self.grad_accum_steps:
            raise ValueError(f"grad_accum_steps: {self.grad_accum_steps} doesn't divide batch_size {self.batch_size}")
        if self.ema_widths[0] >= self.ema_widths[1]:
            raise ValueError("ema_widths: the first must be smaller than the second")
        if self.rehearsal.share and self.init_from is None:
            raise ValueError("rehearsal.share: there are no initial weights to sample; set init_from, or omit rehearsal")
        if self.distillation.trajectories:
            if self.init_from is None:
                raise ValueError("distillation.trajectories: there is no teacher; set init_from, or leave distillation out")
            if self.rehearsal.share or self.augmentation.probability:
                raise ValueError(
                    "distillation.trajectories: the student learns from its teacher's trajectories alone; set rehearsal.share "
                    "and augmentation.probability to 0"
                )
        return self


class SamplingConfig(Section):
    removed = {"tolerance": ANYTHING, "cfg_zero_star": False}
    removed_values = {"solver": "dopri5"}

    solver: Literal["euler", "midpoint", "heun"] = Field("midpoint", description="Solver of dx/dt = v.")
    steps: Count = Field(8, description="Solver steps. NFE = steps x stages (euler 1, midpoint 2, heun 2) x 2 with guidance.")
    time_shift: Positive = Field(
        1.0, description="Above 1: shorter steps at the noisy end, longer at the clean end (2403.03206)."
    )
    guidance: float = Field(2.0, ge=0, description="Guidance scale w; 1 is off.")
    guidance_interval: tuple[Fraction, Fraction] = Field((0.0, 1.0), description="Times at which guidance is on (2404.07724).")

    @model_validator(mode="after")
    def _is_an_interval(self) -> "SamplingConfig":
        if self.guidance_interval[0] > self.guidance_interval[1]:
            raise ValueError("guidance_interval: the first time must not be after the second")
        return self


class EvaluationConfig(Section):
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (1234, 1235, 1236), min_length=1, description="Seeds of the noise that samples start from; scores are means over them."
    )
    max_icons: Count = Field(512, description="Maximum samples per split; a fixed random choice if there are more icons.")
    sweep_icons: int = Field(
        32, ge=0, description="Icons per split for the sweeps over network evaluations and guidance; 0: no sweeps."
    )
    traced_icons: int = Field(
        64, ge=0, description="Trained icons whose samples are also scored as shapes, which takes about 0.1 s each; 0: none."
    )
    clip: str = Field(
        "auto",
        description="Model for clip_similarity, named as for data.encoder. auto: that encoder, if it is a CLIP; off: none.",
    )
    gate: GateConfig = GateConfig()


class FinisherConfig(Section):
    """flowmodel/nets/finisher.py: a small network that sharpens samples and can enlarge them."""

    renamed = {"width": "channels", "init": "init_from"}

    channels: Annotated[int, Field(ge=8, multiple_of=8)] = Field(64, description="Channels, at half the image's resolution.")
    blocks: Count = Field(5, description="Residual blocks.")
    scale: Literal[1, 2] = Field(1, description="Scale factor of the finished image.")
    steps: Count = Field(2_000, description="Optimizer steps.")
    batch_size: Count = Field(16, description="Pairs of a sampled and a real icon per step.")
    crop: Annotated[int, Field(ge=8, multiple_of=2)] = Field(
        32, description="Edge of the crops that a step trains on, in pixels; a smaller image is used whole."
    )
    learning_rate: Positive = Field(2e-3, description="Muon's peak rate, after a linear rise and before a cosine decay to 0.")
    drawings: Count = Field(2, description="How often each training icon is sampled, with different noise and captions.")
    start: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="Time at which sampling starts, from the noised icon; 0: from pure noise, for a generator that has memorized "
        "its icons. Pairs of different icons would teach the finisher to blur.",
    )
    init_from: str | None = Field(
        None, description="Checkpoint whose finisher is the initial one, or pretrained (shipped weights); empty: the identity."
    )


class Recipe(Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    description: str = ""
    data: DataConfig = DataConfig()
    network: NetworkConfig = UNetConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    training: TrainingConfig = TrainingConfig()
    sampling: SamplingConfig = SamplingConfig()
    finisher: FinisherConfig | None = None
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _finisher_fits_the_images(self) -> "Recipe":
        if self.finisher and self.data.color != "rgba":
            raise ValueError(
                f"finisher: works on rgba images only, and data.color is {self.data.color}; leave one of the two out"
            )
        if self.finisher and self.data.size * self.finisher.scale > LARGEST:
            raise ValueError(
                f"finisher.scale: {self.finisher.scale} times data.size {self.data.size} is more than {LARGEST} pixels; "
                "choose a smaller one"
            )
        return self

    @model_validator(mode="after")
    def _batch_holds_icons_and_what_is_mixed_in(self) -> "Recipe":
        batch_size = self.training.batch_size
        copies, samples = recolored_copies(self), rehearsed_samples(self)
        if self.data.recolored and not 0 < copies < batch_size:
            raise ValueError(
                f"data.recolored: {self.data.recolored:g} of a training.batch_size of {batch_size} is {copies} copies, and "
                "each batch needs at least one copy and one icon as it is; choose another share or a larger batch"
            )
        if self.training.rehearsal.share and not 0 < samples < batch_size - copies:
            raise ValueError(
                f"training.rehearsal.share: {self.training.rehearsal.share:g} of a training.batch_size of {batch_size} is "
                f"{samples} samples beside {copies} recolored copies, and each batch needs at least one sample and one icon; "
                "choose another share or a larger batch"
            )
        return self

    @model_validator(mode="after")
    def _student_samples_as_it_is_trained(self) -> "Recipe":
        if self.training.distillation.trajectories and (self.sampling.solver != "euler" or self.sampling.guidance != 1):
            raise ValueError(
                "training.distillation.trajectories: the student learns Euler steps that include the guidance of its teacher; "
                "set sampling.solver to euler and sampling.guidance to 1"
            )
        return self

    @model_validator(mode="after")
    def _network_fits_the_images(self) -> "Recipe":
        if self.data.size % self.network.size_divisor:
            raise ValueError(
                f"data.size {self.data.size} can't be divided by {self.network.size_divisor}, as the network needs: "
                "choose a smaller network.patch_size, or fewer network.channels"
            )
        if self.network.kind == "grayscale_cnn" and self.data.color != "grayscale":
            raise ValueError("network grayscale_cnn outputs luminance only: set data.color to grayscale")
        return self


def recolored_copies(recipe: Recipe) -> int:
    """How many images of each batch are icons in another color."""
    return round(recipe.data.recolored * recipe.training.batch_size)


def rehearsed_samples(recipe: Recipe) -> int:
    """How many images of each batch are samples of the initial weights."""
    return round(recipe.training.rehearsal.share * recipe.training.batch_size)
