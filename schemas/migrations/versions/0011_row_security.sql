-- The API asks as this role on behalf of a caller. It owns nothing, logs in nowhere and has the rights below. Roles
-- belong to all databases of a server, of which another one may be migrated right now.
DO $$
DECLARE
  remedy constant text := 'an administrator of the server runs: CREATE ROLE mainstem_app; GRANT mainstem_app TO '
    || quote_ident(current_user);
  -- Before 16 whoever is a member may become the role.
  membership constant text := CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mainstem_app') THEN
    BEGIN
      CREATE ROLE mainstem_app NOLOGIN;
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN NULL;
      WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING MESSAGE = 'the role mainstem_app is not there; ' || remedy;
    END;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mainstem_app' AND (rolsuper OR rolbypassrls))
    OR pg_has_role('mainstem_app', current_user, 'MEMBER')
  THEN
    RAISE insufficient_privilege USING MESSAGE = 'the role mainstem_app would see every tenant: an administrator of the '
      || 'server takes SUPERUSER, BYPASSRLS and all memberships from it';
  END IF;
  FOR attempt IN 1..5 LOOP
    EXIT WHEN pg_has_role(current_user, 'mainstem_app', membership);
    BEGIN
      EXECUTE 'GRANT mainstem_app TO ' || quote_ident(current_user);
    EXCEPTION
      -- Two at once: "tuple concurrently updated" has no code of its own.
      WHEN unique_violation OR internal_error THEN NULL;
      WHEN insufficient_privilege THEN
        IF attempt = 5 THEN
          RAISE insufficient_privilege USING MESSAGE = 'the user may not act as mainstem_app; ' || remedy;
        END IF;
        -- The same user may have made the role just now in another session; this one learns of it a little later.
        PERFORM pg_sleep(0.1);
    END;
  END LOOP;
  IF NOT has_schema_privilege('mainstem_app', current_schema(), 'USAGE') THEN
    EXECUTE 'GRANT USAGE ON SCHEMA ' || quote_ident(current_schema()) || ' TO mainstem_app';
  END IF;
END $$;

-- Part the rows of a table with a column `tenant` or `tenant_id`. What asks as mainstem_app sees those of its tenant,
-- and none before it has named one; its *rights* are a list such as 'SELECT, INSERT', null for none. Whoever owns the
-- database or the table sees all, as sinks and runners must: FORCE would shut out the owner too. For every new table.
CREATE FUNCTION mainstem_guard(guarded regclass, rights text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  parted_by name;
  owner constant name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = guarded);
BEGIN
  SELECT attname INTO STRICT parted_by FROM pg_attribute
  WHERE attrelid = guarded AND attname IN ('tenant', 'tenant_id') AND NOT attisdropped;
  EXECUTE 'ALTER TABLE ' || guarded || ' ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY';
  EXECUTE 'CREATE POLICY own_tenant ON ' || guarded || ' TO mainstem_app USING ('
    || quote_ident(parted_by) || ' = current_setting(''mainstem.tenant'', true))';
  -- Named so, it is right also where a dump is restored by a user of another name.
  EXECUTE 'CREATE POLICY every_tenant ON ' || guarded || ' TO pg_database_owner USING (true)';
  IF NOT pg_has_role(owner, 'pg_database_owner', 'USAGE') THEN
    EXECUTE 'CREATE POLICY every_tenant_of_owner ON ' || guarded || ' TO ' || quote_ident(owner) || ' USING (true)';
  END IF;
  IF rights IS NOT NULL THEN
    EXECUTE 'GRANT ' || rights || ' ON ' || guarded || ' TO mainstem_app';
  END IF;
END $$;

REVOKE EXECUTE ON FUNCTION mainstem_guard FROM PUBLIC;

SELECT mainstem_guard(name::regclass, rights) FROM (VALUES
  ('entities', 'SELECT'),
  ('entity_records', 'SELECT'),
  ('services', 'SELECT'),
  ('teams', 'SELECT'),
  ('service_dependencies', 'SELECT'),
  ('service_runbooks', 'SELECT'),
  ('stated_relations', 'SELECT'),
  ('entity_history', 'SELECT'),
  ('backstage_emissions', 'SELECT'),
  ('manual_entities', 'SELECT, INSERT, UPDATE, DELETE'),
  ('override_sets', 'SELECT, INSERT, UPDATE, DELETE'),
  ('overrides', 'SELECT, INSERT, UPDATE, DELETE'),
  ('audit_log', 'SELECT, INSERT, UPDATE (status)'),
  -- Read before it is known whose they are, and by sinks alone.
  ('api_tokens', NULL),
  ('sink_seen', NULL)
) AS guarded (name, rights);

GRANT SELECT ON entity_relations, service_edges TO mainstem_app;

-- Of connectors, which the configuration gives to tenants: what steering them takes.
GRANT SELECT ON connector_runs, ingestion_state, ingestion_entity_refs, held_deletions, leases TO mainstem_app;
GRANT INSERT, UPDATE ON ingestion_state TO mainstem_app;
GRANT UPDATE (outcome, ended_at) ON connector_runs TO mainstem_app;
GRANT UPDATE (content_hash, hold_id, kept) ON ingestion_entity_refs TO mainstem_app;
GRANT UPDATE (state, decided_at, decided_by) ON held_deletions TO mainstem_app;
-- A lease is locked by whoever resets, and never written: that takes the right to update any of its columns.
GRANT UPDATE (name) ON leases TO mainstem_app;

-- The entities of the caller's tenant with all words of *words*, null where there are more than *most*. Below a policy
-- the index of `search` serves no query, since its operator is not known to be leakproof: this looks as the owner.
CREATE FUNCTION mainstem_search(words text, most integer) RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
  refs text[];
BEGIN
  -- Planned for the words at hand: those that are everywhere are found faster without the index.
  EXECUTE 'SELECT array_agg(entity_ref) FROM (SELECT entity_ref FROM entities WHERE tenant = $1 AND deleted_at IS NULL'
    || ' AND search @@ plainto_tsquery(''simple'', translate($2, ''-_./:@'', ''      '')) LIMIT $3) AS found'
    INTO refs USING current_setting('mainstem.tenant', true), words, most + 1;
  RETURN CASE WHEN coalesce(cardinality(refs), 0) <= most THEN coalesce(refs, '{}') END;
END $$;

DO $$
BEGIN
  -- Of whoever calls it, the schemas could lead to tables of his own.
  EXECUTE 'ALTER FUNCTION mainstem_search SET search_path = pg_catalog, ' || quote_ident(current_schema()) || ', pg_temp';
END $$;
REVOKE EXECUTE ON FUNCTION mainstem_search FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mainstem_search TO mainstem_app;

-- An index over an expression serves no query below a policy: `split_part` is not known to be leakproof.
ALTER TABLE services ADD COLUMN entity_name text GENERATED ALWAYS AS (split_part(external_id, '/', 2)) STORED;
ALTER TABLE teams ADD COLUMN entity_name text GENERATED ALWAYS AS (split_part(external_id, '/', 2)) STORED;
CREATE INDEX services_entity_name ON services (tenant_id, entity_name);
CREATE INDEX teams_entity_name ON teams (tenant_id, entity_name);
DROP INDEX services_name;
