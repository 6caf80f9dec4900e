-- name: request
INSERT INTO sink_rebuilds (sink, topic, partition) VALUES (%(sink)s, %(topic)s, %(partition)s)
ON CONFLICT (sink, topic, partition) DO UPDATE SET requested_at = now(), begun_at = NULL;

-- name: under_way
SELECT topic, partition, first_offset, begun_at FROM sink_rebuilds WHERE sink = %(sink)s;

-- name: begin
INSERT INTO sink_rebuilds (sink, topic, partition, first_offset, begun_at)
VALUES (%(sink)s, %(topic)s, %(partition)s, %(first_offset)s, clock_timestamp())
ON CONFLICT (sink, topic, partition) DO UPDATE SET
  first_offset = excluded.first_offset, begun_at = excluded.begun_at
RETURNING begun_at;

-- name: hold
SELECT begun_at FROM sink_rebuilds
WHERE sink = %(sink)s AND topic = %(topic)s AND partition = %(partition)s AND begun_at = %(begun_at)s
FOR UPDATE;

-- name: forget_seen
DELETE FROM sink_seen WHERE sink = %(sink)s AND topic = %(topic)s AND partition = %(partition)s;

-- name: unseen_entities
SELECT tenant, entity_ref, version FROM entities AS held
WHERE (tenant, entity_ref) > (%(tenant)s, %(entity_ref)s) AND deleted_at IS NULL AND NOT EXISTS (
  SELECT FROM sink_seen AS seen
  WHERE seen.sink = %(sink)s AND seen.topic = %(topic)s AND seen.tenant = held.tenant
    AND seen.entity_ref = held.entity_ref
)
ORDER BY tenant, entity_ref LIMIT %(limit)s;

-- name: unseen_records
SELECT tenant, entity_ref, max(state_version) FROM entity_records AS held
WHERE (tenant, entity_ref) > (%(tenant)s, %(entity_ref)s) AND NOT EXISTS (
  SELECT FROM sink_seen AS seen
  WHERE seen.sink = %(sink)s AND seen.topic = %(topic)s AND seen.tenant = held.tenant
    AND seen.entity_ref = held.entity_ref
)
GROUP BY tenant, entity_ref
ORDER BY tenant, entity_ref LIMIT %(limit)s;

-- name: sweep_entities
UPDATE entities AS held SET deleted_at = now(), projected = NULL
FROM incoming
WHERE held.tenant = incoming.tenant AND held.entity_ref = incoming.entity_ref AND held.version = incoming.version
  AND held.deleted_at IS NULL;

-- name: sweep_records
DELETE FROM entity_records AS held USING incoming
WHERE held.tenant = incoming.tenant AND held.entity_ref = incoming.entity_ref
  AND held.state_version <= incoming.version;

-- name: finish
DELETE FROM sink_rebuilds WHERE sink = %(sink)s AND topic = %(topic)s AND partition = %(partition)s;

-- name: forget_all_seen
DELETE FROM sink_seen AS seen
WHERE sink = %(sink)s AND NOT EXISTS (SELECT FROM sink_rebuilds WHERE sink = %(sink)s);

-- name: purge
DELETE FROM entities WHERE (tenant, entity_ref) IN (
  SELECT tenant, entity_ref FROM entities
  WHERE deleted_at < now() - %(kept)s::interval
  ORDER BY deleted_at LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
);
