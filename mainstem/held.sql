-- name: columns
entity_ref, data_source, api_version, kind, metadata, spec, service, priority_score, content_hash,
  extract(epoch FROM last_touched)::text AS last_touched, extract(epoch FROM expiration_date)::text AS expiration_date,
  deleted, generation, source_version, change_id

-- name: records
SELECT @columns
FROM entity_records
WHERE tenant = %(tenant)s AND entity_ref = %(ref)s
ORDER BY data_source;

-- name: records_of_several
SELECT @columns
FROM entity_records
WHERE tenant = %(tenant)s AND entity_ref = ANY (%(refs)s) AND NOT deleted
ORDER BY entity_ref, data_source;

-- name: every_record
SELECT @columns
FROM entity_records
WHERE tenant = %(tenant)s
ORDER BY entity_ref;

-- name: records_of_touched
SELECT @columns
FROM entity_records AS held
WHERE tenant = %(tenant)s AND EXISTS (
  SELECT FROM entity_records AS touched
  WHERE touched.tenant = held.tenant AND touched.entity_ref = held.entity_ref
    AND touched.data_source = ANY (%(connectors)s)
)
ORDER BY entity_ref;

-- name: outages
SELECT words FROM outages;
