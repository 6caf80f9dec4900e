-- Entities that the connector `manual` spoke of. `version` is that of its newest change, which a publisher takes before
-- it publishes; up to `confirmed_version` Kafka has acknowledged them.
CREATE TABLE manual_entities (
  tenant_id text NOT NULL,
  entity_ref text NOT NULL,
  version bigint NOT NULL,
  confirmed_version bigint NOT NULL DEFAULT 0,
  -- After the change of confirmed_version.
  is_there boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, entity_ref)
);

-- What the connector `override` says of an entity is a set, and one change. The set below is what Kafka acknowledged at
-- `confirmed_version`; a higher `version` may have been published or not: then the set is published anew.
CREATE TABLE override_sets (
  tenant_id text NOT NULL,
  entity_ref text NOT NULL,
  -- As of a service.
  id uuid NOT NULL,
  -- How the entity is called, spelled as the change spells it.
  identity jsonb NOT NULL DEFAULT '{}',
  version bigint NOT NULL DEFAULT 0,
  confirmed_version bigint NOT NULL DEFAULT 0,
  -- Who alone may alter the set, and until when.
  writer uuid,
  writer_until timestamptz,
  -- Of the records and the policy under which `beneath` was looked at last, and when time alone may change it.
  looked_at text,
  look_again_at timestamptz,
  PRIMARY KEY (tenant_id, entity_ref),
  UNIQUE (tenant_id, id)
);

CREATE INDEX override_sets_doubtful ON override_sets (tenant_id, entity_ref) WHERE version > confirmed_version;

CREATE TABLE overrides (
  tenant_id text NOT NULL,
  entity_ref text NOT NULL,
  field text NOT NULL,
  value jsonb NOT NULL,
  reason text NOT NULL,
  author text NOT NULL,
  expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- The value beneath when it was set, and when it was looked at last.
  beneath_then jsonb NOT NULL,
  beneath_seen jsonb NOT NULL,
  state text NOT NULL CHECK (state IN ('active', 'redundant', 'drifted', 'orphaned')),
  PRIMARY KEY (tenant_id, entity_ref, field),
  FOREIGN KEY (tenant_id, entity_ref) REFERENCES override_sets (tenant_id, entity_ref) ON DELETE CASCADE
);

CREATE INDEX overrides_expires_at ON overrides (expires_at) WHERE expires_at IS NOT NULL;
