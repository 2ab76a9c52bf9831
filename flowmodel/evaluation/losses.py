"""The training's own loss of icons that were trained on and of icons that were not: the gap between them tells memorising."""

from flowmodel.data.dataset import IconDataset
from flowmodel.data.splits import TRAIN, VALIDATION
from flowmodel.errors import FlowmodelError
from flowmodel.model.generator import Generator
from flowmodel.training.icon_set import load_icon_set
from flowmodel.training.validation import Validation


def losses(generator: Generator, dataset: IconDataset) -> dict[str, dict[str, float]]:
    """`loss` by split on validation's fixed grid of icons, noises and times, whatever the training measured itself; and
    `loss_gap`, by how much validation's is higher than that of as many trained icons.

    Empty where there is nothing to measure with: no icon is held out, or the data set is not one that this model could be trained
    on, as can be with a champion: pictures of another size, captions of another encoder or without the recipe's templates.
    """
    recipe, header = generator.recipe, generator.header
    if dataset.encoder_digest != header.encoder_digest or dataset.data.size != recipe.data.size:
        return {}
    data = recipe.data.model_copy(update={"selection": None})  # all that are held out, as for the samples
    trained = [icon_id for icon_id in header.trained_ids if icon_id in dataset.row_of]
    try:
        icon_set = load_icon_set(dataset, data, generator.policy, trained)
        validation = Validation(recipe.model_copy(update={"data": data}), dataset, generator.policy, icon_set)
    except FlowmodelError:
        return {}
    if not validation.icons:
        return {}
    measured = validation.measure(generator.network)
    trained_loss, held_out_loss = measured["train_loss"], measured["loss"]
    return {TRAIN: {"loss": trained_loss}, VALIDATION: {"loss": held_out_loss, "loss_gap": held_out_loss - trained_loss}}
