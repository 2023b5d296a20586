"""An encoder for tests of searches, whose sizes are a function of the quality."""

from __future__ import annotations

import math

from aecodec import rate_control
from aecodec.rate_control import STEPS


class Fake:
    """An encoder whose sizes are a function of the quality alone."""

    def __init__(self, size):
        self.size, self.asked = size, []

    def __call__(self, quality):
        assert 0 <= quality <= STEPS
        self.asked.append(quality)
        return bytes(int(self.size(quality)))

    def reach(self, target, pixels=1000, start=9000):
        return rate_control.reach(target, pixels, start, self, lambda data: 20 + 5 * math.log10(len(data)))


def smooth(quality):
    return 500 * math.exp(3.4 * quality / STEPS) + quality / 40
