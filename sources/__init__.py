"""From the outside world to the changes topics.

`base.py` is the one class to subclass, `runner.py` runs it and `publisher.py` publishes; a file for each connector
type: `backstage.py`, `git.py`, `openchoreo.py`, `external.py`. Read `runner.py` next.
"""
