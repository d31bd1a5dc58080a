"""What is written down as YAML and asked for by name: what comes with the project, or a file of the user's own."""

from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from forecast.errors import ParameterError, Problem


@dataclass(frozen=True)
class Shelf:
    """The YAML files of one kind that come with the project.

    Attributes:
        kind: What one of them is called.
        folder: Where they are.
    """

    kind: str
    folder: Traversable

    def names(self) -> list[str]:
        """Those that there are."""
        return sorted(path.name.removesuffix(".yaml") for path in self.folder.iterdir() if path.name.endswith(".yaml"))

    def about(self, name: str) -> str:
        """One's first line, which says what it is for."""
        return self.text(name).splitlines()[0].lstrip("# ")

    def text(self, name: str) -> str:
        """One as it was written: one of these, or a YAML file.

        Raises:
            ParameterError: There is none.
        """
        if Path(name).suffix in (".yaml", ".yml"):
            try:
                return Path(name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise self.refusal(f"the {self.kind} {name!r} cannot be read: {error}") from None
        names = self.names()
        if name not in names:
            hint = f"take one of {', '.join(names)}, or name a .yaml file"
            raise self.refusal(f"there is no {self.kind} {name!r}", hint)
        return (self.folder / f"{name}.yaml").read_text(encoding="utf-8")

    def settings(self, name: str, hint: str, empty: bool = False) -> dict[Any, Any]:
        """One's settings, unchecked.

        Args:
            name: One of these, or a YAML file.
            hint: What to write, for one that holds none.
            empty: Whether a mapping without any will do.

        Raises:
            ParameterError: There is none, or it is not a mapping.
        """
        try:
            written = yaml.safe_load(self.text(name))
        except yaml.YAMLError as error:
            reason = str(error).replace("\n", " ")[:200]
            raise self.refusal(f"the {self.kind} {name!r} is not YAML: {reason}") from None
        if not isinstance(written, dict) or not (written or empty):
            raise self.refusal(f"the {self.kind} {name!r} holds no settings", hint)
        return written

    def refusal(self, detail: str, hint: str = "") -> ParameterError:
        """The error that says what is wrong with one."""
        return ParameterError(Problem(detail, hint, field=self.kind))
