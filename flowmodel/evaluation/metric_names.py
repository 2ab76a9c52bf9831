"""Labels and meanings of the metrics, whether higher or lower is better, and which of them are displayed. A metric that is not
listed is displayed by its key.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "neither"]

NOTHING, CANNOT_TELL = "\N{EN DASH}", "cannot tell"
_MINUS = "\N{MINUS SIGN}"  # as wide as a plus

ROWS = {
    "real": ("Real", "real icons; for retrieval and silhouettes, where these would be perfect, at half their resolution"),
    "noise": ("Noise", "noise: the score of a model that has learned nothing"),
    "copies": ("Nearest caption", "the training icon with the nearest caption: the score of pure memorization"),
    "other_vendor": ("Other vendor", "another vendor's icon of the same thing: the score of an artist's redraw"),
}


@dataclass(frozen=True)
class Metric:
    key: str
    label: str
    better: Better
    is_share: bool
    meaning: str

    @property
    def within_sentence(self) -> str:
        """The label, in lowercase unless it is an abbreviation."""
        return self.label if self.label[:2].isupper() else self.label[:1].lower() + self.label[1:]

    def text(self, value: float | None) -> str:
        """The value as text. The true KID is never below 0, so an estimate below 0 is shown as 0."""
        if value is None:
            return NOTHING
        if self.is_share:
            return percent(value)
        return number(max(value, 0.0) if self.key in ("kid", *(f"kid{end}" for end in _INTERVALS)) else value)


# The target is the value of real icons of the same style; bad samples can be on either side of it.
TEXTURE = (
    Metric(
        "flat_share",
        "Flat inside",
        "neither",
        True,
        "share of the inside where nothing changes; lower where it is rough or blurred",
    ),
    Metric(
        "inner_variation",
        "Variation inside",
        "neither",
        False,
        "mean difference between neighboring inner pixels, without edges; higher where it is rough or blurred",
    ),
    Metric(
        "edge_sharpness",
        "Edge sharpness",
        "neither",
        False,
        "mean difference at the sharpest 5% of the pixels; lower where it is blurred, higher where it is noisy",
    ),
    Metric(
        "half_transparent",
        "Half-transparent pixels",
        "neither",
        True,
        "share of pixels neither opaque nor transparent; higher where outlines are soft or the background isn't clean",
    ),
    Metric(
        "color_count",
        "Colors",
        "neither",
        False,
        "how many colors cover 95% of an image's visible area; higher where it is rough or blurred",
    ),
    Metric(
        "finest_band",
        "Finest detail",
        "neither",
        False,
        "strength of the finest wavelet band, diagonals; lower where it is blurred, higher where it is noisy",
    ),
)

_METRICS = (
    Metric(
        "kid",
        "KID",
        "lower",
        False,
        "how different samples and real icons are as sets; at 0 no difference can be measured. An estimate below 0 is shown as 0",
    ),
    Metric("fd", "FD", "lower", False, "Fréchet distance between the two sets; grows as sets get smaller"),
    Metric("fd_infinity", "FD, extrapolated", "lower", False, "Fréchet distance extrapolated to infinitely many images"),
    Metric("precision", "Precision", "higher", True, "share of samples within the range of real icons"),
    Metric("recall", "Recall", "higher", True, "share of real icons within the range of the samples"),
    Metric(
        "density",
        "Density",
        "higher",
        False,
        "real neighborhoods that a sample lies in; real icons have about 1",
    ),
    Metric("coverage", "Coverage", "higher", True, "share of real icons with a sample in their neighborhood"),
    Metric("vendi", "Vendi score", "higher", False, "effective number of distinct images"),
    Metric(
        "retrieval_top1_split",
        "Recognition within the split",
        "higher",
        True,
        "the right real icon is the nearest of its split",
    ),
    Metric(
        "retrieval_top1_source",
        "Recognition within the source",
        "higher",
        True,
        "the right real icon is the nearest of those of its source",
    ),
    Metric("retrieval_top1_all", "Recognition among all icons", "higher", True, "the right real icon is the nearest of all"),
    Metric(
        "retrieval_top5_all", "Recognition, nearest five", "higher", True, "the right real icon is one of the five nearest of all"
    ),
    Metric(
        "caption_probe_top1",
        "Caption probe",
        "higher",
        True,
        "a probe trained on real icons ranks the right caption first",
    ),
    Metric(
        "caption_probe_top5",
        "Caption probe, first five",
        "higher",
        True,
        "a probe trained on real icons ranks the right caption among its first five",
    ),
    Metric("clip_similarity", "CLIP similarity", "higher", False, "cosine of sample and caption by an open_clip model"),
    Metric("alpha_iou", "Silhouette overlap", "higher", True, "overlap (IoU) of the sample's opaque pixels with the real icon's"),
    Metric("alpha_error", "Transparency error", "lower", True, "mean absolute difference of transparency from the real icon's"),
    *TEXTURE,
    Metric(
        "near_copy_rate",
        "Near copies",
        "lower",
        True,
        "samples nearer to one training icon, compared with the second nearest, than 95% of new real icons",
    ),
    Metric(
        "copy_rate",
        "Near copies by a fixed ratio",
        "lower",
        True,
        "samples three times nearer to one training icon than to any other, by features",
    ),
    Metric("copy_rate_pixels", "The same, by pixels", "lower", True, "the same, with distances between pixels"),
    Metric(
        "neighbor_ratio",
        "Nearest / second nearest",
        "neither",
        False,
        "mean distance to the nearest training icon over that to the second nearest, by features; 0 if all are copies",
    ),
    Metric("neighbor_ratio_pixels", "The same, by pixels", "neither", False, "the same, with distances between pixels"),
    Metric(
        "authentic_rate",
        "Authentic",
        "higher",
        True,
        "share of samples farther from their nearest training icon than that icon is from its own nearest one (AuthPct / 100)",
    ),
    Metric("loss", "Loss", "lower", False, "training loss, on the same noise and times for every split"),
    Metric(
        "loss_gap", "Loss gap", "lower", False, "how much higher the loss is than on trained icons; 0 if nothing is memorized"
    ),
)

METRICS = {metric.key: metric for metric in _METRICS}
_INTERVALS = ("_low", "_high")

# Only in metrics.json. Density and Vendi prefer degraded icons, precision, recall and coverage hardly ever tell them apart
# (benchmarks/set_scores.py); FD has no value of real icons to compare with. Only one measure of copies is shown to people.
UNSHOWN = frozenset(
    (
        *("fd", "fd_infinity", "precision", "recall", "density", "coverage", "vendi", "retrieval_top1_split"),
        *("copy_rate", "copy_rate_pixels", "neighbor_ratio", "neighbor_ratio_pixels", "authentic_rate"),
    )
)


def metric(key: str) -> Metric:
    return METRICS.get(key) or Metric(key, key.replace("_", " "), "neither", False, "")


def shown(keys: Iterable[str]) -> list[Metric]:
    """The metrics to display, in the order of this file, then unlisted ones.

    Counts and ends of intervals are not metrics.
    """
    keys = set(keys) - {"count"} - UNSHOWN
    keys -= {key for key in keys if key.endswith(_INTERVALS) and key.rpartition("_")[0] in keys}
    return [metric(key) for key in [*(k for k in METRICS if k in keys), *sorted(keys - METRICS.keys())]]


def percent(share: float) -> str:
    """A percentage with a decimal below 10 and above 99 percent, except for exactly 0 or 1."""
    if 0 < share < 0.0005:
        return "< 0.1%"
    if 0.9995 <= share < 1:
        return "> 99.9%"
    is_round = share == 0 or 0.1 <= share <= 0.99 or share >= 1
    return f"{share:.0%}" if is_round else f"{share:.1%}"


def number(value: float) -> str:
    """Three significant digits, never with an exponent."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return "< 0.0001" if value > 0 else f"> {_MINUS}0.0001"
    text = f"{value:#.3g}".removesuffix(".") if abs(value) < 999.5 else f"{value:,.0f}"
    return text.replace("-", _MINUS)
