"""POST /v1/forecast:bulk: what it takes, and in which form."""

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from forecast.calendar import Frequency
from forecast.errors import DataError, ParameterError
from forecast.levels import check_levels
from forecast.predictor import DEFAULT_LEVELS, check_horizon
from service.bulk.call import Call
from service.bulk.frames import Frames
from service.bulk.lines import read_lines
from service.bulk.lots import Grid, Lot
from service.bulk.rows import read_rows
from service.bulk.writers import LineWriter, RowWriter, Writer
from service.forecasting import located
from service.limits import LIMITS
from service.openapi import problems
from service.problems import ProblemError, ProblemItem
from service.ready import named, ready
from service.tables import asked_frequency

ARROW, LINES = "application/vnd.apache.arrow.stream", "application/x-ndjson"
ALIASES = {"application/jsonl": LINES, "application/ndjson": LINES, "application/x-jsonlines": LINES}
AT_ONCE = 4  # calls of a process; they share its model, and each holds some lots in memory
"""
"""
