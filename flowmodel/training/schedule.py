"""The learning rate as a function of the step."""

import math

from flowmodel.recipes.schema import TrainingConfig


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warmup, then half a cosine down to `final_lr_frac` of the peak. Steps count from 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    floor = config.final_lr_frac
    return config.learning_rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))
