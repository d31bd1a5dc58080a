"""Any number of series through one call, in bounded memory: NDJSON or Arrow in, either of them out.

A call's way: `frames` and `rows`, or `lines`, cut the body into lots of some hundred series, `call` forecasts one lot
while the next is read, and `writers` turn it into a piece of the answer. A series that cannot be forecast is refused in
its place.
"""
