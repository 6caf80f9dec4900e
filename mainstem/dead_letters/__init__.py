"""What was set aside, looked at and decided on: read next `letters.py`, `reading.py`, `decisions.py`, `desk.py`."""
