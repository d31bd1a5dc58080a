"""Pictures as one HTML file that needs nothing else: plotly's script is in it, once for all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# The script is 4.8 MB of every page; the pictures of a run add a few hundred kB at most, as each draws no more
# points than a screen shows, however many series there are. MLflow's pages show artifacts up to 50 MB.
# No button sends a picture anywhere.
CONTROLS = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["sendChartToCloud"]}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 1.5rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.7rem } h1.part { font-size: 1.4rem; margin: 3rem 0 0; border-bottom: 1px solid #ccc }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0 } p { margin: .2rem 0 .6rem; color: #555 }
figure { margin: 0; overflow-x: auto }
"""


@dataclass(frozen=True)
class Picture:
    """A figure and what it says.

    Attributes:
        title: The finding, as a short sentence.
        about: How to read it.
        figure: The figure, without a title of its own.
    """

    title: str
    about: str
    figure: "Figure"


@dataclass(frozen=True)
class Words:
    """What is said between pictures: the beginning of a part of the page.

    Attributes:
        title: Its heading.
        sentences: Shown as a list.
    """

    title: str
    sentences: Sequence[str] = ()


def write_page(path: Path, title: str, content: Iterable[Picture | Words]) -> None:
    """Write pictures and words below each other, as one page that opens offline.

    Args:
        path: The file to write.
        title: The page's title.
        content: What it shows, in order.
    """
    parts, drawn = [f"<h1>{escape(title)}</h1>"], 0
    for one in content:
        if isinstance(one, Words):
            parts.append(f"<h1 class=part>{escape(one.title)}</h1>")
            if one.sentences:
                parts.append("<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in one.sentences) + "</ul>")
            continue
        drawn += 1
        figure = one.figure.to_html(
            full_html=False, include_plotlyjs=drawn == 1, config=CONTROLS, div_id=f"picture-{drawn}"
        )
        parts.append(f"<h2>{escape(one.title)}</h2><p>{escape(one.about)}</p><figure>{figure}</figure>")
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    page = f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'
    path.write_text(page, encoding="utf-8")
