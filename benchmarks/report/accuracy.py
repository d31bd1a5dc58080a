"""The table of accuracy: ours, the classical methods and what others published."""

from benchmarks.pairs import Summary
from benchmarks.report.markdown import table

PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    # M4: the organisers' table of all entries (Makridakis et al. 2020). Tourism: Godahewa et al. 2021 (DeepAR,
    # N-BEATS), and the public results of the fev benchmark (AutoARIMA, TiRex).
    "m4_hourly": {
        "Doornik et al., best entry of the competition": {"smape": 8.913, "mase": 0.801, "owa": 0.410},
        "ES-RNN, winner of the competition": {"smape": 9.328, "mase": 0.893, "owa": 0.440},
        "Chronos-Bolt base, 205 million weights, trained on this set too": {"mase": 0.835},
    },
    "m4_weekly": {
        "Darin and Stellwagen, best entry of the competition": {"smape": 6.582, "mase": 2.107, "owa": 0.739},
        "ES-RNN, winner of the competition": {"smape": 7.817, "mase": 2.356, "owa": 0.851},
    },
    "tourism_monthly": {
        "DeepAR": {"mase": 1.409},
        "TiRex, 35 million weights, zero-shot": {"mase": 1.449},
        "AutoARIMA": {"mase": 1.483},
    },
    "tourism_quarterly": {
        "N-BEATS": {"mase": 1.475},
        "AutoARIMA": {"mase": 1.597},
        "TiRex, 35 million weights, zero-shot": {"mase": 1.606},
    },
}


def accuracy(result: Summary) -> str:
    """One table a set: ours, the classical methods and what others published, the best MASE first."""
    header = ("method", "sMAPE %", "MASE", "OWA", "WQL", "coverage of 80 %", "minutes")
    parts = []
    for name, rows in result.items():
        every = {**rows, **{f"*{method}*": figures for method, figures in PUBLISHED[name].items()}}
        ordered = sorted(every.items(), key=lambda item: item[1]["mase"])
        parts.append(f"### {name}\n\n" + table(header, [(method, *_figures(row)) for method, row in ordered]))
    return "\n".join(parts)


def _figures(row: Summary) -> tuple[str, ...]:
    forms = {"smape": ".2f", "mase": ".3f", "owa": ".3f", "wql": ".3f", "coverage80": ".0%"}
    minutes = f"{row['seconds'] / 60:.1f}" if "seconds" in row else ""
    return (*(format(row[key], form) if key in row else "" for key, form in forms.items()), minutes)
