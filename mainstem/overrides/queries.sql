-- name: claim
INSERT INTO override_sets AS held (tenant_id, entity_ref, id, writer, writer_until)
VALUES (%(tenant)s, %(ref)s, %(id)s, %(writer)s, clock_timestamp() + %(lease)s)
ON CONFLICT (tenant_id, entity_ref) DO UPDATE SET writer = excluded.writer, writer_until = excluded.writer_until
WHERE held.writer IS NULL OR held.writer_until < clock_timestamp()
RETURNING version > confirmed_version AS is_doubtful;

-- name: release
UPDATE override_sets SET writer = NULL, writer_until = NULL
WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s AND writer = %(writer)s;

-- name: drop_unused
DELETE FROM override_sets
WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s AND version = 0 AND writer IS NULL;

-- name: begin
UPDATE override_sets AS held SET version = greatest(
  held.version + 1,
  extract(epoch FROM clock_timestamp()) * 1000,
  -- Of a set that the tables have lost.
  (SELECT least(source_version, 4611686018427387904) + 1 FROM entity_records
   WHERE tenant = %(tenant)s AND entity_ref = %(ref)s AND data_source = 'override')
)
WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s AND writer = %(writer)s
RETURNING version;

-- name: confirm
UPDATE override_sets SET
  confirmed_version = version, identity = %(identity)s, writer = NULL, writer_until = NULL, looked_at = NULL
WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s AND writer = %(writer)s AND version = %(version)s
RETURNING version;

-- name: keep
DELETE FROM overrides
WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s AND NOT field = ANY (%(fields)s::text[]);

-- name: put
INSERT INTO overrides (
  tenant_id, entity_ref, field, value, reason, author, expires_at, beneath_then, beneath_seen, state
)
VALUES (
  %(tenant)s, %(ref)s, %(field)s, %(value)s, %(reason)s, %(author)s, %(expires_at)s, %(then)s, %(then)s, 'active'
)
ON CONFLICT (tenant_id, entity_ref, field) DO UPDATE SET
  value = excluded.value, reason = excluded.reason, author = excluded.author, expires_at = excluded.expires_at,
  beneath_then = excluded.beneath_then, beneath_seen = excluded.beneath_seen, state = 'active', created_at = now();

-- name: sets
SELECT held.entity_ref, held.identity, coalesce(
  json_agg(json_build_object(
    'field', said.field, 'value', said.value, 'reason', said.reason, 'author', said.author,
    'expires_at', extract(epoch FROM said.expires_at), 'then', said.beneath_then, 'seen', said.beneath_seen
  ) ORDER BY said.field) FILTER (WHERE said.field IS NOT NULL), '[]') AS overrides
FROM override_sets AS held
LEFT JOIN overrides AS said USING (tenant_id, entity_ref)
WHERE held.tenant_id = %(tenant)s AND (
  held.entity_ref = %(ref)s OR held.id = %(id)s OR split_part(held.entity_ref, '/', 2) = %(name)s
)
GROUP BY held.entity_ref, held.identity
ORDER BY held.entity_ref;

-- name: due
SELECT held.tenant_id, held.entity_ref
FROM override_sets AS held
LEFT JOIN entity_records AS merged
  ON merged.tenant = held.tenant_id AND merged.entity_ref = held.entity_ref AND merged.data_source = 'override'
WHERE (writer IS NULL OR writer_until < clock_timestamp()) AND (
  version > confirmed_version
  OR (held.tenant_id, held.entity_ref) IN (
    SELECT tenant_id, entity_ref FROM overrides WHERE expires_at <= clock_timestamp()
  )
  -- After a backup of the one or the other was restored: the processor holds a newer set, or none for a long time.
  OR merged.source_version > version
  OR coalesce(merged.source_version, 0) < confirmed_version
    AND to_timestamp(confirmed_version / 1000) < clock_timestamp() - %(patience)s
    AND EXISTS (
      SELECT FROM overrides AS said WHERE said.tenant_id = held.tenant_id AND said.entity_ref = held.entity_ref
    )
)
-- One that cannot be published must not be in the way of the others.
ORDER BY random()
LIMIT %(limit)s;

-- name: changed_beneath
SELECT held.tenant_id, held.entity_ref, held.identity, found.fingerprint
FROM override_sets AS held
CROSS JOIN LATERAL (
  SELECT md5(%(policy)s || coalesce(string_agg(
    concat_ws(' ', data_source, generation, source_version, content_hash, last_touched, expiration_date, priority_score),
    ',' ORDER BY data_source
  ), '')) AS fingerprint
  FROM entity_records AS record
  WHERE record.tenant = held.tenant_id AND record.entity_ref = held.entity_ref AND data_source <> 'override'
) AS found
WHERE (held.looked_at IS DISTINCT FROM found.fingerprint OR held.look_again_at <= clock_timestamp())
  AND EXISTS (
    SELECT FROM overrides AS said WHERE said.tenant_id = held.tenant_id AND said.entity_ref = held.entity_ref
  )
LIMIT %(limit)s
FOR UPDATE OF held SKIP LOCKED;

-- name: looked
UPDATE override_sets SET
  -- While somebody alters the set it is looked at again: a new name would be forgotten.
  looked_at = CASE WHEN %(is_renamed)s AND writer IS NOT NULL THEN looked_at ELSE %(fingerprint)s END,
  look_again_at = to_timestamp(%(look_again_at)s),
  -- Published anew: it would pin how the entity was called.
  version = version + CASE WHEN %(is_renamed)s AND writer IS NULL THEN 1 ELSE 0 END
WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s;

-- name: judge
UPDATE overrides SET beneath_seen = %(seen)s, state = %(state)s
WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s AND field = %(field)s;
