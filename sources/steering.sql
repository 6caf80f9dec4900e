-- name: standings
SELECT
  asked.connector,
  coalesce(state.paused, false) AS is_paused,
  state.run IS NOT NULL AND coalesce(lease.expires_at > clock_timestamp(), false) AS is_running,
  coalesce(state.consecutive_failures, 0) AS consecutive_failures,
  state.last_success_at,
  state.last_error_class,
  state.last_error_message,
  state.last_error_at,
  state.next_run_at,
  run.pages,
  run.entities AS entities_read,
  state.last_success_at IS NOT NULL OR EXISTS (
    SELECT FROM connector_runs AS ended WHERE ended.connector = asked.connector AND ended.ended_at IS NOT NULL
  ) AS has_run,
  CASE WHEN EXISTS (SELECT FROM ingestion_entity_refs AS any_row WHERE any_row.connector = asked.connector) THEN (
    SELECT count(*) FROM ingestion_entity_refs AS held
    WHERE held.connector = asked.connector AND held.cluster_id = coalesce(state.cluster_id, (
      SELECT newest.cluster_id FROM ingestion_entity_refs AS newest
      WHERE newest.connector = asked.connector ORDER BY newest.seen_run DESC LIMIT 1
    ))
  ) ELSE (
    SELECT count(*) FROM entity_records AS record
    WHERE record.tenant = asked.tenant AND record.data_source = asked.connector AND NOT record.deleted
      AND (record.expiration_date IS NULL OR record.expiration_date > clock_timestamp())
  ) END AS entities,
  hold.hold_id IS NOT NULL AS is_held,
  (
    SELECT count(*) FROM ingestion_entity_refs AS waiting
    WHERE waiting.hold_id = hold.hold_id AND waiting.connector = asked.connector
  ) AS held_deletions
FROM unnest(%(connectors)s::text[], %(tenants)s::text[]) AS asked (connector, tenant)
LEFT JOIN ingestion_state AS state USING (connector)
LEFT JOIN connector_runs AS run ON run.run = state.run
LEFT JOIN leases AS lease ON lease.name = 'connector:' || asked.connector
-- Of one connector at most one is open.
LEFT JOIN held_deletions AS hold
  ON hold.connector = asked.connector AND hold.state = 'held' AND hold.expires_at > clock_timestamp()
ORDER BY asked.connector COLLATE "C";

-- name: residue
SELECT
  coalesce((
    SELECT refused FROM connector_runs WHERE connector = %(connector)s ORDER BY run DESC LIMIT 1
  ), 0) AS refused,
  (SELECT count(*) FROM ingestion_entity_refs WHERE connector = %(connector)s AND kept) AS kept;

-- name: request_sync
INSERT INTO ingestion_state AS state (connector, requested_at, requested_full)
VALUES (%(connector)s, clock_timestamp(), %(full)s)
ON CONFLICT (connector) DO UPDATE SET
  requested_at = excluded.requested_at,
  requested_full = excluded.requested_full OR state.requested_full
WHERE state.run IS NULL OR NOT EXISTS (
  SELECT FROM leases WHERE name = 'connector:' || state.connector AND expires_at > clock_timestamp()
)
-- A run that was interrupted may be the one that goes on.
RETURNING coalesce(state.run - 1, (SELECT max(run) FROM connector_runs WHERE connector = state.connector), 0);

-- name: set_paused
INSERT INTO ingestion_state (connector, paused) VALUES (%(connector)s, %(paused)s)
ON CONFLICT (connector) DO UPDATE SET paused = excluded.paused;

-- name: hold_still
SELECT FROM leases WHERE name = 'connector:' || %(connector)s FOR UPDATE;

-- name: reset_state
INSERT INTO ingestion_state AS state (connector, next_run_at) VALUES (%(connector)s, clock_timestamp())
ON CONFLICT (connector) DO UPDATE SET
  run = NULL, phase = 'rest', cursor = NULL, total = NULL, unread = '{}', covers = '[]', has_duplicates = false,
  since = NULL, next_run_at = excluded.next_run_at, requested_at = NULL, requested_full = false,
  -- An outage that was announced stays: whoever ends it must know of it, or nothing of the connector ever ages again.
  consecutive_failures = 0, first_failure_at = NULL,
  last_error_class = NULL, last_error_message = NULL, last_error_at = NULL;

-- name: reset_runs
UPDATE connector_runs SET outcome = 'reset', ended_at = clock_timestamp()
WHERE connector = %(connector)s AND outcome = 'running';

-- name: reset_ledger
UPDATE ingestion_entity_refs SET content_hash = '' WHERE connector = %(connector)s AND content_hash <> '';

-- name: runs
-- One that failed, and is to be gone on with where it failed, has failed so far: it has no end yet.
SELECT
  r.run, r.mode, r.is_full, r.trigger, r.started_at, r.ended_at,
  CASE WHEN waits.run IS NULL THEN r.outcome ELSE 'failed' END AS outcome,
  r.pages, r.entities, r.published, r.unchanged, r.filtered, r.refused, r.left_out, r.deleted, r.held,
  coalesce(r.error_class, waits.last_error_class) AS error_class,
  coalesce(r.error_message, waits.last_error_message) AS error_message
FROM connector_runs AS r
LEFT JOIN ingestion_state AS waits
  ON waits.connector = r.connector AND waits.run = r.run AND waits.phase = 'rest' AND waits.consecutive_failures > 0
WHERE r.connector = %(connector)s AND (%(before)s::bigint IS NULL OR r.run < %(before)s)
ORDER BY r.run DESC
LIMIT %(limit)s;

-- name: holds
SELECT hold.hold_id, hold.entities, hold.created_at, hold.expires_at, coalesce(waiting.refs, '{}') AS refs
FROM held_deletions AS hold
CROSS JOIN LATERAL (
  SELECT array_agg(entity_ref ORDER BY entity_ref COLLATE "C") AS refs
  FROM ingestion_entity_refs AS ref
  WHERE ref.hold_id = hold.hold_id AND ref.connector = hold.connector
) AS waiting
WHERE hold.connector = %(connector)s AND hold.state = 'held' AND hold.expires_at > clock_timestamp()
ORDER BY hold.created_at, hold.hold_id;

-- name: decide
UPDATE held_deletions SET state = %(state)s, decided_at = clock_timestamp(), decided_by = %(by)s
WHERE hold_id = %(hold_id)s AND connector = %(connector)s AND state = 'held' AND expires_at > clock_timestamp()
RETURNING hold_id;

-- name: decided
SELECT CASE WHEN state = 'held' THEN 'expired' ELSE state END
FROM held_deletions WHERE hold_id = %(hold_id)s AND connector = %(connector)s;

-- name: keep
UPDATE ingestion_entity_refs SET hold_id = NULL, kept = true
WHERE hold_id = %(hold_id)s AND connector = %(connector)s;

-- A scope of a repository is a file.
-- name: last_sync
SELECT asked.connector, state.last_success_at, state.since ->> 'commit' AS commit,
  CASE WHEN state.last_success_at IS NOT NULL THEN (
    SELECT count(DISTINCT scope) FROM ingestion_entity_refs AS held WHERE held.connector = asked.connector) END AS files
FROM unnest(%(connectors)s::text[]) AS asked (connector)
LEFT JOIN ingestion_state AS state USING (connector)
ORDER BY state.last_success_at DESC NULLS LAST, asked.connector COLLATE "C"
LIMIT 1;
