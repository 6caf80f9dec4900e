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

-- name: models
SELECT asked.tenant, asked.entity_ref,
  -- Without what the database makes of the same row by itself: `node`, and of an edge `told`.
  (SELECT to_jsonb(held) - '{owner_team_id,entity_name,node,synced_at,created_at,updated_at}'::text[]
    || jsonb_build_object(
    'is_owner_found', held.owner_team_id IS NOT DISTINCT FROM (
      SELECT id FROM teams WHERE teams.tenant_id = held.tenant_id AND teams.external_id = held.owner_ref
    ),
    'dependencies', (
      SELECT coalesce(jsonb_agg(to_jsonb(edge) - '{tenant_id,service_id,depends_on_id,told}'::text[]
        || jsonb_build_object(
        'is_found', edge.depends_on_id IS NOT DISTINCT FROM (
          SELECT id FROM services WHERE services.tenant_id = edge.tenant_id AND services.external_id = edge.target_ref
        )
      ) ORDER BY edge.id), '[]')
      FROM service_dependencies AS edge WHERE edge.tenant_id = held.tenant_id AND edge.service_id = held.id
    ),
    'runbooks', (
      SELECT coalesce(jsonb_agg(to_jsonb(runbook) - '{tenant_id,service_id}'::text[] ORDER BY position), '[]')
      FROM service_runbooks AS runbook WHERE runbook.tenant_id = held.tenant_id AND runbook.service_id = held.id
    )
  ) FROM services AS held WHERE held.tenant_id = asked.tenant AND held.external_id = asked.entity_ref) AS service,
  (SELECT to_jsonb(held) - '{entity_name,synced_at,created_at}'::text[]
   FROM teams AS held WHERE held.tenant_id = asked.tenant AND held.external_id = asked.entity_ref) AS team,
  (SELECT coalesce(jsonb_agg(jsonb_build_array(type, target_ref, inverse) ORDER BY type COLLATE "C",
     target_ref COLLATE "C"), '[]')
   FROM stated_relations AS held
   WHERE held.tenant_id = asked.tenant AND held.entity_ref = asked.entity_ref) AS relations
FROM unnest(%(tenants)s::text[], %(refs)s::text[]) AS asked (tenant, entity_ref);

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
