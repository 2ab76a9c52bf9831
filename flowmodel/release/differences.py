"""The scores of two models on the same icons, with confidence intervals of the differences."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One score of both models on the same icons, means over the seeds; `low` and `high` bound challenger - champion with 95 %
    confidence.
    """

    metric: str
    label: str
    lower_is_better: bool
    challenger: float
    champion: float
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.challenger - self.champion


@dataclass(frozen=True)
class Comparison:
    """`icons` held-out icons that neither model has seen, drawn by both."""

    icons: int
    differences: tuple[Difference, ...]
