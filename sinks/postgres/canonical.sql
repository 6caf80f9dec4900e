-- `rows` is a JSON list of what a statement is given, one object for each row. It names each row once.

-- name: standing
SELECT asked.tenant_id, asked.entity_ref, held.version, held.deleted_at IS NULL, services.id IS NOT NULL,
  teams.id IS NOT NULL
FROM json_to_recordset(%(rows)s::json) AS asked (tenant_id text, entity_ref text, id uuid)
JOIN entities AS held ON held.tenant = asked.tenant_id AND held.entity_ref = asked.entity_ref
LEFT JOIN services ON services.tenant_id = asked.tenant_id AND services.id = asked.id
LEFT JOIN teams ON teams.tenant_id = asked.tenant_id AND teams.id = asked.id;

-- name: share
SELECT pg_advisory_xact_lock_shared(%(lock)s);

-- name: exclude
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: lock_teams
SELECT FROM teams AS held
JOIN json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid) USING (tenant_id, id)
ORDER BY tenant_id, id
FOR NO KEY UPDATE OF held;

-- name: lock_services
SELECT FROM services AS held
JOIN json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid) USING (tenant_id, id)
ORDER BY tenant_id, id
FOR NO KEY UPDATE OF held;

-- name: remove_services
DELETE FROM services AS held
USING json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid)
WHERE held.tenant_id = asked.tenant_id AND held.id = asked.id;

-- name: remove_teams
DELETE FROM teams AS held
USING json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid)
WHERE held.tenant_id = asked.tenant_id AND held.id = asked.id;

-- name: put_teams
INSERT INTO teams AS held (
  id, tenant_id, external_id, source, name, email, slack_channel, members, metadata, synced_at
)
SELECT id, tenant_id, external_id, source, name, email, slack_channel, members, metadata,
  (SELECT max(last_touched) FROM entity_records AS record
   WHERE record.tenant = tenant_id AND record.entity_ref = external_id AND NOT record.deleted)
FROM json_to_recordset(%(rows)s::json) AS incoming (
  id uuid, tenant_id text, external_id text, source text, name text, email text, slack_channel text, members uuid[],
  metadata jsonb
)
ON CONFLICT (tenant_id, id) DO UPDATE SET
  source = excluded.source, name = excluded.name, email = excluded.email, slack_channel = excluded.slack_channel,
  members = excluded.members, metadata = excluded.metadata
WHERE (held.source, held.name, held.email, held.slack_channel, held.members, held.metadata)
  IS DISTINCT FROM (
    excluded.source, excluded.name, excluded.email, excluded.slack_channel, excluded.members, excluded.metadata
  );

-- name: put_services
INSERT INTO services AS held (
  id, tenant_id, external_id, source, kind, name, description, tier, owner_team_id, owner_ref, schedule_id, lifecycle,
  tags, metadata, synced_at
)
SELECT incoming.id, incoming.tenant_id, incoming.external_id, incoming.source, kind, incoming.name, description, tier,
  teams.id, owner_ref, schedule_id, lifecycle, tags, incoming.metadata,
  (SELECT max(last_touched) FROM entity_records AS record
   WHERE record.tenant = incoming.tenant_id AND record.entity_ref = incoming.external_id AND NOT record.deleted)
FROM json_to_recordset(%(rows)s::json) AS incoming (
  id uuid, tenant_id text, external_id text, source text, kind text, name text, description text, tier text,
  owner_id uuid, owner_ref text, schedule_id text, lifecycle text, tags jsonb, metadata jsonb
)
LEFT JOIN teams ON teams.tenant_id = incoming.tenant_id AND teams.id = incoming.owner_id
ON CONFLICT (tenant_id, id) DO UPDATE SET
  source = excluded.source, name = excluded.name, description = excluded.description, tier = excluded.tier,
  owner_team_id = excluded.owner_team_id, owner_ref = excluded.owner_ref, schedule_id = excluded.schedule_id,
  lifecycle = excluded.lifecycle, tags = excluded.tags, metadata = excluded.metadata, updated_at = now()
WHERE (
    held.source, held.name, held.description, held.tier, held.owner_team_id, held.owner_ref, held.schedule_id,
    held.lifecycle, held.tags, held.metadata
  ) IS DISTINCT FROM (
    excluded.source, excluded.name, excluded.description, excluded.tier, excluded.owner_team_id, excluded.owner_ref,
    excluded.schedule_id, excluded.lifecycle, excluded.tags, excluded.metadata
  );

-- name: resolve_owners
UPDATE services AS held SET owner_team_id = asked.id
FROM json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid, external_id text)
WHERE held.tenant_id = asked.tenant_id AND held.owner_ref = asked.external_id AND held.owner_team_id IS NULL;

-- name: drop_dependencies
DELETE FROM service_dependencies AS held
USING json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid, kept uuid[])
WHERE held.tenant_id = asked.tenant_id AND held.service_id = asked.id AND held.id <> ALL (asked.kept);

-- name: put_dependencies
INSERT INTO service_dependencies AS held (
  id, tenant_id, service_id, depends_on_id, target_ref, dependency_type, is_critical, source
)
SELECT incoming.id, asked.tenant_id, asked.id, target.id, incoming.target_ref, incoming.dependency_type,
  incoming.is_critical, incoming.source
FROM json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid, dependencies json)
CROSS JOIN json_to_recordset(asked.dependencies) AS incoming (
  id uuid, target_id uuid, target_ref text, dependency_type text, is_critical boolean, source text
)
LEFT JOIN services AS target ON target.tenant_id = asked.tenant_id AND target.id = incoming.target_id
LEFT JOIN service_dependencies AS there
  ON there.tenant_id = asked.tenant_id AND there.service_id = asked.id AND there.id = incoming.id
WHERE there.id IS NULL OR (there.depends_on_id, there.dependency_type, there.is_critical, there.source)
  IS DISTINCT FROM (target.id, incoming.dependency_type, incoming.is_critical, incoming.source)
ON CONFLICT (tenant_id, service_id, id) DO UPDATE SET
  depends_on_id = excluded.depends_on_id, dependency_type = excluded.dependency_type,
  is_critical = excluded.is_critical, source = excluded.source;

-- name: resolve_dependencies
UPDATE service_dependencies AS held SET depends_on_id = asked.id
FROM json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid, external_id text)
WHERE held.tenant_id = asked.tenant_id AND held.target_ref = asked.external_id AND held.depends_on_id IS NULL;

-- name: drop_runbooks
DELETE FROM service_runbooks AS held
USING json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid, kept uuid[])
WHERE held.tenant_id = asked.tenant_id AND held.service_id = asked.id AND held.id <> ALL (asked.kept);

-- name: put_runbooks
INSERT INTO service_runbooks AS held (id, tenant_id, service_id, position, title, url, runbook_type, source)
SELECT incoming.id, asked.tenant_id, asked.id, incoming.position, incoming.title, incoming.url,
  incoming.runbook_type, incoming.source
FROM json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid, runbooks json)
CROSS JOIN json_to_recordset(asked.runbooks) AS incoming (
  id uuid, position integer, title text, url text, runbook_type text, source text
)
LEFT JOIN service_runbooks AS there
  ON there.tenant_id = asked.tenant_id AND there.service_id = asked.id AND there.id = incoming.id
WHERE there.id IS NULL OR (there.position, there.title, there.runbook_type, there.source)
  IS DISTINCT FROM (incoming.position, incoming.title, incoming.runbook_type, incoming.source)
ON CONFLICT (tenant_id, service_id, id) DO UPDATE SET
  position = excluded.position, title = excluded.title, runbook_type = excluded.runbook_type,
  source = excluded.source;

-- name: drop_relations
DELETE FROM stated_relations AS held
USING json_to_recordset(%(rows)s::json) AS asked (tenant_id text, entity_ref text, kept text[])
WHERE held.tenant_id = asked.tenant_id AND held.entity_ref = asked.entity_ref
  AND held.type || ' ' || held.target_ref <> ALL (asked.kept);

-- name: put_relations
INSERT INTO stated_relations AS held (tenant_id, entity_ref, type, target_ref, inverse)
SELECT asked.tenant_id, asked.entity_ref, type, target_ref, inverse
FROM json_to_recordset(%(rows)s::json) AS asked (tenant_id text, entity_ref text, relations json)
CROSS JOIN json_to_recordset(asked.relations) AS incoming (type text, target_ref text, inverse text)
ON CONFLICT (tenant_id, entity_ref, type, target_ref) DO NOTHING;

-- name: sync_services
UPDATE services AS held SET synced_at = newest.at
FROM (
  SELECT tenant_id, id, (
    SELECT max(last_touched) FROM entity_records AS record
    WHERE record.tenant = tenant_id AND record.entity_ref = asked.entity_ref AND NOT record.deleted
  ) AS at
  FROM json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid, entity_ref text)
) AS newest
WHERE held.tenant_id = newest.tenant_id AND held.id = newest.id AND held.synced_at IS DISTINCT FROM newest.at;

-- name: sync_teams
UPDATE teams AS held SET synced_at = newest.at
FROM (
  SELECT tenant_id, id, (
    SELECT max(last_touched) FROM entity_records AS record
    WHERE record.tenant = tenant_id AND record.entity_ref = asked.entity_ref AND NOT record.deleted
  ) AS at
  FROM json_to_recordset(%(rows)s::json) AS asked (tenant_id text, id uuid, entity_ref text)
) AS newest
WHERE held.tenant_id = newest.tenant_id AND held.id = newest.id AND held.synced_at IS DISTINCT FROM newest.at;

-- name: unprojected
SELECT tenant, entity_ref, entity::text AS entity, service::text AS service, provenance::text AS provenance, version
FROM entities
WHERE projected IS DISTINCT FROM CASE WHEN deleted_at IS NULL THEN version END
ORDER BY tenant, entity_ref LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED;

-- name: mark_projected
UPDATE entities AS held SET projected = CASE WHEN deleted_at IS NULL THEN version END
FROM json_to_recordset(%(rows)s::json) AS asked (tenant_id text, entity_ref text)
WHERE held.tenant = asked.tenant_id AND held.entity_ref = asked.entity_ref;

-- name: other_kinds
UPDATE entities AS held SET projected = NULL
WHERE deleted_at IS NULL AND projected IS NOT NULL AND (kind = ANY (%(kinds)s)) IS DISTINCT FROM EXISTS (
  SELECT FROM services WHERE services.tenant_id = held.tenant AND services.external_id = held.entity_ref
);
