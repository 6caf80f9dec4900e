"""Numbered migrations of the database, in raw SQL; `schemas/database.py` runs them."""
