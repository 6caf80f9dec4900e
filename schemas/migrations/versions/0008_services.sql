-- The version whose content the tables below show; null = none of it. Writers that do not know of it leave it behind,
-- and so does this migration: the sink finds the row by the index, and projects it.
ALTER TABLE entities ADD COLUMN projected bigint;

CREATE INDEX entities_unprojected ON entities (tenant, entity_ref)
  WHERE projected IS DISTINCT FROM CASE WHEN deleted_at IS NULL THEN version END;

CREATE TABLE teams (
  id uuid NOT NULL,
  tenant_id text NOT NULL,
  -- The entityRef.
  external_id text NOT NULL,
  -- The connector that gave the name, here and below.
  source text NOT NULL,
  name text NOT NULL,
  email text,
  slack_channel text,
  members uuid[] NOT NULL,
  metadata jsonb NOT NULL,
  synced_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, external_id),
  FOREIGN KEY (tenant_id, external_id) REFERENCES entities (tenant, entity_ref) ON DELETE CASCADE
);

CREATE TABLE services (
  id uuid NOT NULL,
  tenant_id text NOT NULL,
  external_id text NOT NULL,
  source text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  description text,
  tier text,
  -- Null until the team is there; who it is, as far as it is known, stands in owner_ref.
  owner_team_id uuid,
  owner_ref text,
  schedule_id text,
  lifecycle text,
  tags jsonb NOT NULL,
  metadata jsonb NOT NULL,
  synced_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, external_id),
  FOREIGN KEY (tenant_id, external_id) REFERENCES entities (tenant, entity_ref) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, owner_team_id) REFERENCES teams (tenant_id, id) ON DELETE SET NULL (owner_team_id)
);

CREATE INDEX services_owner ON services (tenant_id, owner_ref);
CREATE INDEX services_owner_team ON services (tenant_id, owner_team_id) WHERE owner_team_id IS NOT NULL;
CREATE INDEX services_name ON services (tenant_id, split_part(external_id, '/', 2));

CREATE TABLE service_dependencies (
  id uuid NOT NULL,
  tenant_id text NOT NULL,
  service_id uuid NOT NULL,
  -- Null until the target is there.
  depends_on_id uuid,
  target_ref text NOT NULL,
  dependency_type text NOT NULL,
  is_critical boolean NOT NULL,
  source text NOT NULL,
  PRIMARY KEY (tenant_id, service_id, id),
  FOREIGN KEY (tenant_id, service_id) REFERENCES services (tenant_id, id) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, depends_on_id) REFERENCES services (tenant_id, id) ON DELETE SET NULL (depends_on_id)
);

CREATE INDEX service_dependencies_target ON service_dependencies (tenant_id, depends_on_id)
  WHERE depends_on_id IS NOT NULL;
CREATE INDEX service_dependencies_unresolved ON service_dependencies (tenant_id, target_ref)
  WHERE depends_on_id IS NULL;

CREATE TABLE service_runbooks (
  id uuid NOT NULL,
  tenant_id text NOT NULL,
  service_id uuid NOT NULL,
  -- From 0 on, in the order in which they are to be read.
  position integer NOT NULL,
  title text NOT NULL,
  url text NOT NULL,
  runbook_type text,
  source text NOT NULL,
  PRIMARY KEY (tenant_id, service_id, id),
  FOREIGN KEY (tenant_id, service_id) REFERENCES services (tenant_id, id) ON DELETE CASCADE
);

-- What entities say of themselves and of each other, as they say it: entity_ref is `type` of target_ref, which is
-- `inverse` of entity_ref. What services depend on is in service_dependencies alone.
CREATE TABLE stated_relations (
  tenant_id text NOT NULL,
  entity_ref text NOT NULL,
  type text NOT NULL,
  target_ref text NOT NULL,
  inverse text NOT NULL,
  PRIMARY KEY (tenant_id, entity_ref, type, target_ref)
);

CREATE INDEX stated_relations_target ON stated_relations (tenant_id, target_ref);
CREATE INDEX stated_relations_dependency ON stated_relations (tenant_id, target_ref) WHERE type = 'dependencyOf';

-- All relations of every entity, from both sides; one that two sides state is there once.
CREATE VIEW entity_relations WITH (security_invoker = true) AS
  SELECT tenant_id, entity_ref, type, target_ref FROM stated_relations
  UNION
  SELECT tenant_id, target_ref, inverse, entity_ref FROM stated_relations
  UNION
  SELECT held.tenant_id, services.external_id, 'dependsOn', held.target_ref
  FROM service_dependencies AS held
  JOIN services ON services.tenant_id = held.tenant_id AND services.id = held.service_id
  UNION
  SELECT held.tenant_id, held.target_ref, 'dependencyOf', services.external_id
  FROM service_dependencies AS held
  JOIN services ON services.tenant_id = held.tenant_id AND services.id = held.service_id;

-- What depends on what, be it said by the one or by the other (`spec.dependencyOf`), of services that are there.
CREATE VIEW service_edges WITH (security_invoker = true) AS
  SELECT tenant_id, service_id, depends_on_id, target_ref, dependency_type, is_critical, source
  FROM service_dependencies
  UNION ALL
  SELECT stated.tenant_id, dependant.id, dependency.id, stated.entity_ref, 'runtime', false, dependency.source
  FROM stated_relations AS stated
  JOIN services AS dependency ON dependency.tenant_id = stated.tenant_id AND dependency.external_id = stated.entity_ref
  JOIN services AS dependant ON dependant.tenant_id = stated.tenant_id AND dependant.external_id = stated.target_ref
  WHERE stated.type = 'dependencyOf' AND NOT EXISTS (
    SELECT FROM service_dependencies AS said
    WHERE said.tenant_id = stated.tenant_id AND said.service_id = dependant.id
      AND said.depends_on_id = dependency.id
  );
