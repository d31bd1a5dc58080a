"""The forecasting service: `python -m service` loads models and answers forecasts over HTTP.

A request's way, one module each: `middleware` (request id, trace, log line, counts) -> `routes` -> `caller` (how
long it waits) -> `reading` (bytes to a checked `schema.ForecastRequest`) -> `tables` (to the library's
`SeriesTable`s) -> `engine` (a forward pass shared with others, in its own thread) -> `answers` (arrays to JSON). What
goes wrong becomes a `problems.ProblemError`.

A process's life: `settings` -> `workers` (where there are several: one process watches over the others) -> `serving`,
in which `models` are brought in from a `registry` and kept up to date by a thread.
"""
