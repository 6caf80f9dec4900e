-- name: connectors_held
SELECT connector FROM unnest(%(connectors)s::text[]) AS asked (connector)
WHERE EXISTS (SELECT FROM entity_records WHERE tenant = %(tenant)s AND data_source = connector);

-- name: looked_at
SELECT held.entity_ref, held.provenance, (
  SELECT count(*) FROM (
    SELECT FROM entity_records AS record
    WHERE record.tenant = held.tenant AND record.entity_ref = held.entity_ref AND NOT deleted
    LIMIT 2
  ) AS first_two
) AS voices
FROM entities AS held
WHERE held.tenant = %(tenant)s
  AND held.deleted_at IS NULL
  AND held.entity_ref >= %(from)s
  AND (%(kinds)s::text[] IS NULL OR held.kind = ANY (%(kinds)s))
  AND (%(spelled_owners)s::text[] IS NULL
    OR lower(held.entity -> 'spec' ->> 'owner') = ANY (%(spelled_owners)s)
    OR held.namespace || ' ' || lower(held.entity -> 'spec' ->> 'owner') = ANY (%(spelled_owners)s)
    OR substring(lower(held.entity -> 'spec' ->> 'owner') FROM '[^:/]*$') = ANY (%(spelled_owners)s))
  AND (%(tiers)s::text[] IS NULL OR held.service ->> 'tier' = ANY (%(tiers)s))
  AND (%(lifecycles)s::text[] IS NULL OR held.entity -> 'spec' ->> 'lifecycle' = ANY (%(lifecycles)s))
  AND (%(tags)s::text[] IS NULL OR held.entity -> 'metadata' -> 'tags' ?| %(tags)s)
  AND (%(refs)s::text[] IS NULL OR held.entity_ref = ANY (%(refs)s))
  AND (%(q)s::text IS NULL OR held.search @@ %(q)s::tsquery)
ORDER BY held.entity_ref
LIMIT %(limit)s;

-- name: teams_called
SELECT external_id AS entity_ref FROM teams
WHERE tenant_id = %(tenant)s AND (lower(name) = ANY (%(texts)s) OR id::text = ANY (%(texts)s));

-- name: owned_by
SELECT entity_ref FROM entity_relations
WHERE tenant_id = %(tenant)s AND type = 'ownedBy' AND target_ref = %(team)s AND entity_ref = ANY (%(refs)s)
UNION
SELECT external_id FROM services
WHERE tenant_id = %(tenant)s AND owner_team_id = %(id)s::uuid AND external_id = ANY (%(refs)s);
