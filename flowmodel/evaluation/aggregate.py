"""From the scores of every picture and seed to those of a report: means, deviations between seeds, emoji groups.

Shape suffixes: N samples.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from flowmodel.evaluation.features import Features
from flowmodel.evaluation.real_icons import RealIcons, Rows
from flowmodel.evaluation.report import SplitScores
from flowmodel.evaluation.scoring import PerIcon, Values, fidelity, means
from flowmodel.recipes.split import Split

_GROUP_DISTANCES = 20  # icons of a group, from which on a distance of sets is not mere noise


def over_seeds(by_seed: Sequence[Mapping[Split, Values]]) -> tuple[dict[Split, Values], dict[Split, Values]]:
    """Means, and standard deviations (none of a single seed)."""
    mean, deviation = {}, {}
    for split, first in by_seed[0].items():
        values = {name: [scores[split][name] for scores in by_seed] for name in first}
        mean[split] = {name: float(np.mean(of_seeds)) for name, of_seeds in values.items()}
        deviation[split] = {name: float(np.std(v, ddof=1)) for name, v in values.items() if len(v) > 1}
    return mean, deviation


def by_group(
    real: RealIcons,
    rows_of: Mapping[Split, Rows],
    by_seed: Sequence[Mapping[Split, PerIcon]],
    features_of: Sequence[Mapping[Split, Features]],
) -> dict[Split, dict[str, SplitScores]]:
    """All scores by emoji group, means over the seeds; distances of sets only for groups where they are no mere noise."""
    table: dict[Split, dict[str, SplitScores]] = {}
    for split, rows in rows_of.items():
        groups_N = np.array([real.groups[row] for row in rows])
        each = {name: np.mean([seed[split][name] for seed in by_seed], axis=0) for name in by_seed[0][split]}
        table[split] = {}
        for group in np.unique(groups_N):
            own = np.flatnonzero(groups_N == group)
            scores: Values = {}
            if len(own) >= _GROUP_DISTANCES:
                of_seeds = [fidelity(real.features[rows[own]], features[split][own]) for features in features_of]
                scores = {name: float(np.mean([of_seed[name] for of_seed in of_seeds])) for name in of_seeds[0]}
            scores |= means({name: values_N[own] for name, values_N in each.items()})
            table[split][str(group) or "none"] = SplitScores(count=len(own), **scores)
    return table
