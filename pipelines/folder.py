"""The folders that commands write: new ones, whole or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forecast.errors import ParameterError, Problem


def check_output(output: Path) -> None:
    """Refuse a folder that holds something, before any work is done.

    Raises:
        ParameterError: It does, or cannot be looked into.
    """
    try:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise ParameterError(Problem(f"--output {str(output)!r} exists", "name a new folder", field="output"))
    except OSError as error:
        raise _unwritable(output, error) from error


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which takes its place once it is full; nothing is left of one that was not.

    Args:
        output: Where it is to be; not there yet, or empty.

    Raises:
        ParameterError: It cannot be written.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as workspace:
            draft = Path(workspace) / "new"
            draft.mkdir(mode=0o755)
            yield draft
            draft.rename(output)
    except OSError as error:
        raise _unwritable(output, error) from error


def _unwritable(output: Path, error: OSError) -> ParameterError:
    reason = error.strerror or str(error)
    return ParameterError(Problem(f"--output {str(output)!r} cannot be written: {reason}", field="output"))
