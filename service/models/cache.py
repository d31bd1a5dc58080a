"""Verified models on this machine's disk, so that a registry that is away stops nobody from starting.

    CACHE/<the registry>/<name>/<version>/         the forecaster's files
    CACHE/<the registry>/<name>/<version>/.about   what the registry told of it, and each file's SHA-256
    CACHE/<the registry>/<name>/@<alias>           the version that was last served by that alias

A version appears whole or not at all, and an alias is written only once its version was verified. Several
processes may share the folder.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ValidationError

from forecast.errors import ModelDamaged, Problem
from service.registry import Found, Origin

KEPT = 3  # versions of each model
ABOUT = ".about"


class About(BaseModel):
    """What is known of a cached version beside its files."""

    found: Found
    origin: Origin
    sha256: dict[str, str] = {}


class Cache:
    """The cached models of one registry.

    Args:
        folder: The cache's folder, made when something is kept.
        tracking_uri: The registry.
    """

    def __init__(self, folder: Path, tracking_uri: str) -> None:
        self._folder = folder / sha256(tracking_uri.rstrip("/").encode()).hexdigest()[:16]

    def read(self, found: Found) -> tuple[Path, About] | None:
        """A version's folder and what is known of it; None where it is not there, or its files were altered."""
        return self._read(self._place(found))

    def read_last(self, name: str, alias: str | None, version: str | None) -> tuple[Path, About] | None:
        """The version that an alias meant when it was last served, or a version by its number."""
        if version is None:
            try:
                version = (self._folder / name / f"@{alias}").read_text(encoding="utf-8")
            except OSError:
                return None
        return self._read(self._folder / name / version)

    def names(self, alias: str) -> list[str]:
        """The models that were served by an alias."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/@{alias}"))

    def keep(self, found: Found, origin: Origin, download: Callable[[Path], Path]) -> tuple[Path, About]:
        """Download a version into the cache.

        Args:
            found: Which.
            origin: What is known of it.
            download: Fetches its files to somewhere in a given folder, and says where.

        Raises:
            OSError: There is no room, or no permission.
            ForecastError: What `download` raises.
        """
        place = self._place(found)
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as scratch:
            files = download(Path(scratch))
            about = About(found=found, origin=origin, sha256=_digests(files))
            (files / ABOUT).write_text(about.model_dump_json(), encoding="utf-8")
            shutil.rmtree(place, ignore_errors=True)
            try:
                files.rename(place)
            except OSError:
                kept = self._read(place)  # another process was faster
                if kept is None:
                    raise
                return kept
        return place, about

    def remember(self, name: str, alias: str | None, version: str | None) -> None:
        """Write down that a version was verified and is served, and forget the oldest ones."""
        if version is None:
            return
        folder = self._folder / name
        if alias is not None:
            with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".new-", delete=False) as draft:
                draft.write(version)
            Path(draft.name).replace(folder / f"@{alias}")
        pointed = {path.read_text(encoding="utf-8") for path in folder.glob("@*")}
        versions = sorted((path for path in folder.iterdir() if path.name.isdecimal()), key=os.path.getmtime)
        for path in versions[:-KEPT]:
            if path.name not in (version, *pointed):
                shutil.rmtree(path, ignore_errors=True)

    def forget(self, found: Found) -> None:
        """Remove a version that turned out to be no good."""
        shutil.rmtree(self._place(found), ignore_errors=True)

    def _place(self, found: Found) -> Path:
        return self._folder / found.name / (found.version or found.uri.removeprefix("models:/"))

    @staticmethod
    def _read(place: Path) -> tuple[Path, About] | None:
        try:
            about = About.model_validate_json((place / ABOUT).read_text(encoding="utf-8"))
            return (place, about) if _digests(place) == about.sha256 else None
        except (OSError, ValidationError):
            return None


def _digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file.

    Raises:
        ModelDamaged: There are none.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != ABOUT]
    if not files:
        raise ModelDamaged(Problem(f"there are no files in {str(folder)!r}", "register the model again"))
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in files}
