"""How a network learnt, drawn: where its learning rate lies, what other optimizers do, the loss around its weights."""

from math import log10

from forecast.inspection import Landscape, LearningRateReading, OptimizerComparison
from pipelines.pictures import Picture
from pipelines.pictures.style import BASELINE, MODEL, OTHERS, QUIET, line, mark, shade, styled


def learning_rate(test: LearningRateReading) -> Picture:
    """The range test's three regimes, and where the network's own rate lies."""
    from plotly import graph_objects as go

    figure = go.Figure(line("loss", MODEL, test.learning_rates, test.losses))
    ends = (float(test.learning_rates[0]), test.low, test.high, float(test.learning_rates[-1]))
    for (name, color), begin, end in zip(
        (("too low", QUIET), ("good", OTHERS[0]), ("too high", BASELINE)), ends, ends[1:], strict=False
    ):
        if end > begin:
            figure.add_vrect(begin, end, fillcolor=color, opacity=0.12, line_width=0)
            middle = (log10(begin) + log10(end)) / 2
            figure.add_annotation(x=middle, y=1, yref="paper", yanchor="top", text=name, showarrow=False)
    mark(figure, test.learning_rate, "this network's rate", log=True)
    title = f"The learning rate {test.learning_rate:.2g} is {test.verdict}; {test.suggestion:.2g} is suggested"
    about = (
        "A fresh network is trained for a few steps, each with a higher rate (Smith 2017). Where the loss has not "
        "begun to fall the rate is too low; beyond the rate at which it is least, too high."
    )
    styled(figure, "learning rate", "loss, of the untrained network's")
    figure.update_xaxes(type="log", exponentformat="power").update_yaxes(range=[0, 2 * float(test.losses[0])])
    return Picture(title, about, figure)


def optimizers(found: OptimizerComparison) -> Picture:
    """Validation loss by epoch under each optimizer, from the same first weights."""
    from plotly import graph_objects as go

    figure = go.Figure()
    names = {"sgd": "SGD with momentum", "adam": "Adam", "rmsprop": "RMSprop", "adamw": "AdamW"}
    for number, (name, curve) in enumerate(found.curves.items()):
        color, frame = (MODEL, BASELINE, *OTHERS)[number % 7], curve.table()
        rate = found.learning_rates[name]
        look = {"mode": "lines+markers"}
        figure.add_trace(line(f"{names[name]}, rate {rate:g}", color, frame["epoch"] + 1, frame["val_loss"], **look))
    best = min(found.curves, key=lambda name: found.curves[name].summary()["val_loss"] or float("inf"))
    title = f"{names[best]} reaches the least validation loss"
    about = (
        "The same first weights and the same batches under each optimizer, at a rate that suits it: validation loss "
        "by epoch, without unit. Small differences are chance."
    )
    return Picture(title, about, styled(figure, "epoch", "validation loss"))


def landscape(found: Landscape) -> Picture:
    """The loss around the weights: a curiosity."""
    from plotly import graph_objects as go

    look = shade("loss", length=1.0)
    figure = go.Figure(go.Contour(x=found.along, y=found.along, z=found.loss, ncontours=30, **look))
    marker = {"color": "white", "size": 10, "symbol": "x"}
    figure.add_trace(go.Scatter(x=[0], y=[0], mode="markers", marker=marker, name="the network", showlegend=False))
    title = f"A curiosity: a tenth of the weights' length away the loss is {found.sharpness:.1%} higher"
    about = (
        "The loss of one batch over a square of weights around the network's own, along two random directions scaled "
        "filter by filter (Li et al. 2018). Two directions out of many thousand are weak evidence."
    )
    styled(figure, "along one direction, lengths of the weights", "along another", height=520)
    figure.update_layout(hovermode="closest").update_xaxes(constrain="domain").update_yaxes(scaleanchor="x")
    return Picture(title, about, figure)
