"""`mainstem demo`: one entity's story, told with a real Kafka, a real Postgres and the real roles.

Read next: `story.py` (the steps), then `stage.py` (what runs beneath), `place.py` (where it lives), `voices.py`
(what the connectors say), `claims.py` (who must win), `evidence.py` (what Kafka and Postgres hold), `screen.py`.
"""
