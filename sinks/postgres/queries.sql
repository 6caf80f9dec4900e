-- Every statement that reads `incoming` is given its rows under that name, each row of a table at most once.

-- name: upsert_entity
INSERT INTO entities AS held (
  tenant, entity_ref, kind, namespace, name, entity, service, provenance, stale, version, content_hash, merged_at,
  projected
)
SELECT
  tenant, entity_ref, kind, namespace, name, entity, service, provenance, stale, version, content_hash, merged_at,
  version
FROM incoming
ON CONFLICT (tenant, entity_ref) DO UPDATE SET
  entity = excluded.entity, service = excluded.service, provenance = excluded.provenance, stale = excluded.stale,
  version = excluded.version, content_hash = excluded.content_hash, merged_at = excluded.merged_at,
  deleted_at = NULL, projected = excluded.version
WHERE held.version < excluded.version
  -- A row that somebody altered, or that was swept by mistake, is mended when its version is read again.
  OR held.version = excluded.version AND (
    held.deleted_at IS NOT NULL OR held.content_hash <> excluded.content_hash OR held.stale <> excluded.stale
    OR held.merged_at <> excluded.merged_at OR held.entity <> excluded.entity OR held.service <> excluded.service
    OR held.provenance <> excluded.provenance
  );

-- name: mark_vanished
UPDATE entities AS held SET deleted_at = incoming.deleted_at, version = incoming.version, projected = NULL
FROM incoming
WHERE held.tenant = incoming.tenant AND held.entity_ref = incoming.entity_ref
  AND (held.version < incoming.version OR held.version = incoming.version AND held.deleted_at IS NULL);

-- name: forget_records
DELETE FROM entity_records AS held USING incoming
WHERE held.tenant = incoming.tenant AND held.entity_ref = incoming.entity_ref
  AND held.state_version < incoming.version;

-- name: drop_absent_records
DELETE FROM entity_records AS held USING incoming
WHERE held.tenant = incoming.tenant AND held.entity_ref = incoming.entity_ref
  AND held.state_version <= incoming.state_version AND held.data_source <> ALL (incoming.data_sources);

-- name: upsert_record
INSERT INTO entity_records AS held (
  id, tenant, data_source, entity_ref, api_version, kind, metadata, spec, service, priority_score, content_hash,
  last_touched, expiration_date, deleted, generation, source_version, change_id, state_version
)
SELECT
  id, tenant, data_source, entity_ref, api_version, kind, metadata, spec, service, priority_score, content_hash,
  last_touched, expiration_date, deleted, generation, source_version, change_id, state_version
FROM incoming
WHERE NOT EXISTS (
  SELECT FROM entity_records AS newer
  WHERE newer.tenant = incoming.tenant AND newer.entity_ref = incoming.entity_ref
    AND newer.state_version > incoming.state_version
)
ON CONFLICT (tenant, data_source, entity_ref) DO UPDATE SET
  api_version = excluded.api_version, kind = excluded.kind, metadata = excluded.metadata, spec = excluded.spec,
  service = excluded.service, priority_score = excluded.priority_score, content_hash = excluded.content_hash,
  last_touched = excluded.last_touched, expiration_date = excluded.expiration_date, deleted = excluded.deleted,
  generation = excluded.generation, source_version = excluded.source_version, change_id = excluded.change_id,
  state_version = excluded.state_version
WHERE held.state_version < excluded.state_version
  OR held.state_version = excluded.state_version AND (
    held.api_version, held.kind, held.metadata, held.spec, held.service, held.priority_score, held.content_hash,
    held.last_touched, held.expiration_date, held.deleted, held.generation, held.source_version, held.change_id
  ) IS DISTINCT FROM (
    excluded.api_version, excluded.kind, excluded.metadata, excluded.spec, excluded.service, excluded.priority_score,
    excluded.content_hash, excluded.last_touched, excluded.expiration_date, excluded.deleted, excluded.generation,
    excluded.source_version, excluded.change_id
  );

-- name: keep_outages
INSERT INTO outages AS held (partition, version, words) SELECT partition, version, words FROM incoming
ON CONFLICT (partition) DO UPDATE SET version = excluded.version, words = excluded.words
WHERE held.version < excluded.version OR held.version = excluded.version AND held.words <> excluded.words;

-- name: mark_seen
INSERT INTO sink_seen (sink, topic, tenant, entity_ref, partition)
SELECT sink, topic, tenant, entity_ref, partition FROM incoming
ON CONFLICT DO NOTHING;
