"""The program around the rooms: `cli.py` and `commands/`, `roles/` (one process each), `supervisor.py` behind `up`.

`config.py` is what can be configured, `installation.py` what a command knows, `embedded/` Kafka and Postgres for
whoever has none, `api/` the HTTP API.
"""
