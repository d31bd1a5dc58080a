"""The forecasting service: `python -m service` loads one model and answers forecasts over HTTP.

A request's way, one module each: `middleware` (request id, log line) -> `routes` -> `reading` (bytes to a checked
`schema.ForecastRequest`) -> `tables` (to the library's `SeriesTable`s) -> `engine` (the forward pass, in
its own thread) -> `answers` (arrays to JSON). What goes wrong becomes a `problems.ProblemError`.
"""
