-- name: hold_shard
SELECT pg_advisory_xact_lock(hashtextextended('mainstem.backstage|' || %(tenant)s || '|' || %(shard)s, 0));

-- name: outlast_requests
SET LOCAL idle_in_transaction_session_timeout = '15min';

-- name: read
SELECT entity_ref, shard, version, content_hash, state, content IS NOT NULL
FROM backstage_emissions WHERE tenant = %(tenant)s AND entity_ref = ANY (%(refs)s);

-- name: record
INSERT INTO backstage_emissions AS held
  (tenant, entity_ref, shard, version, content, content_hash, state, reason)
VALUES
  (%(tenant)s, %(entity_ref)s, %(shard)s, %(version)s, %(content)s, %(content_hash)s, %(state)s, %(reason)s)
ON CONFLICT (tenant, entity_ref) DO UPDATE SET
  shard = excluded.shard, version = excluded.version, content = excluded.content,
  content_hash = excluded.content_hash, state = excluded.state, reason = excluded.reason, confirmed_at = now()
WHERE held.version <= excluded.version;

-- name: record_refusal
INSERT INTO backstage_emissions AS held (tenant, entity_ref, shard, version, state, reason)
VALUES (%(tenant)s, %(entity_ref)s, %(shard)s, %(version)s, 'refused', %(reason)s)
ON CONFLICT (tenant, entity_ref) DO UPDATE SET
  version = excluded.version, state = 'refused', reason = excluded.reason, confirmed_at = now()
WHERE held.version <= excluded.version;

-- name: advance
UPDATE backstage_emissions SET version = %(version)s
WHERE tenant = %(tenant)s AND entity_ref = %(entity_ref)s AND version < %(version)s;

-- name: settle
UPDATE backstage_emissions SET state = %(state)s, reason = %(reason)s, confirmed_at = now()
WHERE tenant = %(tenant)s AND entity_ref = %(entity_ref)s;

-- name: shard_content
SELECT entity_ref, content, state FROM backstage_emissions
WHERE tenant = %(tenant)s AND shard = %(shard)s AND content IS NOT NULL
ORDER BY entity_ref COLLATE "C";

-- name: standings
SELECT
  shard,
  encode(sha256(convert_to(string_agg(entity_ref || ' ' || content_hash, E'\n' ORDER BY entity_ref COLLATE "C"), 'UTF8')), 'hex'),
  count(*) FILTER (WHERE state <> 'conflict'),
  count(*) FILTER (WHERE state = 'conflict')
FROM backstage_emissions
WHERE tenant = %(tenant)s AND content IS NOT NULL AND (%(shard)s::integer IS NULL OR shard = %(shard)s)
GROUP BY shard;

-- name: count_states
SELECT state, count(*) FROM backstage_emissions WHERE tenant = %(tenant)s GROUP BY state;

-- name: is_whole
SELECT
  (SELECT count(*) FROM sink_offsets WHERE sink = %(sink)s AND topic = %(topic)s) >= %(partitions)s
  AND NOT EXISTS (SELECT FROM sink_rebuilds WHERE sink = %(sink)s AND topic = %(topic)s);

-- name: unseen
SELECT entity_ref, version FROM backstage_emissions AS held
WHERE tenant = %(tenant)s AND entity_ref > %(after)s AND state <> 'removed' AND NOT EXISTS (
  SELECT FROM sink_seen AS seen
  WHERE seen.sink = %(sink)s AND seen.topic = %(topic)s AND seen.tenant = held.tenant
    AND seen.entity_ref = held.entity_ref
)
ORDER BY entity_ref LIMIT %(limit)s;

-- name: read_scopes
SELECT partition, scope FROM backstage_scopes WHERE topic = %(topic)s;

-- name: write_scope
INSERT INTO backstage_scopes (topic, partition, scope) VALUES (%(topic)s, %(partition)s, %(scope)s)
ON CONFLICT (topic, partition) DO UPDATE SET scope = excluded.scope;

-- name: purge
DELETE FROM backstage_emissions WHERE (tenant, entity_ref) IN (
  SELECT tenant, entity_ref FROM backstage_emissions
  WHERE state = 'removed' AND confirmed_at < now() - %(kept)s::interval
  ORDER BY confirmed_at LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
);
