"""The log: a JSON object a line, with what a request's line is found by, and never its data."""

import json
import logging
import sys
from datetime import UTC, datetime

import orjson

STANDARD = set(vars(logging.makeLogRecord({})))


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; what was given as `extra` are further fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "pid": record.process,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in STANDARD and value is not None},
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(fields, default=str).decode()
        except TypeError:  # text that is not Unicode
            return json.dumps(fields, default=str)


def log_to_stderr() -> None:
    """Let everything be logged as JSON, to stderr."""
    # What no line tells costs a third of making it (docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "mlflow", "alembic", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
