"""The textbook's claims about neural networks, tried out on the bundled data.

Each experiment is a file of its own: a claim, what was measured, a verdict that follows from it, and pictures.
`experiment` is what they have in common, `run` does them one after the other, `report` writes what came out.
"""

from pipelines.lab.experiment import Experiment, Lesson, Verdict
from pipelines.lab.report import LAB, REPORT, summary, write
from pipelines.lab.run import EXPERIMENTS, check_names, experiments

__all__ = [
    "EXPERIMENTS",
    "LAB",
    "REPORT",
    "Experiment",
    "Lesson",
    "Verdict",
    "check_names",
    "experiments",
    "summary",
    "write",
]
