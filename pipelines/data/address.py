"""What an address of data is, and how it may be shown and written down: without what is secret in it."""

import re

DATABASES = ("postgresql", "mysql", "mariadb", "sqlite", "oracle", "mssql")
_PASSWORD = re.compile(r"(//[^/@:\s]*):[^\s]*@")
_SECRET = re.compile(r"[?&][^=&#\s]*(?:pass|secret|token|key|credential|sig)[^=&#\s]*=[^&#\s]*", re.IGNORECASE)


def is_database(address: str) -> bool:
    """Whether an address names a database that needs no query beside it to be told as one."""
    scheme, separator, _ = address.partition("://")
    return bool(separator) and scheme.partition("+")[0] in DATABASES


def is_url(address: str) -> bool:
    """Whether an address is more than a path of this machine."""
    return re.match(r"[A-Za-z][\w+.-]*(://|::)", address) is not None


def without_secrets(address: str) -> str:
    """An address that can be written down: it keeps its user, and loses passwords, tokens and signatures."""
    if not is_url(address):
        return address
    head, separator, rest = _PASSWORD.sub(r"\1@", address).partition("?")
    kept = _SECRET.sub("", separator + rest)
    return head + ("?" + kept[1:] if kept else "")
