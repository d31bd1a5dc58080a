"""A plain RNN's gradients vanish with the lag; an LSTM's and a GRU's do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from torch import nn

from forecast.inspection import sample_windows, state_gradients
from forecast.inspection.results import Floats, Result
from forecast.networks import Network
from forecast.table import SeriesTable
from forecast.training import train
from forecast.windows import Batch
from pipelines.lab.experiment import Experiment, Lesson, Verdict, judged, share_in_words
from pipelines.lab.networks import BARE, settings, untrained
from pipelines.pictures import Picture
from pipelines.pictures.style import ACTUAL, BASELINE, MODEL, OTHERS, line, styled

CONTEXT = 96  # hours read, one to a step of the recurrence: the textbook's network, without patches
LAG = 24  # hours back at which the claim is judged: what a forecast of a day needs most
VANISHED = 0.01  # of the latest state's gradient
WINDOWS = 64

LESSON = Lesson(
    claim="A plain RNN's gradients vanish with the lag; an LSTM's and a GRU's do not.",
    explanation=(
        "A recurrent network reads one hour after the other and keeps what it knows in its state h. To learn that "
        "yesterday mattered, the loss must send its gradient back through all the states since. A plain RNN multiplies "
        "it by the recurrent matrix U and the slope of tanh at every step; with small random weights that is a factor "
        "below 1, and its powers soon are nothing. The cell c of an LSTM is handed on by a gate f instead: an open "
        "gate is a factor close to 1. So it is not the LSTM as such that remembers but its open gate, and an LSTM "
        "whose gates start half shut forgets too. Here open gates start where the lag asks for them (chrono "
        "initialisation); the plain RNN and the half shut LSTM start with torch's own weights."
    ),
    formulas=(
        "RNN: ∂h_t/∂h_{t-k} = ∏ diag(tanh'(a)) U, about a^k",
        "LSTM: ∂c_t/∂c_{t-k} ≈ ∏ f",
        "GRU: ∂h_t/∂h_{t-k} ≈ ∏ z",
    ),
    source=(
        "Bengio et al. 1994; Pascanu et al. 2013 (arXiv 1211.5063); Hochreiter and Schmidhuber 1997; Gers et al. 2000; "
        "Tallec and Ollivier 2018 (arXiv 1804.11188) for where gates should start."
    ),
)


class Kind(NamedTuple):
    """A network that takes part: its encoder, whether its gates start open, and how it is drawn."""

    cell: str
    open_gates: bool
    color: str
    dash: str = "solid"


RNN, LSTM, GRU, SHUT = "RNN", "LSTM", "GRU", "LSTM, gates half shut"
KINDS = {
    RNN: Kind("rnn", False, BASELINE),
    LSTM: Kind("lstm", True, MODEL),
    GRU: Kind("gru", True, OTHERS[1], "dot"),
    SHUT: Kind("lstm", False, OTHERS[3], "dash"),
}


@dataclass(frozen=True)
class Signal(Result):
    """How much of the loss's gradient is left k steps back, as a share of the latest state's; by network.

    Attributes:
        start: `(S, N)` for each of S first weights, at lags 0 to N - 1.
        trained: `(N,)` of the first of them after training.
        loss: Its validation loss.
    """

    start: dict[str, Floats]
    trained: dict[str, Floats]
    loss: dict[str, float]

    def at(self, lag: int) -> dict[str, float]:
        """What is left at a lag before training, the median over first weights."""
        return {name: float(np.median(shares[:, lag])) for name, shares in self.start.items()}

    def summary(self) -> dict[str, Any]:
        lag = min(LAG, len(next(iter(self.trained.values()))) - 1)
        return {
            "lag": lag,
            "left_at_start": self.at(lag),
            "left_when_trained": {name: float(shares[lag]) for name, shares in self.trained.items()},
            "val_loss": self.loss,
        }

    def table(self) -> pd.DataFrame:
        """`network, stage, seed, lag, share`."""
        frames = []
        for name, shares in self.start.items():
            stages = [("start", seed, one) for seed, one in enumerate(shares)]
            for stage, seed, one in [*stages, ("trained", 0, self.trained[name])]:
                columns = {"network": name, "stage": stage, "seed": seed, "lag": np.arange(len(one)), "share": one}
                frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)


def run(table: SeriesTable) -> Experiment:
    """The experiment as it is shown."""
    signal = measure(table)
    return Experiment(LESSON, judge(signal), signal.summary(), {"gradients": signal.table()}, pictures(signal))


def measure(
    table: SeriesTable,
    context: int = CONTEXT,
    hidden_size: int = 32,
    seeds: int = 5,
    epochs: int = 6,
    batches: int = 40,
    windows: int = WINDOWS,
) -> Signal:
    """Measure the gradient of each network's states before and after training.

    Args:
        table: The series.
        context: Hours read.
        hidden_size: Units of the state.
        seeds: First weights to look at.
        epochs: Of the training of the first of them.
        batches: Of each epoch.
        windows: That the gradient is the root mean square over.
    """
    start, trained, loss = {}, {}, {}
    for name, kind in KINDS.items():
        network = {**BARE, "kind": kind.cell, "hidden_size": hidden_size, "patch_length": 1}
        pace = {"max_epochs": epochs, "batches_per_epoch": batches, "batch_size": 64, "optimizer": "adam"}
        config = settings(table, network, pace, context)
        batch = sample_windows(config, table, windows)
        fresh = [textbook(untrained(config, seed), kind.open_gates, context, seed) for seed in range(seeds)]
        start[name] = np.stack([left(one, batch) for one in fresh])
        learnt, history = train(config, table, start=fresh[0])
        trained[name] = left(learnt, batch)
        loss[name] = min(epoch["val_loss"] for epoch in history)
    return Signal(start, trained, loss)


def textbook(network: Network, open_gates: bool, longest: int, seed: int) -> Network:
    """Give a recurrence torch's own first weights, and open its gates for lags of up to so many steps.

    Open gates are those of chrono initialisation (Tallec and Ollivier 2018, arXiv 1804.11188, section 2): biases of
    the forget gate `ln u`, u uniform between 1 and the longest lag, and of the input gate `-ln u`. A GRU has one gate
    for both.

    Args:
        network: A recurrent network, changed in place.
        open_gates: Whether to open them.
        longest: The longest lag, in steps.
        seed: Of the random numbers.
    """
    recurrence = cast(nn.RNNBase, network.encoder.recurrence)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        recurrence.reset_parameters()
        if open_gates:
            size = recurrence.hidden_size
            bias = torch.empty(size).uniform_(1, max(longest - 1, 2)).log()
            biases = dict(recurrence.named_parameters())
            biases["bias_hh_l0"].zero_()
            biases["bias_ih_l0"].zero_()[size : 2 * size] = bias  # an LSTM's forget gate, a GRU's update gate
            if isinstance(recurrence, nn.LSTM):
                biases["bias_ih_l0"][:size] = -bias
    return network


def left(network: Network, batch: Batch) -> Floats:
    """`(N,)` the gradient at lags 0 to N - 1 as a share of that at lag 0, by the cell where there is one."""
    norm = state_gradients(network, batch)[-1].cell_norm[::-1]
    share: Floats = norm / norm[0] if norm[0] > 0 else np.zeros_like(norm)
    return share


def judge(signal: Signal, lag: int = LAG) -> Verdict:
    """Whether the RNN's gradient has vanished at the lag, and the others' has not, as training begins."""
    share = signal.at(lag)
    failures = []
    if share[RNN] >= VANISHED:
        failures.append("the RNN's gradient does not vanish")
    failures += [f"the {name}'s gradient vanishes too" for name in (LSTM, GRU) if share[name] < VANISHED]
    found = (
        f"{lag} hours back, as training begins, {share_in_words(share[RNN])} of the latest state's gradient is left in "
        f"the RNN, {share_in_words(share[LSTM])} in the LSTM and {share_in_words(share[GRU])} in the GRU"
    )
    return judged(failures, found)


def pictures(signal: Signal, lag: int = LAG) -> tuple[Picture, ...]:
    """The gradient by lag, before and after training."""
    share = signal.at(lag)
    begun = _by_lag({name: np.median(shares, axis=0) for name, shares in signal.start.items()}, lag)
    shut = "forgets too" if share[SHUT] < VANISHED else "remembers all the same"
    first = Picture(
        f"{lag} hours back the untrained RNN has {share_in_words(share[RNN])} of the gradient left, the LSTM "
        f"{share_in_words(share[LSTM])}; with half shut gates it {shut}",
        "The length of the loss's gradient for the state (an LSTM's cell) so many hours before the forecast, as a "
        f"share of the latest one's; the median of {len(signal.start[RNN])} first weights, over windows of all four "
        "places. A straight line down is exponential decay. Dotted: one hundredth, and a day.",
        begun,
    )
    now = {name: float(one[lag]) for name, one in signal.trained.items()}
    learnt = [name for name in KINDS if share[name] < VANISHED <= now[name]]
    lost = [name for name in KINDS if now[name] < VANISHED]
    finding = f"Trained, the {_listed(learnt)} learnt to reach {lag} hours back" if learnt else ""
    missing = f"trained, the {_listed(lost)} still cannot" if learnt else f"Training does not help the {_listed(lost)}"
    title = "; ".join(part for part in (finding, missing if lost else "") if part)
    second = Picture(
        title or f"After training all still reach {lag} hours back",
        "The same after a short training to forecast the next day's counts from the last ones alone, which asks for a "
        "memory of about a day and not much more. Vanishing slows learning down; where the task is worth it, and the "
        "lag not too long, training can mend it, and it shuts gates that remember for nothing.",
        _by_lag(signal.trained, lag),
    )
    return first, second


def _by_lag(shares: dict[str, Floats], lag: int) -> Any:
    from plotly import graph_objects as go

    figure = go.Figure()
    for name, share in shares.items():
        kind = KINDS[name]
        lags = np.arange(len(share))
        figure.add_trace(line(name, kind.color, lags, np.maximum(share, 1e-30), dash=kind.dash, width=3))
    figure.add_hline(VANISHED, line_color=ACTUAL, line_dash="dot", line_width=1)
    figure.add_vline(lag, line_color=ACTUAL, line_dash="dot", line_width=1)
    y = "share of the latest gradient"
    styled(figure, "lag: hours before the forecast", y, height=420).update_yaxes(
        type="log", exponentformat="power", dtick=2
    )
    lowest = min(float(share[share > 0].min()) for share in shares.values())
    figure.update_yaxes(range=[max(np.log10(lowest) - 0.3, -12), 0.5]).update_xaxes(dtick=12)
    return figure


def _listed(names: Sequence[str]) -> str:
    short = [name.replace(", gates half shut", " with half shut gates") for name in names]
    return " and the ".join([", the ".join(short[:-1]), short[-1]] if len(short) > 1 else short)
