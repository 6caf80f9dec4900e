-- name: read_positions
SELECT topic, partition, next_offset FROM sink_offsets WHERE sink = %(sink)s;

-- name: move_position
UPDATE sink_offsets SET next_offset = %(next_offset)s
WHERE sink = %(sink)s AND topic = %(topic)s AND partition = %(partition)s
  AND next_offset = ANY (%(expected)s::bigint[]);

-- name: begin_position
INSERT INTO sink_offsets AS held (sink, topic, partition, next_offset)
VALUES (%(sink)s, %(topic)s, %(partition)s, %(next_offset)s)
ON CONFLICT (sink, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
WHERE held.next_offset = ANY (%(expected)s::bigint[]);

-- name: upsert_entity
INSERT INTO entities AS held (
  tenant, entity_ref, kind, namespace, name, entity, service, provenance, stale, version, content_hash, merged_at
) VALUES (
  %(tenant)s, %(entity_ref)s, %(kind)s, %(namespace)s, %(name)s, %(entity)s::jsonb, %(service)s::jsonb,
  %(provenance)s::jsonb, %(stale)s, %(version)s, %(content_hash)s, %(merged_at)s::timestamptz
)
ON CONFLICT (tenant, entity_ref) DO UPDATE SET
  entity = excluded.entity, service = excluded.service, provenance = excluded.provenance, stale = excluded.stale,
  version = excluded.version, content_hash = excluded.content_hash, merged_at = excluded.merged_at,
  deleted_at = NULL
WHERE held.version < excluded.version;

-- name: mark_vanished
UPDATE entities SET deleted_at = %(deleted_at)s::timestamptz, version = %(version)s
WHERE tenant = %(tenant)s AND entity_ref = %(entity_ref)s AND version < %(version)s;

-- name: forget_records
DELETE FROM entity_records
WHERE tenant = %(tenant)s AND entity_ref = %(entity_ref)s AND state_version < %(version)s;

-- name: drop_absent_records
DELETE FROM entity_records
WHERE tenant = %(tenant)s AND entity_ref = %(entity_ref)s AND state_version < %(state_version)s
  AND data_source <> ALL (%(data_sources)s::text[]);

-- name: upsert_record
INSERT INTO entity_records AS held (
  id, tenant, data_source, entity_ref, api_version, kind, metadata, spec, service, priority_score, content_hash,
  last_touched, expiration_date, deleted, generation, source_version, change_id, state_version
)
SELECT
  %(id)s::uuid, %(tenant)s, %(data_source)s, %(entity_ref)s, %(api_version)s, %(kind)s, %(metadata)s::jsonb,
  %(spec)s::jsonb, %(service)s::jsonb, %(priority_score)s, %(content_hash)s, %(last_touched)s::timestamptz,
  %(expiration_date)s::timestamptz, %(deleted)s, %(generation)s, %(source_version)s, %(change_id)s, %(state_version)s
WHERE NOT EXISTS (
  SELECT FROM entity_records AS newer
  WHERE newer.tenant = %(tenant)s AND newer.entity_ref = %(entity_ref)s AND newer.state_version > %(state_version)s
)
ON CONFLICT (tenant, data_source, entity_ref) DO UPDATE SET
  api_version = excluded.api_version, kind = excluded.kind, metadata = excluded.metadata, spec = excluded.spec,
  service = excluded.service, priority_score = excluded.priority_score, content_hash = excluded.content_hash,
  last_touched = excluded.last_touched, expiration_date = excluded.expiration_date, deleted = excluded.deleted,
  generation = excluded.generation, source_version = excluded.source_version, change_id = excluded.change_id,
  state_version = excluded.state_version
WHERE held.state_version < excluded.state_version;
