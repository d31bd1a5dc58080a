"""A look inside a model, as files: what was seen, in numbers, tables, pictures and words.

`looking` asks the library, `report` writes the folder; the other files draw, one subject each.
"""

from pipelines.inspection.looking import Seen, look
from pipelines.inspection.report import HEALTHY, REPORT, SUMMARY, in_words, write_report

__all__ = ["HEALTHY", "REPORT", "SUMMARY", "Seen", "in_words", "look", "write_report"]
