"""The held records merged anew, the entities topic and the tables, compared. Read `verification.py` first."""
