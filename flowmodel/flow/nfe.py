"""The number of function evaluations (NFE). This module does not need torch."""

from flowmodel.flow.solvers import SamplingSettings, integrate


def evaluations_at(t: float, settings: SamplingSettings) -> int:
    """Network evaluations for the velocity at t: 2 with guidance, 1 without."""
    start, end = settings.guidance_interval
    return 2 if settings.guidance != 1 and start <= t <= end else 1


def evaluations(settings: SamplingSettings) -> int:
    """Network evaluations per image."""
    total = 0

    def counted(x: float, t: float) -> float:
        nonlocal total
        total += evaluations_at(t, settings)
        return x

    integrate(counted, 0.0, settings)
    return total
