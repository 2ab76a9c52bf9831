"""Aggregates the scores of samples and seeds: means, standard deviations between seeds, and scores by emoji group.

Shape suffixes: N samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowmodel.evaluation.features import Features
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.report import SplitScores
from flowmodel.evaluation.scoring import PerIcon, Values, fidelity, means
from flowmodel.recipes.split import Split

_GROUP_DISTANCES = 20  # fewest icons of a group for a distance between sets, which would be noise otherwise


@dataclass(frozen=True)
class SeedScores:
    """The scores of the samples of one seed.

    Attributes:
        of_split: scores of each split.
        of_icons: scores of each sample, by split.
        features: features of all samples.
        numbers_of: indices of the samples of each split.
    """

    of_split: Mapping[Split, Values]
    of_icons: Mapping[Split, PerIcon]
    features: Features
    numbers_of: Mapping[Split, Rows]


def over_seeds(seeds: Sequence[SeedScores]) -> tuple[dict[Split, Values], dict[Split, Values]]:
    """Means and standard deviations of the scores that every seed has; a single seed has no standard deviations."""
    mean, deviation = {}, {}
    for split, first in seeds[0].of_split.items():
        measured = set.intersection(*(set(seed.of_split[split]) for seed in seeds))
        values = {name: [seed.of_split[split][name] for seed in seeds] for name in first if name in measured}
        mean[split] = {name: float(np.mean(of_seeds)) for name, of_seeds in values.items()}
        deviation[split] = {name: float(np.std(v, ddof=1)) for name, v in values.items() if len(v) > 1}
    return mean, deviation


def by_group(real: RealIcons, rows_of: Mapping[Split, Rows], seeds: Sequence[SeedScores]) -> dict[Split, dict[str, SplitScores]]:
    """Scores by emoji group, averaged over the seeds. Small groups have no distances between sets."""
    table: dict[Split, dict[str, SplitScores]] = {}
    for split, rows in rows_of.items():
        groups_N = np.array([real.groups[row] for row in rows])
        each = {name: np.mean([seed.of_icons[split][name] for seed in seeds], axis=0) for name in seeds[0].of_icons[split]}
        table[split] = {}
        for group in np.unique(groups_N):
            own = np.flatnonzero(groups_N == group)
            scores: Values = {}
            if len(own) >= _GROUP_DISTANCES:
                drawn = [seed.features[seed.numbers_of[split][own]] for seed in seeds]
                distances = [fidelity(real.features[rows[own]], features) for features in drawn]
                scores = {name: float(np.mean([of_seed[name] for of_seed in distances])) for name in distances[0]}
            scores |= means({name: values_N[own] for name, values_N in each.items()})
            table[split][str(group) or "none"] = SplitScores(count=len(own), **scores)
    return table
