"""Hypothesis without a deadline: the first example of a test also pays for imports and threads."""

from hypothesis import settings

settings.register_profile("forecast", deadline=None, max_examples=60, database=None)
settings.load_profile("forecast")
