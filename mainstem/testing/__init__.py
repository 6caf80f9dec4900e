"""What others prove their extensions with. Nothing here needs pytest, and everything is easily called from it.

Read next: `sources.py` and `sinks.py`, the promises that a source and a sink must keep.
"""
