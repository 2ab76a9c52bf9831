"""The splits of the icons: for training, for choosing settings, and for the final scores alone."""

from enum import StrEnum

EXCLUDED = "excluded"  # stands in the table of splits for an icon that is on no side, because it looks like icons of two


class Split(StrEnum):
    """A side, by the name that tables, recipes and reports use, in the order in which people read them.

    Attributes:
        label: what people call its icons; in lower case it fits into a sentence.
        description: what these icons are.
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
