-- name: begin
INSERT INTO ingestion_state (connector) VALUES (%(connector)s) ON CONFLICT DO NOTHING

-- Whoever starts runs what may be run: a run under way elsewhere, and one that waits after a failure, are left alone.
-- name: start
UPDATE ingestion_state SET next_run_at = now()
WHERE connector = %(connector)s AND consecutive_failures = 0 AND run IS NULL
  AND NOT EXISTS (SELECT FROM leases WHERE name = %(lease)s AND expires_at > now())

-- name: read
SELECT s.*, now() AS now, r.mode, r.is_full, r.started_at, r.published, r.entities, r.filtered, r.left_out, r.refused,
  r.pages,
  (SELECT hold_id::text FROM held_deletions h WHERE h.connector = s.connector AND h.state = 'approved' LIMIT 1)
    AS approved,
  (SELECT count(*) FROM held_deletions h JOIN ingestion_entity_refs USING (hold_id)
    WHERE h.connector = s.connector AND h.state = 'held') AS held
FROM ingestion_state s LEFT JOIN connector_runs r USING (run)
WHERE s.connector = %(connector)s

-- name: open_run
INSERT INTO connector_runs (connector, mode, is_full, trigger)
VALUES (%(connector)s, %(mode)s, %(is_full)s, %(trigger)s) RETURNING run

-- A run under way is due: whoever finds it interrupted goes on with it.
-- name: set_run
UPDATE ingestion_state
SET run = %(run)s, next_run_at = now(), phase = 'burst', cluster_id = %(cluster)s, fingerprint = %(fingerprint)s, cursor = NULL,
  total = NULL, unread = '{}', covers = '[]', has_duplicates = false,
  -- Of a full run that failed; what was asked for since is another one, and stays.
  requested_full = requested_full AND requested_at IS NOT NULL,
  since = CASE WHEN %(mode)s = 'changes' THEN since END
WHERE connector = %(connector)s AND run IS NOT DISTINCT FROM %(before)s

-- A request that came since *asked* was read is another one, and stays.
-- name: answer_request
UPDATE ingestion_state SET requested_at = NULL, requested_full = false, next_run_at = now()
WHERE connector = %(connector)s AND requested_at = %(asked)s

-- Nobody waits for the disk: a page whose saving is lost with a crash of Postgres is read again.
-- name: save_page
WITH counted AS (
  UPDATE connector_runs
  SET pages = pages + %(pages)s, entities = entities + %(entities)s, published = published + %(published)s,
    unchanged = unchanged + %(unchanged)s, filtered = filtered + %(filtered)s, refused = refused + %(refused)s,
    left_out = left_out + %(left_out)s
  WHERE run = %(run)s
)
UPDATE ingestion_state
SET phase = 'burst', cursor = %(cursor)s, total = coalesce(%(total)s, total), unread = %(guarded)s || unread || %(unread)s,
  covers = covers || %(covers)s, has_duplicates = has_duplicates OR %(has_duplicates)s
WHERE connector = %(connector)s AND run = %(run)s
RETURNING paused, set_config('synchronous_commit', 'off', true)

-- name: set_phase
UPDATE ingestion_state SET phase = %(phase)s WHERE connector = %(connector)s AND run = %(run)s RETURNING paused

-- name: count
UPDATE connector_runs
SET pages = pages + %(pages)s, entities = entities + %(entities)s, published = published + %(published)s,
  unchanged = unchanged + %(unchanged)s, filtered = filtered + %(filtered)s, refused = refused + %(refused)s,
  left_out = left_out + %(left_out)s, deleted = deleted + %(deleted)s, held = held + %(held)s
WHERE run = %(run)s

-- name: close_run
UPDATE connector_runs
SET outcome = %(outcome)s, ended_at = now(), error_class = %(error_class)s, error_message = %(error_message)s
WHERE run = %(run)s AND outcome = 'running'

-- What failed, and was to be gone on with, ended with what it failed of.
-- name: close_unfinished
UPDATE connector_runs r
SET outcome = 'failed', ended_at = now(),
  error_class = CASE WHEN s.last_error_at >= r.started_at THEN s.last_error_class ELSE %(error_class)s END,
  error_message = CASE WHEN s.last_error_at >= r.started_at THEN s.last_error_message ELSE %(error_message)s END
FROM ingestion_state s
WHERE r.run = %(run)s AND r.outcome = 'running' AND s.connector = r.connector

-- name: succeed
UPDATE ingestion_state
SET run = NULL, phase = 'rest', cursor = NULL, since = %(since)s, next_run_at = %(next_run_at)s,
  next_full_at = %(next_full_at)s, consecutive_failures = 0, first_failure_at = NULL, last_success_at = now()
WHERE connector = %(connector)s AND run = %(run)s

-- name: fail
UPDATE ingestion_state
SET run = CASE WHEN %(is_resumable)s THEN run END, phase = 'rest', requested_full = requested_full OR %(is_full)s,
  cursor = CASE WHEN %(is_resumable)s THEN cursor END, since = CASE WHEN %(is_resumable)s THEN since END,
  next_run_at = %(next_run_at)s, consecutive_failures = consecutive_failures + 1,
  first_failure_at = coalesce(first_failure_at, now()), last_error_class = %(error_class)s,
  last_error_message = %(error_message)s, last_error_at = now()
WHERE connector = %(connector)s AND run IS NOT DISTINCT FROM %(run)s

-- name: abandon
UPDATE ingestion_state
SET run = NULL, phase = 'rest', cursor = NULL, since = NULL, next_run_at = now(),
  requested_full = requested_full OR %(is_full)s
WHERE connector = %(connector)s AND run = %(run)s

-- name: note_error
UPDATE ingestion_state
SET last_error_class = %(error_class)s, last_error_message = %(error_message)s, last_error_at = now()
WHERE connector = %(connector)s

-- One that follows began after the source had answered.
-- name: set_outage
UPDATE ingestion_state
SET outage_since = %(since)s, first_failure_at = CASE WHEN %(since)s::timestamptz IS NOT NULL THEN first_failure_at END
WHERE connector = %(connector)s
