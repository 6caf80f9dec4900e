"""The projection into Postgres. Read `sink.py` next; its SQL is in `queries.sql`."""
