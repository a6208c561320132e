"""The converter's one exception."""


class ConversionError(ValueError):
    """The input file is truncated, damaged, hostile or of an unknown kind; the message names it."""
