"""What travels, what is stored and what is counted. Imports nothing of ours.

`topics.py` names every topic and what its keys and values are: read it first. A change is `changes.py`
(`descriptors.py` has Backstage's rules), what is held of it `records.py`, what comes out `entities.py`; `codec.py`
turns them into bytes. `errors.py` is every error, `metrics/` every metric, `migrations/` every table.
"""
