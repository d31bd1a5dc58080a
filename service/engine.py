"""Where forecasts are computed: one thread of its own, so that the event loop never waits for a network."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from forecast import Forecaster, SeriesTable


class Engine:
    """Runs forward passes one after the other, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    async def forecast(
        self, forecaster: Forecaster, table: SeriesTable, prediction_length: int, quantile_levels: Sequence[float]
    ) -> npt.NDArray[np.float32]:
        """Forecast N series H steps ahead at R levels.

        Returns:
            `(N, H, 1 + R)`: the mean, then the quantiles.

        Raises:
            DataError: A series cannot be forecast.
            ParameterError: The horizon or a level is out of range.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, forecaster.forecast, table, prediction_length, quantile_levels)

    def close(self) -> None:
        """Stop taking work, when what is under way is done."""
        self._thread.shutdown()
