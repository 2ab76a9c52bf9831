"""The model card of an exported model: description, use and license terms."""

from flowmodel.runtime.model_folder import DESCRIPTION, EMOJI, ENGLISH, FINISHER, NETWORK, TOKENIZER, TOWERS, Description

_CARD = """\
# {name}

Samples icons of {finished} x {finished} pixels for English prompts. The model has {parameters:.2f} million parameters,
was trained by flow matching, and was exported from the checkpoint `{checkpoint}`.

{styles}Default sampling: {solver}, {steps} steps, guidance {guidance:g} at times from {start:g} to {end:g},
steps shifted by {shift:g}.

## Files

`{description}` lists all files with size and SHA-256.

- `{network}`: one evaluation of the network, from `x` (B, {channels}, {size}, {size}), `t` (B), `pooled` (B, D),
  `tokens` (B, L, D) and `mask` (B, L) to `velocity`.
- `{finisher}`, if the model has a finisher: `drawn` to `finished`, images in [-1, 1].
- `{tower}` and `{tower8}`: the caption tower ({encoder}), in float32 and in a smaller form, from `ids` (B, L) to
  `pooled` and `tokens`. All texts of a batch have the same length.
- `{tokenizer}`: text to `ids`, at most {max_tokens}.
- `{emoji}`: names that replace emoji in a prompt.
- `{english}`: English translations of the names of emoji in other languages, as JSON that zlib has compressed.

A page has the graphs rounded and packed, in files like `{packed}`.

Time runs from t = 0 (noise) to t = 1 (the image). Without guidance a step is x + h v; with guidance w the velocity is
v0 + w (v1 - v0), where v0 is the velocity for a `pooled` of zeros and a `mask` of false.{premultiplied}

## Use

    from flowmodel import OnnxGenerator

    [pizza] = OnnxGenerator.load("this/folder").images(["pizza"])
    pizza.save("pizza.png")

It needs numpy, onnxruntime, tokenizers and Pillow besides flowmodel; PyTorch is not used.

## License terms of the training data

{terms}
"""
_PREMULTIPLIED = """
A pixel is premultiplied red, green, blue and alpha in [-1, 1]."""


def model_card(description: Description) -> str:
    """As Markdown."""
    sampling, styles = description.sampling, description.styles
    rows = [
        f"| {each['source']} | {each['license']} | {'yes' if each['redistributable'] else 'no'} | {each['origin']} |"
        for each in description.terms
    ]
    told = ["| source | license | redistributable | origin |", "|---|---|---|---|", *rows]
    return _CARD.format(
        name=description.name,
        finished=description.finished_size,
        size=description.size,
        channels=description.channels,
        parameters=description.parameters / 1e6,
        checkpoint=description.checkpoint,
        styles=f"Styles, for prompts that end in `, STYLE style`: {', '.join(styles)}.\n\n" if styles else "",
        solver=sampling.solver,
        steps=sampling.steps,
        guidance=sampling.guidance,
        start=sampling.guidance_interval[0],
        end=sampling.guidance_interval[1],
        shift=sampling.time_shift,
        description=DESCRIPTION,
        network=NETWORK,
        finisher=FINISHER,
        tower=TOWERS["float32"],
        tower8=TOWERS["int8"],
        packed=TOWERS["packed"],
        encoder=description.encoder,
        tokenizer=TOKENIZER,
        max_tokens=description.max_tokens,
        emoji=EMOJI,
        english=ENGLISH,
        premultiplied=_PREMULTIPLIED if description.channels == 4 else "",
        terms="\n".join(told) if rows else "Unknown: the checkpoint has no record of them.",
    )
