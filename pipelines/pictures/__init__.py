"""Pictures of runs: plotly figures whose titles say what they show, on pages that open offline.

`style` is the look of all of them, `page` puts them into one file. Each other file draws one subject.
"""

from pipelines.pictures.examples import typical_series
from pipelines.pictures.judged import judged
from pipelines.pictures.learning import learning_curves
from pipelines.pictures.page import Picture, Words, write_page

__all__ = ["Picture", "Words", "judged", "learning_curves", "typical_series", "write_page"]
