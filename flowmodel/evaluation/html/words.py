"""The sentences of a report. Pure functions on the report of an evaluation."""

from dataclasses import dataclass

from flowmodel.evaluation.html.report_charts import Curves
from flowmodel.evaluation.metric_names import metric, number, percent
from flowmodel.evaluation.report import EvaluationReport, Scores
from flowmodel.evaluation.rules import recipe_rule, share_of_copies
from flowmodel.recipes.schema import Recipe
from flowmodel.recipes.split import Split
from flowmodel.training.prediction_error import error_without_network

# Thresholds of wordings, as fractions of the scores of real icons.
_NEARLY_ALL, _MOST, _SOME = 0.9, 0.5, 0.1
# Excess of near copies over held-out real icons: above the first it is more than chance, above the second it is typical.
_MORE_THAN_CHANCE, _THE_RULE = 0.05, 0.5
_LOSS_GAP = 1.1
_MOST_OF_THE_NOISE = 0.8
_RISEN = 1.05  # validation loss at the end, as a multiple of its lowest
_LATE = 0.95  # a time at which little noise is left


@dataclass(frozen=True)
class Statement:
    """A verdict in one sentence, and the numbers that it rests on."""

    verdict: str
    sentences: tuple[str, ...]


def quality(report: EvaluationReport) -> Statement:
    """The verdict on samples of training icons and of unseen concepts."""
    parts = {}
    for split in (Split.TRAIN, Split.UNSEEN_CONCEPT):
        if (own := report.score(split, "retrieval_top1_all")) is not None:
            real = report.baselines.real[split].retrieval_top1_all
            parts[split] = own / real if real else 0.0
    recognized = (
        f"An icon is recognized if the right one of all {report.settings.real_icons:,} real icons is the nearest to the sample. "
        "Real icons are tried at half their resolution."
    )
    verdict = _verdict(parts.get(Split.TRAIN, 0.0), parts.get(Split.UNSEEN_CONCEPT))
    return Statement(verdict, tuple(s for s in (_sampled(report), recognized, _distance(report)) if s))


def _sampled(report: EvaluationReport) -> str:
    settings = report.settings
    icons, seeds = sum(scores.count for scores in report.metrics.values()), len(settings.seeds)
    before = settings.initial_icons
    times = {1: "once", 2: "twice"}.get(seeds, f"{seeds} times")
    each = " each time from different noise," if seeds > 1 else ""
    beyond = f", from weights trained on {before:,} others" if before else ""
    return (
        f"The recipe {settings.recipe} produced a model with {settings.parameters / 1e6:.2f} million parameters, trained for "
        f"{settings.training_steps:,} steps on {settings.training_icons - before:,} icons{beyond}. For this "
        f"report it generated {icons:,} icons by name, {times},{each} with {settings.network_evaluations} network evaluations "
        "per image."
    )


def _distance(report: EvaluationReport) -> str:
    """The explanation of KID, with that of training icons."""
    own, real, noise = (rows[Split.TRAIN] for rows in (report.metrics, report.baselines.real, report.baselines.noise))
    if own.kid is None or own.kid_low is None or own.kid_high is None or real.kid is None or noise.kid is None:
        return ""
    text = metric("kid").text
    told = (
        f"KID estimates how different samples and real icons are as sets: {text(own.kid)} for trained icons, with a 95% interval "
        f"from {text(own.kid_low)} to {text(own.kid_high)}; {text(real.kid)} for two halves of the real icons, {text(noise.kid)} "
        "for noise."
    )
    return told + (" Here no difference can be measured." if own.kid_low <= max(real.kid, 0.0) else "")


def _verdict(trained: float, unseen: float | None) -> str:
    known = _in_words(
        trained,
        "It reproduces its icons nearly as recognizably as real ones",
        "It reproduces most of its icons",
        "It reproduces some of its icons",
        "It does not yet reproduce its icons",
    )
    if unseen is None:
        return f"{known}; there were no unseen concepts to test."
    new = _in_words(
        unseen,
        "generates new concepts as recognizably as real ones",
        "generates most new concepts",
        "generates some new concepts",
        "does not generate new concepts",
    )
    both_or_none = (trained >= _SOME) == (unseen >= _SOME)
    return f"{known}, {'and' if both_or_none else 'but'} {new}."


def _in_words(share: float, nearly_all: str, most: str, some: str, hardly: str) -> str:
    return nearly_all if share >= _NEARLY_ALL else most if share >= _MOST else some if share >= _SOME else hardly


def texture(report: EvaluationReport) -> Statement:
    """The texture, and whether the network still helps near the end."""
    own, real = report.metrics[Split.TRAIN], report.baselines.real[Split.TRAIN]
    if own.flat_share is None or not real.flat_share:
        return Statement("There are too few opaque pixels to tell how clean its samples are.", _late_error(report))
    verdict = _in_words(
        own.flat_share / real.flat_share,
        "Its samples are as clean inside as real icons.",
        "Its samples are rougher inside than real icons.",
        "Its samples are much rougher inside than real icons.",
        "Hardly any area of its samples is flat: they look like watercolors.",
    )
    inside = (
        f"{percent(own.flat_share)} of the inner area of its samples of trained icons is flat, compared with "
        f"{percent(real.flat_share)} of the same real icons."
    )
    return Statement(verdict, (inside, *_late_error(report)))


def _late_error(report: EvaluationReport) -> tuple[str, ...]:
    own = (report.prediction_error or {}).get(Split.TRAIN, {}).get(_LATE)
    if own is None:
        return ()
    without = error_without_network(_LATE)
    says = "the network still removes noise there" if own < _MOST_OF_THE_NOISE * without else "the network helps little there"
    return (
        f"Near the end, at t = {_LATE:g}, the error of the predicted image is {number(own)}, that of the noisy image itself "
        f"{number(without)}: {says}.",
    )


def memorization(report: EvaluationReport, recipe: Recipe) -> Statement:
    """Memorization, and whether the recipe allows it."""
    rule = _copy_rule(report, recipe)
    trained, real = report.metrics[Split.TRAIN], report.baselines.real
    key, share = share_of_copies(trained)
    if share is None:
        return Statement("Memorization was not measured: there are too few training icons.", (rule,))
    chance = share_of_copies(real[Split.TRAIN])[1] or 0.0
    if share - chance >= _THE_RULE:
        verdict = "It memorizes: most of its samples of trained icons are near copies."
    elif share - chance >= _MORE_THAN_CHANCE:
        verdict = "It memorizes in part: more of its samples are near copies than expected by chance."
    else:
        verdict = "By this test, its samples are not copies."
    sentences = [
        _TESTS[key] + f" So do {percent(share)} of its samples of trained icons and {percent(chance)} of new real icons."
    ]
    if (unseen := share_of_copies(report.metrics.get(Split.UNSEEN_CONCEPT, Scores()))[1]) is not None:
        by_chance = share_of_copies(real[Split.UNSEEN_CONCEPT])[1] or 0.0
        more = unseen - by_chance >= _MORE_THAN_CHANCE
        sentences.append(
            f"For concepts that it has never seen, {percent(unseen)} of its samples are as close to a training icon"
            + (
                ": it falls back on icons that it knows."
                if more
                else f", and {percent(by_chance)} of new real icons: no more than chance."
            )
        )
    return Statement(verdict, tuple(s for s in (*sentences, _loss_gap(report), rule) if s))


_TESTS = {
    "near_copy_rate": "A sample counts as a near copy if its distance to the nearest training icon, divided by that to the "
    "second nearest, is smaller than for 95% of held-out real icons.",
    "copy_rate": "There are too few held-out icons to calibrate the test. A sample therefore counts as a near copy if it is "
    "three times nearer to one training icon than to any other.",
}


def validation_loss(curves: Curves | None) -> str:
    """The explanation of a risen validation loss; empty if it has not risen."""
    points = (curves or {}).get("validation/loss", ())
    if not points:
        return ""
    (best_step, best), (last_step, last) = min(points, key=lambda point: point[1]), points[-1]
    if last <= _RISEN * best:
        return ""
    return (
        f"The validation loss was lowest at step {best_step:,} ({number(best)}) and has risen to {number(last)} at step "
        f"{last_step:,}. That is expected of a model that memorizes its icons: it becomes more certain, even where it is "
        "wrong about icons that it has never seen, while its samples of trained icons keep improving. The images and scores "
        "above show whether new concepts have suffered. If they matter most, train on more icons, or stop near that "
        "step with training.patience."
    )


def _loss_gap(report: EvaluationReport) -> str:
    trained, held_out = (report.score(split, "loss") for split in (Split.TRAIN, Split.VALIDATION))
    if not trained or held_out is None:
        return ""
    ratio = held_out / trained
    beside = f"{number(held_out)} on validation icons and {number(trained)} on trained ones"
    if ratio <= _LOSS_GAP:
        return f"Its loss is {beside}: about the same."
    return f"Its loss is {beside}, {ratio:.1f} times as much on the former: it has memorized some of its training icons."


def _copy_rule(report: EvaluationReport, recipe: Recipe) -> str:
    rules = (rule for rule in recipe.evaluation.gate.rules if rule.split == Split.UNSEEN_CONCEPT)
    rule = next((rule for rule in rules if rule.metric in ("near_copy_rate", "copy_rate", "copy_rate_pixels")), None)
    if rule is None:
        return f"The recipe {recipe.name} has no rule against near copies, so no model is refused for them."
    if rule.waived:
        waiver = f"The recipe {recipe.name} waives the rule against near copies, because {rule.waived}"
        return f"{waiver}, so no model is refused for them."
    result = recipe_rule(report, rule)
    allowed = f"The recipe allows near copies in {percent(rule.limit or 0.0)} of the unseen captions"
    if result.value is None:
        return f"{allowed}; there were none to measure it on."
    return f"{allowed}; the model {'passes' if result.kept else 'breaks'} that rule."


def other_data(report: EvaluationReport, trained_on: str) -> str:
    """A warning if the data set is not the one that the model was trained on; else empty."""
    if report.settings.dataset_digest == trained_on:
        return ""
    return (
        "The prepared data have changed since this model was trained. Icons that are held out now may have been in its "
        "training data, so the scores of held-out captions may be too high."
    )
