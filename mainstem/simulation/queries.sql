-- name: tenant
SELECT set_config('role', 'mainstem_app', true), set_config('mainstem.tenant', %(tenant)s, true);

-- name: every
SELECT entity_ref, data_source, api_version, kind, metadata, spec, service, priority_score, content_hash,
  extract(epoch FROM last_touched)::text AS last_touched, extract(epoch FROM expiration_date)::text AS expiration_date,
  deleted, generation, source_version, change_id
FROM entity_records
WHERE tenant = %(tenant)s
ORDER BY entity_ref;

-- name: touched
SELECT entity_ref, data_source, api_version, kind, metadata, spec, service, priority_score, content_hash,
  extract(epoch FROM last_touched)::text AS last_touched, extract(epoch FROM expiration_date)::text AS expiration_date,
  deleted, generation, source_version, change_id
FROM entity_records AS held
WHERE tenant = %(tenant)s AND EXISTS (
  SELECT FROM entity_records AS touched
  WHERE touched.tenant = held.tenant AND touched.entity_ref = held.entity_ref
    AND touched.data_source = ANY (%(connectors)s)
)
ORDER BY entity_ref;
