"""From where on a number is a fault: one table, each with its reason.

Where healthy and broken networks lie was measured on small networks of all kinds, trained by the usual settings on
the bundled counts and on made-up series; `tests/forecast/inspection/test_planted_faults.py` measures it again.
"""

from typing import NamedTuple


class Threshold(NamedTuple):
    """From where on something is a fault.

    Attributes:
        value: The number.
        reason: What is compared with it, and why there.
    """

    value: float
    reason: str


THRESHOLDS = {
    "vanishing-radius": Threshold(
        0.5,
        "spectral radius of an RNN's matrix: below it a state loses more than half of itself at every step, whatever "
        "comes in. Training starts at 1 and ends between 1 and 2. Gated networks keep by their gates instead",
    ),
    "vanishing-share": Threshold(
        0.15,
        "share of the steps that still get a hundredth of the latest state's gradient: below it most of the history "
        "teaches nothing. Of the 7 to 14 patches of the usual settings even a saturated RNN teaches a fifth",
    ),
    "exploding-growth": Threshold(
        1.08,
        "what a gradient is multiplied by from a step to the one before: 1 keeps it, LSTMs with open gates reach 1.01, "
        "a matrix of radius 2 gives 1.15 and more (tanh) or nearly 2 (relu)",
    ),
    "dead-units": Threshold(
        0.58,
        "share of a layer's ReLU units that answer to no window at all: Adam at usual rates leaves up to 0.56 of a "
        "feedforward network's first layer silent without harm on series that are all alike",
    ),
    "saturated-gates": Threshold(
        0.8,
        "mean share of steps in which a gate is on one and the same side of 0.1 or 0.9: it no longer decides anything. "
        "Trained gates were up to 0.7 on one side",
    ),
    "overfitting-rise": Threshold(
        0.1,
        "how far the validation loss rose again after its best epoch, as a share: noise moves it by a few hundredths, "
        "50 windows learnt by heart by 0.2 and more",
    ),
    "overfitting-gap": Threshold(
        2.0,
        "how far the last validation loss is above the last training loss, as a share: counts together with the rise, "
        "for a validation period can be harder than the rest for its own "
        "reasons: by 1.1 around Christmas. 50 windows learnt by heart end at 10 and more",
    ),
    "underfitting-fall": Threshold(
        0.05,
        "how far the training loss fell, as a share of the first epoch's: healthy ones fell by 0.14 and more, those "
        "that learnt nothing by 0.02. Counts only where the forecasts are no better than naive ones",
    ),
    "learning-rate-high": Threshold(
        0.06,
        "length of the largest step as a share of the weights': usual rates reach 0.02, a hundred times too high 0.15. "
        "A few such steps forget what the weights were",
    ),
    "learning-rate-low": Threshold(
        1.5e-3,
        "length of the largest step as a share of the weights': usual rates reach 0.01, a hundred times too low "
        "0.0003. Weights that move by less never get anywhere",
    ),
    "memory": Threshold(
        0.1,
        "share of the context that holds nine tenths of what the encoder makes of it: below it nine tenths of the "
        "context are read for nothing",
    ),
    "flat-forecast": Threshold(
        0.4,
        "how much the forecasts vary over the steps ahead, as a share of what came: forecasts of the noise's mean lie "
        "around 0.8 to 1, networks taught a constant at 0.25 and less",
    ),
    "pattern": Threshold(
        0.2,
        "how much better seasonal naive is than a flat forecast: below it a flat forecast may be right",
    ),
    "narrow-intervals": Threshold(
        0.25,
        "by how much fewer values lie inside the interval than should: between seasons the bundled counts miss by 0.15",
    ),
    "worse-than-naive": Threshold(
        1.15,
        "error over that of the naive forecast that did best on the same windows, chosen with hindsight: healthy "
        "networks trained for a short time reach 1.08",
    ),
}
