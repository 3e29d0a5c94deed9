"""How the proxy logs: one line a record, as text or as JSON, each with the id of the request that it was made for."""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["text", "json"]

REQUEST_ID_HEADER = "X-Request-ID"
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that this code runs for, if it runs for one."""

# What ends a line, moves the cursor, or turns the direction of text.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def configuration(form: Format, level: str) -> dict[str, Any]:
    """For logging.config.dictConfig: everything to stderr, uvicorn's records too."""
    formatter = {"text": Text, "json": Json}[form]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"own": {"()": f"{formatter.__module__}.{formatter.__name__}"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "own"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {"httpx": {"level": "WARNING"}},  # it logs every call
    }


class Text(logging.Formatter):
    """For people: level, logger, message, request. Nothing that was sent can begin a line, whatever is in it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, and its traceback in lines of their own."""
        line = _escaped(f"{record.levelname} {record.name}: {record.getMessage()}")
        if request_id := REQUEST_ID.get():
            line += f" [{request_id}]"
        if record.exc_info:
            traceback = self.formatException(record.exc_info).split("\n")
            line += "".join(f"\n  | {_escaped(part)}" for part in traceback)
        return line


class Json(logging.Formatter):
    """For programs: an object a line. `extra={"fields": {...}}` of a record stands beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line of ASCII."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if request_id := REQUEST_ID.get():
            entry["request_id"] = request_id
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _escaped(text: str) -> str:
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)
