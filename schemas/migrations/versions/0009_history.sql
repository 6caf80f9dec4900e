-- Each change of an entity's content, once. Partitions hold a week each, are named entity_history_YYYY_MM_DD by its
-- Monday, and are made and dropped by the sink that writes the rows.
CREATE TABLE entity_history (
  tenant_id text NOT NULL,
  entity_ref text NOT NULL,
  version bigint NOT NULL,
  at timestamptz NOT NULL,
  -- created, updated or deleted.
  change text NOT NULL,
  changed text[] NOT NULL,
  -- By JSON pointer, the value there; the pointer of all is the empty one. What had no value is left out, null = nothing
  -- had one, or it is not known. As text: nobody searches in it.
  before json,
  after json,
  connectors text[] NOT NULL,
  PRIMARY KEY (tenant_id, entity_ref, version, at)
) PARTITION BY RANGE (at);

CREATE INDEX entity_history_newest ON entity_history (tenant_id, at, version);
