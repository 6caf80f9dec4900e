-- name: take_version
INSERT INTO manual_entities AS held (tenant_id, entity_ref, version)
VALUES (%(tenant)s, %(ref)s, greatest(
  extract(epoch FROM clock_timestamp()) * 1000,
  -- Of what somebody published in another way.
  (SELECT least(source_version, 4611686018427387904) + 1 FROM entity_records
   WHERE tenant = %(tenant)s AND entity_ref = %(ref)s AND data_source = 'manual')
))
ON CONFLICT (tenant_id, entity_ref) DO UPDATE SET version = greatest(held.version + 1, excluded.version)
RETURNING version;

-- name: confirm
UPDATE manual_entities SET confirmed_version = %(version)s, is_there = %(is_there)s
WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s AND confirmed_version < %(version)s;

-- name: is_there
SELECT coalesce(
  (SELECT is_there OR version > confirmed_version FROM manual_entities
   WHERE tenant_id = %(tenant)s AND entity_ref = %(ref)s),
  (SELECT NOT deleted FROM entity_records
   WHERE tenant = %(tenant)s AND entity_ref = %(ref)s AND data_source = 'manual'),
  false
);
