-- What is as the page says it is comes as bits, chunk by chunk; all else row by row, with nothing in it where the entity
-- is not known. Both tables are looked up key by key, whatever Postgres thinks of them: without statistics it would read
-- all of a connector's rows, or of a run's chunks once for each entity.
-- name: compare
WITH met AS MATERIALIZED (
  SELECT asked.entity_ref, r.content_hash, r.generation, r.source_version, r.observed_at, r.scope, r.slot,
    r.withdrawn OR r.kept OR r.hold_id IS NOT NULL AS is_marked,
    r.seen_run = %(run)s OR coalesce(get_bit(s.bits, (r.slot %% 2048)::int) = 1, false) AS is_seen,
    asked.content_hash <> '' AND asked.content_hash = r.content_hash AND asked.scope = r.scope
      AND r.observed_at >= %(lives_from)s AS is_same
  FROM ROWS FROM (json_array_elements_text(%(refs)s::json), json_array_elements_text(%(hashes)s::json),
    json_array_elements_text(%(scopes)s::json)) AS asked (entity_ref, content_hash, scope)
  LEFT JOIN LATERAL (
    SELECT known.*, known.slot / 2048 AS chunk FROM ingestion_entity_refs AS known
    WHERE known.connector = %(connector)s AND known.entity_ref = asked.entity_ref AND known.cluster_id = %(cluster)s
    LIMIT 1
  ) AS r ON true
  LEFT JOIN LATERAL (
    SELECT bits FROM ingestion_seen
    WHERE connector = %(connector)s AND run = %(run)s AND chunk = r.chunk
    LIMIT 1
  ) AS s ON true
)
SELECT entity_ref, content_hash, generation, source_version, observed_at, scope, slot, is_marked, is_seen
FROM met WHERE (is_same AND NOT is_marked AND NOT is_seen) IS NOT TRUE
UNION ALL
SELECT NULL, bit_or(set_bit(0::bit(2048), (slot %% 2048)::int, 1))::text, NULL, NULL, NULL, NULL, slot / 2048, NULL, NULL
FROM met WHERE is_same AND NOT is_marked AND NOT is_seen GROUP BY slot / 2048

-- name: mark
INSERT INTO ingestion_seen AS s (connector, run, chunk, bits)
SELECT %(connector)s, %(run)s, fresh.chunk, fresh.bits::bit(2048)
FROM unnest(%(chunks)s::bigint[], %(bits)s::text[]) AS fresh (chunk, bits)
ON CONFLICT (connector, run, chunk) DO UPDATE SET bits = s.bits | excluded.bits

-- name: forget_seen
DELETE FROM ingestion_seen WHERE connector = %(connector)s AND run <> %(run)s

-- name: see
UPDATE ingestion_entity_refs r
SET scope = seen.scope, withdrawn = false, hold_id = NULL, kept = false
FROM unnest(%(refs)b::text[], %(scopes)b::text[]) AS seen (entity_ref, scope)
WHERE r.connector = %(connector)s AND r.cluster_id = %(cluster)s AND r.entity_ref = seen.entity_ref

-- name: write
INSERT INTO ingestion_entity_refs (connector, cluster_id, seen_run, entity_ref, scope, content_hash, generation,
  source_version, observed_at)
SELECT %(connector)s, %(cluster)s, %(run)s, fresh.*
FROM unnest(%(refs)s::text[], %(scopes)s::text[], %(hashes)s::text[], %(generations)s::bigint[],
  %(versions)s::bigint[], %(observed)s::bigint[]) AS fresh
ON CONFLICT (connector, entity_ref) DO UPDATE
SET cluster_id = excluded.cluster_id, seen_run = excluded.seen_run, scope = excluded.scope,
  content_hash = excluded.content_hash, generation = excluded.generation, source_version = excluded.source_version,
  observed_at = excluded.observed_at, withdrawn = false, hold_id = NULL, kept = false

-- Before anything is published, so that whatever happens then is known: an entity without a hash is published again when
-- it is seen, and deleted when it is not.
-- name: intend
INSERT INTO ingestion_entity_refs AS r (connector, cluster_id, seen_run, content_hash, entity_ref, scope, generation,
  source_version, observed_at)
SELECT %(connector)s, %(cluster)s, 0, '', fresh.*
FROM unnest(%(refs)s::text[], %(scopes)s::text[], %(generations)s::bigint[], %(versions)s::bigint[],
  %(observed)s::bigint[]) AS fresh
ON CONFLICT (connector, entity_ref) DO UPDATE
SET content_hash = '', seen_run = CASE WHEN r.cluster_id = excluded.cluster_id THEN r.seen_run ELSE 0 END,
  cluster_id = excluded.cluster_id, generation = greatest(r.generation, excluded.generation),
  source_version = greatest(r.source_version, excluded.source_version),
  observed_at = greatest(r.observed_at, excluded.observed_at)

-- name: withdraw
UPDATE ingestion_entity_refs AS r SET withdrawn = true
WHERE r.connector = %(connector)s AND r.cluster_id = %(cluster)s AND r.entity_ref = ANY(%(refs)s)
  AND r.seen_run <> %(run)s
  AND NOT EXISTS (
    SELECT FROM ingestion_seen AS s
    WHERE s.connector = %(connector)s AND s.run = %(run)s AND s.chunk = r.slot / 2048
      AND get_bit(s.bits, (r.slot %% 2048)::int) = 1)

-- name: census
SELECT count(*) FILTER (WHERE cluster_id = %(cluster)s) AS entities,
  count(*) FILTER (WHERE cluster_id = %(cluster)s AND hold_id IN (
    SELECT hold_id FROM held_deletions AS h WHERE h.connector = %(connector)s AND h.state = 'held')) AS held,
  count(*) FILTER (WHERE cluster_id <> %(cluster)s) AS elsewhere
FROM ingestion_entity_refs
WHERE connector = %(connector)s

-- Until its transaction ends. Without statistics Postgres takes a connector for small, and would look at each of a run's
-- chunks again for every row.
-- name: join_once
SET LOCAL enable_nestloop = off

-- Absent is what the run did not see although it read where that lay. An empty scope holds all, `acme` holds `acme/pay`:
-- each scope above a row's own is looked up, since there may be as many scopes as rows.
-- name: absent
WITH unseen AS MATERIALIZED (
  SELECT r.entity_ref, r.withdrawn, r.scope FROM ingestion_entity_refs AS r
  WHERE r.connector = %(connector)s AND r.cluster_id = %(cluster)s AND r.seen_run <> %(run)s
    AND NOT r.kept AND r.hold_id IS NULL
    AND NOT EXISTS (
      SELECT FROM ingestion_seen AS s
      WHERE s.connector = %(connector)s AND s.run = %(run)s AND s.chunk = r.slot / 2048
        AND get_bit(s.bits, (r.slot %% 2048)::int) = 1)
), absent AS (
  SELECT r.entity_ref FROM unseen AS r
  WHERE r.withdrawn OR (
    EXISTS (SELECT FROM generate_series(0, cardinality(string_to_array(r.scope, '/'))) AS depth
      WHERE array_to_string((string_to_array(r.scope, '/'))[:depth], '/') = ANY(%(read)s::text[]))
    AND NOT EXISTS (SELECT FROM generate_series(0, cardinality(string_to_array(r.scope, '/'))) AS depth
      WHERE array_to_string((string_to_array(r.scope, '/'))[:depth], '/') = ANY(%(unread)s::text[]))))

-- name: count_absent
SELECT count(*) FROM absent

-- name: hold_absent
UPDATE ingestion_entity_refs SET hold_id = %(hold)s
WHERE connector = %(connector)s AND entity_ref IN (SELECT entity_ref FROM absent)

-- What is about to be deleted loses its hash first: were the deletion published and this process gone, an entity that
-- is back is published anew, whatever it holds.
-- name: take_absent
UPDATE ingestion_entity_refs SET content_hash = ''
WHERE connector = %(connector)s AND entity_ref IN (SELECT entity_ref FROM absent LIMIT %(limit)s)
RETURNING entity_ref, generation, source_version, observed_at

-- name: take_held
UPDATE ingestion_entity_refs SET content_hash = ''
WHERE connector = %(connector)s AND entity_ref IN (
  SELECT entity_ref FROM ingestion_entity_refs
  WHERE connector = %(connector)s AND cluster_id = %(cluster)s AND hold_id = %(hold)s LIMIT %(limit)s)
RETURNING entity_ref, generation, source_version, observed_at

-- name: forget
DELETE FROM ingestion_entity_refs
WHERE connector = %(connector)s AND cluster_id = %(cluster)s AND entity_ref = ANY(%(refs)b)

-- name: forget_other_clusters
DELETE FROM ingestion_entity_refs WHERE connector = %(connector)s AND cluster_id <> %(cluster)s

-- name: all
SELECT entity_ref, scope, kept, hold_id::text FROM ingestion_entity_refs
WHERE connector = %(connector)s AND cluster_id = %(cluster)s ORDER BY entity_ref
