"""Samples of the initial weights, which a training on few icons keeps seeing, so that the names they know are not forgotten.

Nothing has to be downloaded: the weights generate what they were trained on. This is DreamBooth's prior preservation (Ruiz et al.
2208.12242, section 3.3), here for a style.
"""

import numpy as np
import torch

from flowmodel.errors import FlowmodelError
from flowmodel.flow.seeds import mixed_seed
from flowmodel.model.checkpoint import CheckpointHeader
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator
from flowmodel.nets.text_condition import PackedCaptions
from flowmodel.recipes import Recipe
from flowmodel.text.emoji_texts import unicode_emoji
from flowmodel.training.icon_set import IconSet
from flowmodel.training.initial import initial_checkpoint

_NAMES, _NOISE = range(2)  # random streams


def known_names(header: CheckpointHeader) -> list[str]:
    """The names of the icons that the weights were trained on, sorted: Unicode names of emoji, and the words of other keys."""
    emoji = unicode_emoji()
    keys = {icon_id.partition("/")[2] for icon_id in header.seen_ids}
    return sorted({emoji[key].name if key in emoji else key.replace("-", " ") for key in keys})


def load_rehearsal_set(recipe: Recipe, policy: DevicePolicy) -> IconSet:
    """Samples of the initial weights for names that they know, each with its prompt as its caption; on the policy's device.

    Names, styles and noise are functions of `recipe.training.seed`. The samples are generated as the recipe of the initial
    weights says, and finished if these weights have a finisher.

    Raises FlowmodelError when the initial weights or their caption encoder are missing, they know no name, or their images have
    another size.
    """
    config, seed = recipe.training.rehearsal, recipe.training.seed
    generator = Generator.load(initial_checkpoint(str(recipe.training.init_from)), policy.device)
    if generator.size != recipe.data.size:
        raise FlowmodelError(
            f"training.rehearsal: the initial weights generate images of {generator.size} pixels, and data.size is "
            f"{recipe.data.size}; set data.size to {generator.size}, or training.rehearsal.share to 0"
        )
    names = known_names(generator.header)
    if not names:
        raise FlowmodelError(
            f"training.rehearsal: {generator} does not say which icons it was trained on; set training.rehearsal.share to 0"
        )
    random = np.random.default_rng([seed, _NAMES])
    chosen = [names[number] for number in random.permutation(len(names))[: config.samples]]
    styles = random.permutation(np.resize(np.array(config.styles or [""]), len(chosen)))  # equally many of each
    prompts = [f"{name}, {style} style" if style else name for name, style in zip(chosen, styles, strict=True)]
    rgba_N4HW = generator.sample(prompts, seed=mixed_seed(seed, _NOISE))
    text = generator.encode(prompts)
    tokens = [token_LD[:length].half().cpu() for token_LD, length in zip(text.tokens_BLD, text.lengths_B.tolist(), strict=True)]
    return IconSet(
        ids=tuple(f"sample of '{prompt}'" for prompt in prompts),
        rgba_N4HW=rgba_N4HW.to(policy.device).contiguous(memory_format=policy.memory_format),
        color=recipe.data.color,
        text=PackedCaptions.from_features(text.pooled_BD.cpu(), tokens, policy.device),
        first_caption_N=torch.arange(len(prompts)),
        captions_N=torch.ones(len(prompts), dtype=torch.long),
    )
