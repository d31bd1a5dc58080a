"""Where series come from: a file, a folder, a glob, any address fsspec knows, or a database."""
