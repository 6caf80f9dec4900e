-- The type of a dependency, null where it is too long for an index: so the index below holds all of an edge, and a graph
-- is followed without a row, each of which lies in another page.
ALTER TABLE service_dependencies ADD COLUMN short_type text
  GENERATED ALWAYS AS (CASE WHEN octet_length(dependency_type) <= 200 THEN dependency_type END) STORED;

-- Ids first, which differ in their first bytes: to compare the same tenant again and again takes a fifth of a search.
DROP INDEX service_dependencies_target, services_brief, services_long;
CREATE INDEX service_dependencies_target ON service_dependencies (depends_on_id, tenant_id, service_id)
  INCLUDE (short_type, is_critical) WHERE depends_on_id IS NOT NULL;
CREATE INDEX services_brief ON services (id, tenant_id) INCLUDE (external_id, name, tier, lifecycle)
  WHERE octet_length(name) + coalesce(octet_length(tier), 0) + coalesce(octet_length(lifecycle), 0) <= 1000;
CREATE INDEX services_long ON services (id, tenant_id)
  WHERE octet_length(name) + coalesce(octet_length(tier), 0) + coalesce(octet_length(lifecycle), 0) > 1000;

-- As before, and the short type at its end.
CREATE OR REPLACE VIEW service_edges WITH (security_invoker = true) AS
  SELECT tenant_id, service_id, depends_on_id, target_ref, dependency_type, is_critical, source, short_type
  FROM service_dependencies
  UNION ALL
  SELECT stated.tenant_id, dependant.id, dependency.id, stated.entity_ref, 'runtime', false, dependency.source, 'runtime'
  FROM stated_relations AS stated
  JOIN services AS dependency ON dependency.tenant_id = stated.tenant_id AND dependency.external_id = stated.entity_ref
  JOIN services AS dependant ON dependant.tenant_id = stated.tenant_id AND dependant.external_id = stated.target_ref
  WHERE stated.type = 'dependencyOf' AND EXISTS (SELECT FROM stated_relations WHERE type = 'dependencyOf') AND NOT EXISTS (
    SELECT FROM service_dependencies AS said
    WHERE said.tenant_id = stated.tenant_id AND said.service_id = dependant.id
      AND said.depends_on_id = dependency.id
  );
