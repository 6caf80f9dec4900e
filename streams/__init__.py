"""Changes in, merged entities out: the stream processor.

`worker.py` starts one; `engine.py` runs it on Faust, in runs of records (`transport.py`, `lease.py`, `table.py`).
What is done with a run knows no Kafka: `processor.py` → `intake.py` → `merge.py` → `strategies.py`, `expiry.py`;
where a rule counts, `rules.py` → `shipped.py`, each a `Strategy` of `base.py`. `explain.py` says who lost, and why.
Read `processor.py` next. Nobody else imports Faust.
"""
