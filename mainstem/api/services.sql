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
    SELECT search @@ %(q)s::tsquery FROM entities
    WHERE entities.tenant = held.tenant_id AND entities.entity_ref = held.external_id
  ))
ORDER BY held.external_id
LIMIT %(limit)s;

-- name: search
SELECT mainstem_search(words, %(most)s) AS refs,
  plainto_tsquery('simple', translate(words, '-_./:@', '      '))::text AS query
FROM unnest(%(q)s::text[]) AS words;

-- name: graph_root
SELECT external_id AS ref FROM services WHERE tenant_id = %(tenant)s AND id = %(id)s::uuid;

-- name: graph_step
-- One step of a graph: what depends on any of %(downstream)s, and what any of %(upstream)s depends on, of each at most one
-- more than an answer holds. A row has all edges of one way, since rows of thousands would cost more than what is in them,
-- and each way is put together by itself, since both in one would be sorted first: `far` has the id of what each leads to,
-- in the binary form of an array; `told` two lines for each, that node and the edge. What is not there has an id that
-- nothing else has.
SELECT 'downstream' AS way, array_send(array_agg(service_id)) AS far, string_agg(coalesce(told, (
  -- Only what the index of targets holds; what does not fit into it is put together anew.
  SELECT near.node || E'\n' || mainstem_edge(near.external_id, held.target_ref, dependency_type, is_critical)
  FROM service_dependencies AS held
  JOIN services AS near ON near.tenant_id = held.tenant_id AND near.id = held.service_id
  WHERE held.tenant_id = %(tenant)s AND held.service_id = met.service_id AND held.depends_on_id = met.depends_on_id
)), E'\n') AS told
FROM (
  SELECT service_id, depends_on_id, told FROM service_edges
  WHERE tenant_id = %(tenant)s AND depends_on_id = ANY (%(downstream)s::uuid[])
  LIMIT %(most)s + 1
) AS met
HAVING count(*) > 0
UNION ALL
SELECT 'upstream', array_send(array_agg(coalesce(depends_on_id, md5(target_ref)::uuid))), string_agg(coalesce(
  far.node,
  '{"entity_ref":' || mainstem_json(target_ref) || ',"id":null,"name":' || mainstem_json(
    CASE WHEN target_ref LIKE '%%:%%' THEN split_part(target_ref, '/', -1) ELSE target_ref END
  ) || ',"tier":null,"lifecycle":null'
) || E'\n' || mainstem_edge(near.external_id, target_ref, dependency_type, is_critical), E'\n')
FROM (
  SELECT service_id, depends_on_id, target_ref, dependency_type, is_critical FROM service_edges
  WHERE tenant_id = %(tenant)s AND service_id = ANY (%(upstream)s::uuid[])
  LIMIT %(most)s + 1
) AS met
JOIN services AS near ON near.tenant_id = %(tenant)s AND near.id = met.service_id
LEFT JOIN services AS far ON far.tenant_id = %(tenant)s AND far.id = met.depends_on_id
HAVING count(*) > 0;

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
