-- What somebody decided about a dead letter. The time is the letter's own: a topic that is made anew begins again with
-- offset 0, and an old decision is not about what lies there now.
CREATE TABLE dead_letter_decisions (
  cluster_id text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  record_offset bigint NOT NULL,
  set_aside_ms bigint NOT NULL,
  decision text NOT NULL CHECK (decision IN ('replayed', 'discarded')),
  decided_by text NOT NULL,
  decided_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (cluster_id, topic, partition, record_offset)
);
