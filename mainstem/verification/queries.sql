-- name: positions
SELECT topic, next_offset FROM sink_offsets
WHERE sink = %(sink)s AND partition = %(partition)s AND topic = ANY (%(topics)s);

-- name: entities
SELECT tenant, entity_ref, version, deleted_at IS NULL, entity, service, provenance, stale, content_hash
FROM unnest(%(tenants)s::text[], %(refs)s::text[]) AS asked (tenant, entity_ref)
JOIN entities USING (tenant, entity_ref);

-- name: records
SELECT tenant, entity_ref, data_source, state_version, id::text, api_version, kind, metadata, spec, service,
  priority_score, content_hash, extract(epoch FROM last_touched)::text, extract(epoch FROM expiration_date)::text,
  deleted, generation, source_version, change_id
FROM unnest(%(tenants)s::text[], %(refs)s::text[]) AS asked (tenant, entity_ref)
JOIN entity_records USING (tenant, entity_ref);

-- name: begin
CREATE TEMP TABLE verified (tenant text, entity_ref text);

-- name: looked_at
COPY verified FROM STDIN;

-- name: others
SELECT tenant, entity_ref FROM entities AS held
WHERE deleted_at IS NULL AND NOT EXISTS (
  SELECT FROM verified WHERE verified.tenant = held.tenant AND verified.entity_ref = held.entity_ref
)
UNION
SELECT tenant, entity_ref FROM entity_records AS held
WHERE NOT EXISTS (
  SELECT FROM verified WHERE verified.tenant = held.tenant AND verified.entity_ref = held.entity_ref
);
