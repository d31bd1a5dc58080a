"""API keys: what a caller sends is secret, what the service knows is its SHA-256.

`python -m service.access.keys NAME` makes a key. It has 256 random bits: no one guesses it from its hash, so that a
plain hash, checked with every request, is enough.
"""

import hashlib
import hmac
import logging
import re
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from forecast.errors import ParameterError, Problem

PREFIX = "fk_"
SECONDS_BETWEEN_LOOKS = 1.0  # at the file
_ENTRY = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")
_HINT = "make one with `python -m service.access.keys NAME`, which prints the key and the entry NAME:SHA256"
_log = logging.getLogger("service")


class Keys:
    """The keys that are taken, by name. A file of them is read again when it changes: keys are changed without a stop.

    Args:
        entries: Text with entries `NAME:SHA256`, apart by spaces, commas or lines; lines from a `#` on are comments.
        file: A file with more of them.

    Raises:
        ParameterError: An entry cannot be read, or the file.
    """

    def __init__(self, entries: str = "", file: Path | None = None) -> None:
        self._given = parse_keys(entries, "FORECAST_API_KEYS")
        self._file, self._stamp, self._looked = file, None if file is None else _stamp(file), time.monotonic()
        self._digests = {**self._given, **({} if file is None else _read(file))}

    def __len__(self) -> int:
        return len(self._digests)

    def name_of(self, key: str) -> str | None:
        """Whose key it is; None if it is nobody's. Takes equally long whichever it is."""
        self._look()
        digest = _digest(key)
        found = None
        for name, known in self._digests.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found

    def _look(self) -> None:
        now = time.monotonic()
        if self._file is None or now - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        try:
            stamp = _stamp(self._file)
            if stamp != self._stamp:
                self._digests, self._stamp = {**self._given, **_read(self._file)}, stamp
                _log.info("%d API keys are taken now", len(self._digests))
        except ParameterError as error:
            _log.error("the API keys stay what they were: %s", error)


def parse_keys(text: str, source: str) -> Mapping[str, bytes]:
    """Read entries `NAME:SHA256`.

    Raises:
        ParameterError: An entry is none, or two have one name. Never shows the entry, which may be a key itself.
    """
    words = " ".join(line.partition("#")[0] for line in text.splitlines()).replace(",", " ").split()
    digests: dict[str, bytes] = {}
    for number, word in enumerate(words, 1):
        entry = _ENTRY.fullmatch(word)
        if entry is None:
            raise ParameterError(Problem(f"entry {number} of {source} is not NAME:SHA256", _HINT))
        if entry[1] in digests:
            raise ParameterError(Problem(f"{source} has two keys named {entry[1]!r}", "give each a name of its own"))
        digests[entry[1]] = bytes.fromhex(entry[2])
    return digests


def make_key(name: str) -> tuple[str, str]:
    """A new key, and the entry by which the service knows it."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, f"{name}:{_digest(key).hex()}"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _read(file: Path) -> Mapping[str, bytes]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ParameterError(Problem(f"FORECAST_API_KEYS_FILE={file} cannot be read: {reason}", _HINT)) from error
    digests = parse_keys(text, f"FORECAST_API_KEYS_FILE={file}")
    if not digests:
        raise ParameterError(Problem(f"FORECAST_API_KEYS_FILE={file} holds no key", _HINT))
    return digests


def main(words: list[str]) -> int:
    """Print a new key, and its entry for the service."""
    if len(words) != 1 or not _ENTRY.fullmatch(f"{words[0]}:{'0' * 64}"):
        sys.stderr.write("usage: python -m service.access.keys NAME   (letters, digits, '.', '_', '-'; up to 64)\n")
        return 2
    key, entry = make_key(words[0])
    sys.stdout.write(f"key, for the caller, shown this once: {key}\nentry, for the service: {entry}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
