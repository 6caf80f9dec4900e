-- name: entity_history
SELECT entity_ref, version, change, changed, before, after, connectors, at
FROM entity_history
WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s AND (version, at) < (%(version)s, %(at)s)
ORDER BY version DESC, at DESC
LIMIT %(limit)s;

-- name: was_entity
SELECT FROM entities WHERE tenant = %(tenant)s AND entity_ref = %(ref)s;

-- name: history
SELECT entity_ref, version, change, changed, before, after, connectors, at
FROM entity_history
WHERE tenant_id = %(tenant)s AND at >= %(since)s
  -- The first says the same as a part of the second: by it, partitions are left out.
  AND at <= %(at)s AND (at, version, entity_ref) < (%(at)s, %(version)s, %(ref)s)
ORDER BY at DESC, version DESC, entity_ref DESC
LIMIT %(limit)s;

-- name: merged_at
SELECT at FROM entity_history WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s AND version = %(version)s
UNION ALL
SELECT merged_at FROM entities WHERE tenant = %(tenant)s AND entity_ref = %(ref)s AND version = %(version)s
LIMIT 1;
