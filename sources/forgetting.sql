-- What a connector holds: by its ledger, and by the records that the processor keeps.
-- name: held
SELECT tenant, entity_ref, max(generation) AS generation, max(source_version) AS source_version,
  max(observed_at) AS observed_at
FROM (
  SELECT tenant, entity_ref, generation, source_version, (extract(epoch FROM last_touched) * 1000)::bigint AS observed_at
  FROM entity_records WHERE data_source = %(connector)s AND NOT deleted
  UNION ALL
  SELECT %(tenant)s, entity_ref, generation, source_version, observed_at
  FROM ingestion_entity_refs WHERE connector = %(connector)s AND cluster_id = %(cluster)s
) AS known
GROUP BY tenant, entity_ref ORDER BY entity_ref

-- name: stop
INSERT INTO ingestion_state (connector, paused) VALUES (%(connector)s, %(runs_here)s)
ON CONFLICT (connector) DO UPDATE
SET paused = excluded.paused, run = NULL, phase = 'rest', cursor = NULL, since = NULL, requested_at = NULL,
  requested_full = false

-- name: close_runs
UPDATE connector_runs SET outcome = 'reset', ended_at = now() WHERE connector = %(connector)s AND outcome = 'running'

-- name: forget_seen
DELETE FROM ingestion_seen WHERE connector = %(connector)s

-- name: forget
DELETE FROM ingestion_entity_refs WHERE connector = %(connector)s

-- name: close_holds
UPDATE held_deletions SET state = 'done', decided_at = now(), decided_by = %(by)s
WHERE connector = %(connector)s AND state IN ('held', 'approved')
