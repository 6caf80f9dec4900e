-- What is answered of a service in a graph, without its row: a graph has thousands, and each row lies in another page. The
-- index holds what fits into it; those few that are longer are found by the other one.
CREATE INDEX services_brief ON services (tenant_id, id) INCLUDE (external_id, name, tier, lifecycle)
  WHERE octet_length(name) + coalesce(octet_length(tier), 0) + coalesce(octet_length(lifecycle), 0) <= 1000;
CREATE INDEX services_long ON services (tenant_id, id)
  WHERE octet_length(name) + coalesce(octet_length(tier), 0) + coalesce(octet_length(lifecycle), 0) > 1000;

-- As before, but where nothing says `dependencyOf` that is asked once, and not of each service.
CREATE OR REPLACE VIEW service_edges WITH (security_invoker = true) AS
  SELECT tenant_id, service_id, depends_on_id, target_ref, dependency_type, is_critical, source
  FROM service_dependencies
  UNION ALL
  SELECT stated.tenant_id, dependant.id, dependency.id, stated.entity_ref, 'runtime', false, dependency.source
  FROM stated_relations AS stated
  JOIN services AS dependency ON dependency.tenant_id = stated.tenant_id AND dependency.external_id = stated.entity_ref
  JOIN services AS dependant ON dependant.tenant_id = stated.tenant_id AND dependant.external_id = stated.target_ref
  WHERE stated.type = 'dependencyOf' AND EXISTS (SELECT FROM stated_relations WHERE type = 'dependencyOf') AND NOT EXISTS (
    SELECT FROM service_dependencies AS said
    WHERE said.tenant_id = stated.tenant_id AND said.service_id = dependant.id
      AND said.depends_on_id = dependency.id
  );
