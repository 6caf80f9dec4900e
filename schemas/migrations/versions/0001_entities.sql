CREATE TABLE entities (
  tenant text NOT NULL,
  entity_ref text NOT NULL,
  kind text NOT NULL,
  namespace text NOT NULL,
  name text NOT NULL,
  entity jsonb NOT NULL,
  service jsonb NOT NULL,
  provenance jsonb NOT NULL,
  stale text[] NOT NULL DEFAULT '{}',
  version bigint NOT NULL,
  content_hash text NOT NULL,
  merged_at timestamptz NOT NULL,
  deleted_at timestamptz,
  -- `simple`: names are no English words, and no word is too common to be a name. Punctuation parts words, so that
  -- `payment` finds `payment.api` as well, which the parser would take for a host.
  search tsvector NOT NULL GENERATED ALWAYS AS (
    setweight(to_tsvector('simple', translate(left(
      name || ' ' || coalesce(entity #>> '{metadata,title}', ''), 10000), '-_./:@', '      ')), 'A')
    || setweight(to_tsvector('simple', translate(left(
      kind || ' ' || namespace || ' ' || coalesce(entity #>> '{metadata,tags}', '') || ' '
      || coalesce(entity #>> '{spec,owner}', '') || ' ' || coalesce(entity #>> '{spec,system}', '') || ' '
      || coalesce(entity #>> '{spec,domain}', '') || ' ' || coalesce(entity #>> '{spec,type}', '') || ' '
      || coalesce(entity #>> '{spec,lifecycle}', '') || ' ' || coalesce(entity #>> '{spec,profile,displayName}', '')
      || ' ' || coalesce(service ->> 'ownerTeam', '') || ' ' || coalesce(service ->> 'slackChannel', ''),
      10000), '-_./:@', '      ')), 'B')
    || setweight(to_tsvector('simple', translate(left(
      coalesce(entity #>> '{metadata,description}', '') || ' ' || coalesce(service ->> 'description', ''),
      10000), '-_./:@', '      ')), 'C')
  ) STORED,
  PRIMARY KEY (tenant, entity_ref)
);

CREATE INDEX entities_search ON entities USING gin (search);
CREATE INDEX entities_kind ON entities (tenant, kind, entity_ref) WHERE deleted_at IS NULL;
CREATE INDEX entities_deleted_at ON entities (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE entity_records (
  id uuid PRIMARY KEY,
  tenant text NOT NULL,
  data_source text NOT NULL,
  entity_ref text NOT NULL,
  api_version text,
  kind text,
  metadata jsonb,
  spec jsonb,
  service jsonb,
  priority_score bigint,
  content_hash text NOT NULL,
  last_touched timestamptz NOT NULL,
  expiration_date timestamptz,
  deleted boolean NOT NULL,
  generation bigint NOT NULL,
  source_version bigint NOT NULL,
  change_id text NOT NULL,
  state_version bigint NOT NULL,
  UNIQUE (tenant, data_source, entity_ref)
);

CREATE INDEX entity_records_entity ON entity_records (tenant, entity_ref);

CREATE TABLE sink_offsets (
  sink text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  PRIMARY KEY (sink, topic, partition)
);
