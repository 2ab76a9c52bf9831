"""Losses of the network on training and held-out icons; the gap between them shows memorization."""

from dataclasses import dataclass, field

from flowmodel.data.dataset import IconDataset
from flowmodel.model.generator import Generator
from flowmodel.recipes.split import Split
from flowmodel.training.icon_set import load_icon_set
from flowmodel.training.prediction_error import ByTime, PredictionError
from flowmodel.training.validation import Validation

ERROR_ICONS = 64


@dataclass(frozen=True)
class Losses:
    """The losses that could be measured.

    Attributes:
        of_split: `loss` on validation's fixed grid of icons, noises and times, independent of what the training measured; and
            `loss_gap`,
            the difference between the loss of validation icons and of as many training icons. Empty if no icon is held out.
        prediction_error: the error of the predicted image by split and t.
        why_not: the reason if something is empty; otherwise empty.
    """

    of_split: dict[Split, dict[str, float]] = field(default_factory=dict)
    prediction_error: dict[Split, ByTime] = field(default_factory=dict)
    why_not: str = ""


def losses(generator: Generator, dataset: IconDataset) -> Losses:
    """Measure the losses. They are empty for a distilled model, whose loss is another one, and if the model could not be
    trained on the data set, which can happen for a champion.

    Raises FlowmodelError when the data set is damaged.
    """
    recipe, header = generator.recipe, generator.header
    if recipe.training.distillation.trajectories:
        return Losses(why_not="a distilled model learns the jumps of its teacher's sampling, not the velocity at every time")
    if why_not := _misfit(generator, dataset):
        return Losses(why_not=why_not)
    trained = [icon_id for icon_id in header.trained_ids if icon_id in dataset.row_of]
    if not trained:
        return Losses(why_not="the data set has none of the icons that the model was trained on")
    data = recipe.data.model_copy(update={"selection": None})  # all held-out icons, as for the samples
    icon_set = load_icon_set(dataset, data, generator.policy, trained)
    errors = PredictionError(dataset, data, generator.policy, icon_set, ERROR_ICONS).measure(generator.model)
    if not dataset.ids_of_split(Split.VALIDATION, data):
        return Losses({}, errors, "no icon is held out for validation; raise data.split.validation to have one")
    validation = Validation(recipe.model_copy(update={"data": data}), dataset, generator.policy, icon_set)
    measured = validation.measure(generator.model)
    trained_loss, held_out_loss = measured["train_loss"], measured["loss"]
    held_out = {"loss": held_out_loss, "loss_gap": held_out_loss - trained_loss}
    return Losses({Split.TRAIN: {"loss": trained_loss}, Split.VALIDATION: held_out}, errors)


def _misfit(generator: Generator, dataset: IconDataset) -> str:
    size, header = generator.recipe.data.size, generator.header
    if dataset.data.size != size:
        return f"the model samples images of {size} pixels, and the data set's images have {dataset.data.size}"
    if dataset.encoder_digest != header.encoder_digest:
        return f"the data set's captions are encoded by '{dataset.encoder}', and not as for the model by '{header.encoder}'"
    return ""
