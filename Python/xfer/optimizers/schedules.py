"""Learning rates as functions of the steps taken, for `learning_rate=`. Names, formulas and defaults are Keras'."""

import ctypes

from .. import _configured
from .._configured import Described

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule", "PiecewiseConstantDecay",
    "PolynomialDecay", "deserialize", "get", "serialize",
]


class LearningRateSchedule(Described):
    """schedule(step) is the rate of step 0, 1, ... Subclasses of your own override `__call__`."""

    def __call__(self, step):
        from .._c import lib
        from .._handle import encode, fill_int

        name = type(self).__name__.encode()
        return fill_int(lib.xfer_schedule_value, name, encode(self.get_config()), float(step), kind=ctypes.c_double)


def _positive(name, value):
    if value <= 0:
        raise ValueError(f"Argument `{name}` must be > 0. Received: {name}={value}")
    return value


class ExponentialDecay(LearningRateSchedule):
    """initial · decay_rate^(step / decay_steps)."""

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="ExponentialDecay"):
        super().__init__(
            initial_learning_rate=initial_learning_rate, decay_steps=_positive("decay_steps", decay_steps), decay_rate=decay_rate,
            staircase=staircase, name=name)


class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + decay_rate · step / decay_steps)."""

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="InverseTimeDecay"):
        super().__init__(
            initial_learning_rate=initial_learning_rate, decay_steps=_positive("decay_steps", decay_steps), decay_rate=decay_rate,
            staircase=staircase, name=name)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and including boundaries[i], the last value after all of them."""

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "The length of boundaries should be 1 less than the length of values. "
                f"Received: boundaries={boundaries} of length {len(boundaries)}, and values={values} of length {len(values)}.")
        super().__init__(boundaries=list(boundaries), values=list(values), name=name)


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) · (1 - step / decay_steps)^power + end; with `cycle` the span grows by multiples."""

    def __init__(
        self, initial_learning_rate, decay_steps, end_learning_rate=0.0001, power=1.0, cycle=False, name="PolynomialDecay",
    ):
        super().__init__(
            initial_learning_rate=initial_learning_rate, decay_steps=_positive("decay_steps", decay_steps),
            end_learning_rate=end_learning_rate, power=power, cycle=cycle, name=name)


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to alpha times it; before, a linear warm-up to warmup_target if that is given."""

    def __init__(
        self, initial_learning_rate, decay_steps, alpha=0.0, name="CosineDecay", warmup_target=None, warmup_steps=0,
    ):
        super().__init__(
            initial_learning_rate=initial_learning_rate, decay_steps=_positive("decay_steps", decay_steps), alpha=alpha, name=name,
            warmup_target=warmup_target, warmup_steps=warmup_steps)


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines one after another, each t_mul times as long and m_mul times as high as the one before."""

    def __init__(self, initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0, name="SGDRDecay"):
        super().__init__(
            initial_learning_rate=initial_learning_rate, first_decay_steps=_positive("first_decay_steps", first_decay_steps),
            t_mul=t_mul, m_mul=m_mul, alpha=alpha, name=name)


def get(identifier):
    """A schedule from a config or a schedule."""
    return _configured.find(identifier, LearningRateSchedule, globals(), "schedule")


def serialize(schedule):
    return _configured.serialize(schedule, "keras.optimizers.schedules")


deserialize = get
