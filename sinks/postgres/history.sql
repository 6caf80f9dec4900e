-- name: standing
SELECT asked.tenant, asked.entity_ref, held.version, held.deleted_at IS NULL, held.content_hash,
  CASE WHEN is_needed THEN held.entity::text END, CASE WHEN is_needed THEN held.service::text END,
  CASE WHEN is_needed THEN held.provenance::text END
FROM json_to_recordset(%(rows)s::json) AS asked (tenant text, entity_ref text, version bigint, content_hash text)
JOIN entities AS held ON held.tenant = asked.tenant AND held.entity_ref = asked.entity_ref
CROSS JOIN LATERAL (
  SELECT held.deleted_at IS NULL AND held.version < asked.version
    AND held.content_hash IS DISTINCT FROM asked.content_hash AS is_needed
) AS judged;

-- name: partitions
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'entity_history'::regclass;

-- name: exclude
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: add_history
INSERT INTO entity_history (tenant_id, entity_ref, version, at, change, changed, before, after, connectors)
SELECT tenant_id, entity_ref, version, at, change, changed, before, after, connectors FROM incoming
-- The rows of entities may have been lost, and these not.
ON CONFLICT DO NOTHING;

-- name: add_swept
INSERT INTO entity_history (tenant_id, entity_ref, version, at, change, changed, before, after, connectors)
SELECT held.tenant, held.entity_ref, held.version, date_trunc('milliseconds', now()), 'deleted', '{}',
  json_build_object('', json_build_object('entity', held.entity, 'service', held.service)), NULL, (
    SELECT coalesce(array_agg(DISTINCT connector), '{}')
    FROM jsonb_each(held.provenance) AS told (pointer, winners)
    CROSS JOIN jsonb_array_elements_text(
      CASE jsonb_typeof(winners) WHEN 'array' THEN winners ELSE jsonb_build_array(winners) END
    ) AS connector
  )
FROM incoming
JOIN entities AS held ON held.tenant = incoming.tenant AND held.entity_ref = incoming.entity_ref
WHERE held.version = incoming.version AND held.deleted_at IS NULL
ON CONFLICT DO NOTHING;

-- name: retract
DELETE FROM entity_history AS held
USING json_to_recordset(%(rows)s::json) AS asked (tenant text, entity_ref text, version bigint)
WHERE held.tenant_id = asked.tenant AND held.entity_ref = asked.entity_ref AND held.version = asked.version
  AND held.change = 'deleted';
