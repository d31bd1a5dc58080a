"""forecast tune: a search for better settings."""
