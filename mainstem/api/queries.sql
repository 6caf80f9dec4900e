-- name: get_entity
SELECT entity_ref, entity, service, provenance, version, content_hash,
  to_char(merged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS merged_at, stale, (
  SELECT coalesce(json_object_agg(data_source, extract(epoch FROM last_touched)), '{}')
  FROM entity_records AS record
  WHERE record.tenant = held.tenant AND record.entity_ref = held.entity_ref AND NOT deleted AND isfinite(last_touched)
) AS touched
FROM entities AS held
WHERE tenant = %(tenant)s AND entity_ref = %(ref)s AND deleted_at IS NULL;

-- name: list_entities
SELECT entity_ref, entity, service, provenance, version, content_hash,
  to_char(merged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS merged_at, stale, (
  SELECT coalesce(json_object_agg(data_source, extract(epoch FROM last_touched)), '{}')
  FROM entity_records AS record
  WHERE record.tenant = held.tenant AND record.entity_ref = held.entity_ref AND NOT deleted AND isfinite(last_touched)
) AS touched
FROM entities AS held
WHERE tenant = %(tenant)s
  AND deleted_at IS NULL
  AND entity_ref > %(after)s
  AND (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s))
  AND (%(spelled_owners)s::text[] IS NULL
    OR lower(entity -> 'spec' ->> 'owner') = ANY (%(spelled_owners)s)
    OR namespace || ' ' || lower(entity -> 'spec' ->> 'owner') = ANY (%(spelled_owners)s)
    OR substring(lower(entity -> 'spec' ->> 'owner') FROM '[^:/]*$') = ANY (%(spelled_owners)s))
  AND (%(tiers)s::text[] IS NULL OR service ->> 'tier' = ANY (%(tiers)s))
  AND (%(lifecycles)s::text[] IS NULL OR entity -> 'spec' ->> 'lifecycle' = ANY (%(lifecycles)s))
  AND (%(tags)s::text[] IS NULL OR entity -> 'metadata' -> 'tags' ?| %(tags)s)
  AND (%(refs)s::text[] IS NULL OR entity_ref = ANY (%(refs)s))
  AND (%(q)s::text IS NULL OR search @@ %(q)s::tsquery)
ORDER BY entity_ref
LIMIT %(limit)s;

-- name: count_entities
SELECT kind, count(*) FROM entities WHERE deleted_at IS NULL GROUP BY kind;

-- name: count_records
SELECT data_source, count(*) FROM entity_records WHERE NOT deleted GROUP BY data_source;

-- name: count_overrides
SELECT state, count(held.field)
FROM unnest('{active,redundant,drifted,orphaned}'::text[]) AS every (state) LEFT JOIN overrides AS held USING (state)
GROUP BY state;

-- name: list_emissions
SELECT entity_ref, shard, version, content_hash, state, reason, confirmed_at
FROM backstage_emissions
WHERE tenant = %(tenant)s
  AND entity_ref > %(after)s
  AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s))
  AND (%(shards)s::integer[] IS NULL OR shard = ANY (%(shards)s))
ORDER BY entity_ref
LIMIT %(limit)s;

-- name: location_refs
SELECT entity_ref, content_hash FROM entities
WHERE tenant = %(tenant)s AND deleted_at IS NULL AND (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s))
ORDER BY entity_ref;

-- name: location_entities
SELECT entity_ref, content_hash, entity FROM entities
WHERE tenant = %(tenant)s AND deleted_at IS NULL AND entity_ref = ANY (%(refs)s)
ORDER BY entity_ref;

-- name: query_of
SELECT plainto_tsquery('simple', translate(%(words)s, '-_./:@', '      '))::text AS query;
