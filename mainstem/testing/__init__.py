"""What others prove their extensions with. Nothing here needs pytest, and everything is easily called from it.

Read next: `sinks.py`, the promises that a sink must keep.
"""
