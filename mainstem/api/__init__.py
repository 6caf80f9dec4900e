"""The HTTP API: `app.py` puts it together, one file for each resource; SQL is in `queries.sql`."""
