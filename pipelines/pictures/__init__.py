"""Pictures of runs: plotly figures whose titles say what they show, on pages that open offline.

`style` is the look of all of them, `page` puts them into one file. Each other file draws one subject.
"""

from pipelines.pictures.judged import judged
from pipelines.pictures.learning import learning_curves
from pipelines.pictures.page import Picture, write_page

__all__ = ["Picture", "judged", "learning_curves", "write_page"]
