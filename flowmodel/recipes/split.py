"""The splits of the icons: for training, for choosing settings, and for final scores only."""

from enum import StrEnum

EXCLUDED = "excluded"  # marks an icon in the table of splits that is in no split, because it looks like icons of two splits


class Split(StrEnum):
    """A split, with the name that tables, recipes and reports use, in display order.

    Attributes:
        label: display name of its icons, for use in a sentence in lower case.
        description: what its icons have in common.
    """

    label: str
    description: str

    TRAIN = "train", "Trained icons", "icons that the model was trained on"
    VALIDATION = "validation", "Validation icons", "concepts kept out of training, used to choose settings"
    UNSEEN_CONCEPT = "unseen_concept", "Unseen concepts", "concepts that nothing in the training has shown"
    UNSEEN_STYLE = "unseen_style", "Unseen styles", "concepts it knows, in the style of another source"
    UNSEEN_TONE = "unseen_tone", "Unseen tones", "icons it knows, in another skin tone"

    def __new__(cls, value: str, label: str = "", description: str = "") -> "Split":
        member = str.__new__(cls, value)
        member._value_, member.label, member.description = value, label, description
        return member
