"""How the losses went from epoch to epoch, and which epoch was kept."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.pictures.page import Picture
from pipelines.pictures.style import BASELINE, MODEL, QUIET, line, styled

MOST_EPOCHS = 400  # drawn of each network; of more, evenly spaced ones and the best


def learning_curves(history: Sequence[dict[str, float]], labels: Sequence[str]) -> Picture:
    """The losses of each network by epoch, the kept epoch marked.

    Args:
        history: `Forecaster.history`, with `val_loss` in each entry.
        labels: What each network is.
    """
    from plotly import graph_objects as go

    several = len(labels) > 1
    figure, best = go.Figure(), []
    frame = pd.DataFrame(history)
    for member, label in enumerate(labels):
        epochs = frame[frame["member"] == member]
        number = epochs["epoch"].to_numpy() + 1
        kept = int(epochs["val_loss"].to_numpy().argmin())
        best.append((int(number[kept]), int(number[-1]), float(epochs["val_loss"].iloc[kept])))
        shown = np.unique([*np.linspace(0, len(epochs) - 1, min(len(epochs), MOST_EPOCHS)).round().astype(int), kept])
        who = f"{member + 1}: {label}"
        for key, name, color in (("train_loss", "training", QUIET), ("val_loss", "validation", MODEL)):
            look = {"width": 1, "opacity": 0.65, "hovertemplate": f"%{{y:.4f}} {name}, {who}<extra></extra>"}
            legend = {"legendgroup": name, "showlegend": member == 0}
            losses = epochs[key].to_numpy()[shown]
            figure.add_trace(line(name, color, number[shown], losses, **legend, **(look if several else {})))
    figure.add_trace(
        go.Scatter(
            x=[epoch for epoch, _, _ in best],
            y=[loss for _, _, loss in best],
            name="best epoch",
            mode="markers",
            marker={"color": BASELINE, "size": 10, "symbol": "diamond"},
            text=[f"{number + 1}: {label}" for number, label in enumerate(labels)],
            hovertemplate="epoch %{x}, %{y:.4f}" + (", %{text}" if several else "") + "<extra></extra>",
        )
    )
    about = (
        "Training and validation loss by epoch, without unit: the series are scaled. The weights of the marked epoch "
        "were kept. Where validation rises while training falls, the network learns its data by heart; where both "
        "still fall at the end, more epochs may help."
    )
    styled(figure, "epoch", "loss").update_layout(hovermode="closest" if several else "x unified")
    return Picture(_finding(best), about, figure)


def _finding(best: Sequence[tuple[int, int, float]]) -> str:
    epochs = [epoch for epoch, _, _ in best]
    growing = sum(epoch == last for epoch, last, _ in best)
    if len(best) == 1:
        epoch, last, _ = best[0]
        return f"Epoch {epoch} of {last} was the best" + (": the loss still fell at the end" if growing else "")
    first, last = min(epochs), max(epochs)
    span = f"at epoch {first}" if first == last else f"between epochs {first} and {last}"
    return f"The {len(best)} networks were at their best {span}" + (
        f"; {growing} of them still improved at the end" if growing else ""
    )
