"""The card of an exported model: what it is, how it is used, under which terms."""

from flowmodel.runtime.model_folder import DESCRIPTION, EMOJI, FINISHER, NETWORK, TOKENIZER, TOWERS, Description

_CARD = """\
# {name}

Draws icons of {finished} x {finished} pixels for English prompts. {parameters:.2f} million parameters, trained by flow matching;
made of the checkpoint `{checkpoint}`.

{styles}Drawn where nothing else is asked for: {solver}, {steps} steps, guidance {guidance:g} at times from {start:g} to {end:g},
steps shifted by {shift:g}.

## Files

All are named with size and SHA-256 in `{description}`.

- `{network}`: one evaluation of the network, from `x` (B, {channels}, {size}, {size}), `t` (B), `pooled` (B, D),
  `tokens` (B, L, D) and `mask` (B, L) to `velocity`.
- `{finisher}`, where there is one: `drawn` to `finished`, pictures in [-1, 1].
- `{tower}` and `{tower8}`: the caption tower ({encoder}), whole and with weights of 8 bits, from `ids` (B, L) to `pooled` and
  `tokens`. All texts of a batch have one length.
- `{tokenizer}`: text to `ids`, at most {max_tokens}.
- `{emoji}`: names that take the place of emoji in a prompt.

Time runs from t = 0, noise, to t = 1, the picture. Without guidance x + h v is a step; with guidance w the velocity is
v0 + w (v1 - v0), where v0 is that of a caption with `pooled` of zeros and a `mask` of false.{premultiplied}

## Use

    from flowmodel import OnnxGenerator

    [pizza] = OnnxGenerator.load("this/folder").images(["pizza"])
    pizza.save("pizza.png")

It needs numpy, onnxruntime, tokenizers and Pillow beside flowmodel; PyTorch is not used.

## Terms of what it was trained on

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
        encoder=description.encoder,
        tokenizer=TOKENIZER,
        max_tokens=description.max_tokens,
        emoji=EMOJI,
        premultiplied=_PREMULTIPLIED if description.channels == 4 else "",
        terms="\n".join(told) if rows else "Unknown: the checkpoint says nothing of them.",
    )
