"""What changes, as it happens, for those who listen over HTTP. Read `hub.py` first, then `replay.py`."""
