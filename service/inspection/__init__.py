"""A look inside, for a posted series: what is wrong, what the forecast rests on, how the state came about.

Looking takes a hundred times as long as forecasting, so it happens in a process of its own, with a short queue of
its own: `call` reads a request, `inspector` keeps the process, `looking` is what happens in it.
"""
