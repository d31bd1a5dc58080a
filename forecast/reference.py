"""How a model is named: `NAME@champion`, `NAME/3`, `NAME` (its champion), `models:/…`, or a folder."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from forecast.errors import ParameterError, Problem

CHAMPION = "champion"

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.\- ]{0,199}"
_REGISTERED = re.compile(
    rf"(?:models:/)?(?P<name>{_NAME})(?:@(?P<alias>[A-Za-z][A-Za-z0-9_\-]*)|/(?P<version>[0-9]+))?"
)
_LOGGED = re.compile(r"models:/m-[0-9a-f]+")


@dataclass(frozen=True)
class ModelReference:
    """A model's place.

    Attributes:
        name: The registered model's name; None for a folder or a logged model that is not registered.
        alias: The alias asked for, where it is one.
        version: The version asked for, where it is one.
        folder: The folder, where it is one.
        uri: MLflow's address, where it is not a folder.
    """

    name: str | None = None
    alias: str | None = None
    version: str | None = None
    folder: Path | None = None
    uri: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a model's name. What is a folder on disk is a folder.

        Raises:
            ParameterError: The text is none of the forms.
        """
        if _is_folder(text) or text.startswith(("/", "./", "../", "~")):
            return cls(folder=Path(text).expanduser())
        if _LOGGED.fullmatch(text):
            return cls(uri=text)
        match = _REGISTERED.fullmatch(text)
        if match is None:
            raise ParameterError(
                Problem(
                    f"{text!r} is not a model", "write NAME@champion, NAME/3, models:/... or a folder", field="model"
                )
            )
        name, version = match["name"], match["version"]
        alias = match["alias"] or (None if version else CHAMPION)
        return cls(name, alias, version, uri=f"models:/{name}/{version}" if version else f"models:/{name}@{alias}")

    def __str__(self) -> str:
        return str(self.folder) if self.folder else (self.uri or "").removeprefix("models:/")


def _is_folder(text: str) -> bool:
    try:
        return bool(text) and Path(text).is_dir()
    except OSError:  # longer than a file's name can be
        return False
