"""The prompts for which an exported model is compared with PyTorch."""

from benchmarks.export_parity import INVENTED, prompts
from flowmodel.export.packed import typical


def test_no_prompt_is_a_word_for_which_the_towers_rounding_was_calibrated():
    texts = prompts(["noto", "twemoji"])
    assert len(set(texts)) == 60 and sum(text.endswith(" style") for text in texts) == 40
    words = {text.rpartition(", ")[0] if text.endswith(" style") else text for text in texts}
    assert set(INVENTED) < words and not words & set(typical([]))
