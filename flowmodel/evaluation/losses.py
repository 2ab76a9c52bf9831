"""The training's own loss of icons that were trained on and of icons that were not: the gap between them tells memorising."""

from flowmodel.data.dataset import IconDataset
from flowmodel.model.generator import Generator
from flowmodel.recipes.split import Split
from flowmodel.training.icon_set import load_icon_set
from flowmodel.training.validation import Validation


def losses(generator: Generator, dataset: IconDataset) -> tuple[dict[Split, dict[str, float]], str]:
    """`loss` by split on validation's fixed grid of icons, noises and times, whatever the training measured itself; and
    `loss_gap`, by how much validation's is higher than that of as many trained icons. The second value is empty.

    Where there is nothing to measure with, the first value is empty and the second says why: no icon is held out, or the data set
    is not one that this model could be trained on, as can be with a champion. Raises FlowmodelError when the data set is damaged.
    """
    recipe, header = generator.recipe, generator.header
    if dataset.data.size != recipe.data.size:
        return {}, f"the model draws with {recipe.data.size} pixels an edge, and the data set's pictures have {dataset.data.size}"
    if dataset.encoder_digest != header.encoder_digest:
        return {}, f"the data set's captions are encoded by '{dataset.encoder}', and not as for the model by '{header.encoder}'"
    trained = [icon_id for icon_id in header.trained_ids if icon_id in dataset.row_of]
    if not trained:
        return {}, "the data set has none of the icons that the model was trained on"
    data = recipe.data.model_copy(update={"selection": None})  # all that are held out, as for the samples
    if not dataset.ids_of_split(Split.VALIDATION, data):
        return {}, "no icon is held out for validation; raise data.split.validation to have one"
    icon_set = load_icon_set(dataset, data, generator.policy, trained)
    validation = Validation(recipe.model_copy(update={"data": data}), dataset, generator.policy, icon_set)
    measured = validation.measure(generator.model)
    trained_loss, held_out_loss = measured["train_loss"], measured["loss"]
    held_out = {"loss": held_out_loss, "loss_gap": held_out_loss - trained_loss}
    return {Split.TRAIN: {"loss": trained_loss}, Split.VALIDATION: held_out}, ""
