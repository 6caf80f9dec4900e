"""Merged entities into a Backstage, over its module. Read `sink.py` next; what is emitted is in `descriptors.py`."""
