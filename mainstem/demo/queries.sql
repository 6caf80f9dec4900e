-- name: row
SELECT entity_ref, entity, service, provenance, version, content_hash, merged_at, deleted_at
FROM entities
WHERE tenant = %(tenant)s AND entity_ref = %(ref)s;

-- name: existing
SELECT entity_ref FROM entities WHERE tenant = %(tenant)s AND deleted_at IS NULL;

-- name: existing_count
SELECT count(*) FROM entities WHERE tenant = %(tenant)s AND deleted_at IS NULL;

-- name: merge_seconds
SELECT extract(epoch FROM
  (SELECT max(merged_at) FROM entities WHERE tenant = %(tenant)s)
  - (SELECT min(last_touched) FROM entity_records WHERE tenant = %(tenant)s)) AS seconds;

-- name: won_by
SELECT count(*) FROM entities
WHERE tenant = %(tenant)s AND deleted_at IS NULL AND provenance ->> '/service/tier' = %(connector)s;
