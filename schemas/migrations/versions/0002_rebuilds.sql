-- When the sink last moved the offset, or found that there was nothing to read. The default is for writers that do not
-- know of it: they are taken to have been idle since they began, and are rebuilt once.
ALTER TABLE sink_offsets ADD COLUMN active_at timestamptz NOT NULL DEFAULT now();

CREATE TABLE sink_rebuilds (
  sink text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  -- Where and when reading anew began; null until it has.
  first_offset bigint,
  begun_at timestamptz,
  PRIMARY KEY (sink, topic, partition)
);

-- The keys that a rebuild under way has come across: rows of others are swept at its end.
CREATE TABLE sink_seen (
  sink text NOT NULL,
  topic text NOT NULL,
  tenant text NOT NULL,
  entity_ref text NOT NULL,
  partition integer NOT NULL,
  PRIMARY KEY (sink, topic, tenant, entity_ref)
);
