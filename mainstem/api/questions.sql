-- name: connectors_held
SELECT connector FROM unnest(%(connectors)s::text[]) AS asked (connector)
WHERE EXISTS (SELECT FROM entity_records WHERE tenant = %(tenant)s AND data_source = connector);
