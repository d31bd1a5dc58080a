"""Copies of a whole store, its database and its artifacts, and the way back.

A backup is a folder: `manifest.json`, the database (`database.dump` of PostgreSQL; the embedded store's are among
its files), and `files/`. It appears under its name once it is complete, and is checked before it is used.
"""
