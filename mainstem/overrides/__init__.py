"""Overrides: what people say over the heads of connectors, field by field, until it is withdrawn or runs out.

`sets.py` keeps and publishes them, `judging.py` compares them with what lies beneath, `tending.py` looks after them.
"""
