-- Of each entity that the sink `backstage` has judged: the newest version, and what Backstage said of it.
CREATE TABLE backstage_emissions (
  tenant text NOT NULL,
  entity_ref text NOT NULL,
  shard integer NOT NULL,
  version bigint NOT NULL,
  -- What a full mutation of the shard says of it: of a refused version, what was accepted before; null = nothing.
  content text,
  content_hash text,
  state text NOT NULL CHECK (state IN ('applied', 'removed', 'refused', 'conflict')),
  reason text,
  confirmed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, entity_ref)
);

CREATE INDEX backstage_emissions_content ON backstage_emissions (tenant, shard, entity_ref) WHERE content IS NOT NULL;

CREATE INDEX backstage_emissions_troubled ON backstage_emissions (tenant, state, entity_ref)
  WHERE state IN ('refused', 'conflict');

CREATE INDEX backstage_emissions_removed ON backstage_emissions (confirmed_at) WHERE state = 'removed';

-- Of each partition what the sink was configured to carry on when it began to read it: another scope is read anew.
CREATE TABLE backstage_scopes (
  topic text NOT NULL,
  partition integer NOT NULL,
  scope text NOT NULL,
  PRIMARY KEY (topic, partition)
);
