-- name: service_named
SELECT id::text, external_id AS entity_ref FROM services
WHERE tenant_id = %(tenant)s AND entity_name = %(name)s
ORDER BY external_id;

-- name: team_named
SELECT id::text, external_id AS entity_ref FROM teams
WHERE tenant_id = %(tenant)s AND entity_name = %(name)s
ORDER BY external_id;

-- name: services
SELECT held.id::text, held.external_id AS entity_ref, held.name, held.description, held.tier, held.lifecycle,
  held.tags, held.owner_ref, held.schedule_id, held.metadata, held.source,
  CASE WHEN isfinite(held.synced_at) THEN held.synced_at END AS synced_at,
  teams.id::text AS team_id, teams.name AS team_name, teams.slack_channel AS team_channel,
  entities.stale, entities.provenance ->> '/service/onCall' AS on_call_source, touched.at AS touched,
  upstream.edges AS upstream, downstream.edges AS downstream, runbooks.items AS runbooks
FROM services AS held
JOIN entities ON entities.tenant = held.tenant_id AND entities.entity_ref = held.external_id
LEFT JOIN teams ON teams.tenant_id = held.tenant_id AND teams.id = held.owner_team_id
CROSS JOIN LATERAL (
  SELECT coalesce(json_object_agg(data_source, extract(epoch FROM last_touched)), '{}') AS at
  FROM entity_records AS record
  WHERE record.tenant = held.tenant_id AND record.entity_ref = held.external_id AND NOT deleted
    AND isfinite(last_touched)
) AS touched
CROSS JOIN LATERAL (
  SELECT coalesce(json_agg(json_build_object(
    'id', target.id, 'entity_ref', target_ref, 'name', target.name, 'type', dependency_type, 'is_critical', is_critical
  ) ORDER BY target_ref), '[]') AS edges
  FROM service_edges AS edge
  LEFT JOIN services AS target ON target.tenant_id = edge.tenant_id AND target.id = edge.depends_on_id
  WHERE edge.tenant_id = held.tenant_id AND edge.service_id = held.id
) AS upstream
CROSS JOIN LATERAL (
  SELECT coalesce(json_agg(json_build_object(
    'id', dependant.id, 'entity_ref', dependant.external_id, 'name', dependant.name, 'type', dependency_type,
    'is_critical', is_critical
  ) ORDER BY dependant.external_id), '[]') AS edges
  FROM service_edges AS edge
  JOIN services AS dependant ON dependant.tenant_id = edge.tenant_id AND dependant.id = edge.service_id
  WHERE edge.tenant_id = held.tenant_id AND edge.depends_on_id = held.id
) AS downstream
CROSS JOIN LATERAL (
  SELECT coalesce(json_agg(json_build_object('title', title, 'url', url, 'type', runbook_type) ORDER BY position), '[]')
    AS items
  FROM service_runbooks AS runbook
  WHERE runbook.tenant_id = held.tenant_id AND runbook.service_id = held.id
) AS runbooks
WHERE held.tenant_id = %(tenant)s AND held.id = ANY (%(ids)s::uuid[])
ORDER BY held.external_id;

-- name: list_services
SELECT held.id::text, held.external_id AS entity_ref
FROM services AS held
WHERE held.tenant_id = %(tenant)s
  AND held.external_id > %(after)s
  AND (%(kinds)s::text[] IS NULL OR held.kind = ANY (%(kinds)s))
  AND (%(owners)s::text[] IS NULL OR lower(held.owner_ref) = ANY (%(owners)s)
    OR split_part(held.owner_ref, '/', 2) = ANY (%(owners)s) OR held.owner_team_id::text = ANY (%(owners)s))
  AND (%(tiers)s::text[] IS NULL OR held.tier = ANY (%(tiers)s))
  AND (%(lifecycles)s::text[] IS NULL OR held.lifecycle = ANY (%(lifecycles)s))
  AND (%(tags)s::text[] IS NULL OR held.tags ?| %(tags)s)
  AND (%(refs)s::text[] IS NULL OR held.external_id = ANY (%(refs)s))
  -- No EXISTS, which is looked up for all services before the first is answered.
  AND (%(q)s::text IS NULL OR (
    SELECT search @@ plainto_tsquery('simple', translate(%(q)s, '-_./:@', '      ')) FROM entities
    WHERE entities.tenant = held.tenant_id AND entities.entity_ref = held.external_id
  ))
ORDER BY held.external_id
LIMIT %(limit)s;

-- name: search
SELECT mainstem_search(%(q)s, %(most)s) AS refs;

-- name: graph
-- A row of `step` is all that is reached in so many steps: arrays are what a recursion can look back at. It ends where
-- more edges were met than an answer holds.
WITH RECURSIVE step (way, distance, ids, seen, edges) AS (
  SELECT way, 0, ARRAY[%(id)s::uuid], ARRAY[%(id)s::uuid], 0::bigint FROM unnest(%(ways)s::text[]) AS way
  UNION ALL
  SELECT step.way, step.distance + 1, next.ids, step.seen || next.ids, step.edges + next.edges
  FROM step
  CROSS JOIN LATERAL (
    WITH met AS MATERIALIZED (
      SELECT far.id
      FROM unnest(step.ids) AS near (id)
      CROSS JOIN LATERAL (
        SELECT service_id AS id FROM service_edges
        WHERE step.way = 'downstream' AND tenant_id = %(tenant)s AND depends_on_id = near.id
        UNION ALL
        SELECT depends_on_id FROM service_edges
        WHERE step.way = 'upstream' AND tenant_id = %(tenant)s AND service_id = near.id
      ) AS far
      LIMIT %(most)s + 1
    )
    SELECT ARRAY(SELECT id FROM met WHERE id IS NOT NULL EXCEPT SELECT unnest(step.seen)) AS ids,
      (SELECT count(*) FROM met) AS edges
  ) AS next
  WHERE step.distance + 1 < %(depth)s AND step.edges + next.edges <= %(most)s AND next.ids <> '{}'
),
met AS MATERIALIZED (
  SELECT near.distance + 1 AS distance, edge.*
  FROM (SELECT way, distance, unnest(ids) AS id FROM step) AS near
  CROSS JOIN LATERAL (
    SELECT service_id AS far_id, service_id, target_ref, dependency_type, is_critical FROM service_edges
    WHERE near.way = 'downstream' AND tenant_id = %(tenant)s AND depends_on_id = near.id
    UNION ALL
    SELECT depends_on_id, service_id, target_ref, dependency_type, is_critical FROM service_edges
    WHERE near.way = 'upstream' AND tenant_id = %(tenant)s AND service_id = near.id
  ) AS edge
),
-- An edge that both ways met is one edge, and has the distance of each. They are only told apart where they may be too
-- many.
size AS MATERIALIZED (
  SELECT CASE WHEN count(*) > %(most)s
    THEN (SELECT count(*) > %(most)s FROM (SELECT DISTINCT service_id, target_ref FROM met) AS edge)
    ELSE false END AS is_cut
  FROM met
),
taken AS MATERIALIZED (
  SELECT * FROM met WHERE NOT (SELECT is_cut FROM size)
  UNION ALL
  SELECT met.* FROM met
  JOIN (
    SELECT service_id, target_ref FROM met GROUP BY service_id, target_ref
    ORDER BY min(distance), target_ref, service_id
    LIMIT %(most)s
  ) AS nearest USING (service_id, target_ref)
  WHERE (SELECT is_cut FROM size)
),
reached AS MATERIALIZED (
  SELECT id, min(distance) AS distance
  FROM (SELECT far_id AS id, distance FROM taken UNION ALL SELECT %(id)s::uuid, 0) AS far GROUP BY id
),
known AS MATERIALIZED (
  SELECT id, external_id AS ref, coalesce(nullif(name, ''), split_part(external_id, '/', 2)) AS name, tier, lifecycle,
    distance
  FROM reached
  CROSS JOIN LATERAL (
    -- The conditions are those of two indexes.
    SELECT external_id, name, tier, lifecycle FROM services AS held
    WHERE held.tenant_id = %(tenant)s AND held.id = reached.id
      AND octet_length(name) + coalesce(octet_length(tier), 0) + coalesce(octet_length(lifecycle), 0) <= 1000
    UNION ALL
    SELECT external_id, name, tier, lifecycle FROM services AS held
    WHERE held.tenant_id = %(tenant)s AND held.id = reached.id
      AND octet_length(name) + coalesce(octet_length(tier), 0) + coalesce(octet_length(lifecycle), 0) > 1000
  ) AS held
),
nodes AS (
  SELECT id, ref AS entity_ref, name, tier, lifecycle, distance FROM known WHERE distance > 0
  UNION ALL
  SELECT NULL, target_ref,
    CASE WHEN strpos(target_ref, ':') > 0 THEN regexp_replace(target_ref, '^.*/', '') ELSE target_ref END,
    NULL, NULL, min(distance)
  FROM taken
  WHERE far_id IS NULL AND NOT EXISTS (SELECT FROM known WHERE ref = target_ref)
  GROUP BY target_ref
),
edges AS (
  SELECT DISTINCT ON (dependant.ref COLLATE "C", target_ref COLLATE "C")
    dependant.ref AS "from", target_ref AS "to", dependency_type AS type, is_critical
  FROM taken JOIN known AS dependant ON dependant.id = service_id
  ORDER BY dependant.ref COLLATE "C", target_ref COLLATE "C"
)
SELECT (SELECT ref FROM known WHERE distance = 0) AS root,
  (SELECT coalesce(json_agg(node), '[]')::text
   FROM (SELECT * FROM nodes ORDER BY distance, entity_ref COLLATE "C") AS node) AS nodes,
  (SELECT coalesce(json_agg(edge), '[]')::text FROM edges AS edge) AS edges,
  (SELECT is_cut FROM size) AS truncated;

-- name: teams
SELECT held.id::text, held.external_id AS entity_ref, held.name, held.email, held.slack_channel, held.source,
  CASE WHEN isfinite(held.synced_at) THEN held.synced_at END AS synced_at, entities.stale, touched.at AS touched,
  members.refs AS members, owned.services
FROM teams AS held
JOIN entities ON entities.tenant = held.tenant_id AND entities.entity_ref = held.external_id
CROSS JOIN LATERAL (
  SELECT coalesce(json_object_agg(data_source, extract(epoch FROM last_touched)), '{}') AS at
  FROM entity_records AS record
  WHERE record.tenant = held.tenant_id AND record.entity_ref = held.external_id AND NOT deleted
    AND isfinite(last_touched)
) AS touched
CROSS JOIN LATERAL (
  SELECT coalesce(json_agg(target_ref ORDER BY target_ref), '[]') AS refs
  FROM entity_relations AS related
  WHERE related.tenant_id = held.tenant_id AND related.entity_ref = held.external_id AND type = 'hasMember'
) AS members
CROSS JOIN LATERAL (
  SELECT coalesce(json_agg(json_build_object(
    'id', services.id, 'entity_ref', services.external_id, 'name', services.name, 'tier', services.tier,
    'lifecycle', services.lifecycle
  ) ORDER BY services.external_id), '[]') AS services
  FROM services WHERE services.tenant_id = held.tenant_id AND services.owner_team_id = held.id
) AS owned
WHERE held.tenant_id = %(tenant)s AND held.id = ANY (%(ids)s::uuid[])
ORDER BY held.external_id;

-- name: list_teams
SELECT id::text, external_id AS entity_ref FROM teams
WHERE tenant_id = %(tenant)s AND external_id > %(after)s
ORDER BY external_id
LIMIT %(limit)s;
