"""The scores of two models on the same icons, with confidence intervals of the differences."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A score of both models on the same icons, averaged over the seeds. `low` and `high` are the 95% interval of challenger -
    champion.
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
    """The comparison on `icons` held-out icons that neither model was trained on."""

    icons: int
    differences: tuple[Difference, ...]
