"""What the range test of the learning rate found."""

import math
import os

import numpy as np


class LearningRateRange:
    """The loss over a growing learning rate.

    rates, losses (moving averages), raw_losses (of each batch alone): float64 arrays. suggestion: the rate at which the loss falls
    most steeply, None when it never falls.
    """

    def __init__(self, found):
        self.rates, self.losses, self.raw_losses = (np.array(found[name], np.float64) for name in ("rates", "losses", "raw_losses"))
        self.suggestion = found["suggestion"]
        self._svg = found["svg"]

    def plot(self, path):
        """Draws the curve into an SVG file."""
        path = os.fspath(path)
        if not path.endswith(".svg"):
            raise ValueError(f"plot draws SVG: the path is to end in .svg, {path!r} was given")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._svg)

    def _repr_svg_(self):
        return self._svg

    def __repr__(self):
        lowest = min(self.losses, default=math.nan)
        return f"<LearningRateRange suggestion={self.suggestion} lowest loss={lowest:.4f} batches={len(self.rates)}>"
