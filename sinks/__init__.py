"""Entities to the outside world. Read `base.py` to write a sink, `runner.py` to see how it is run."""
