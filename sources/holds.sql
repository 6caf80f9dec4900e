-- name: replace
UPDATE held_deletions SET state = 'replaced' WHERE connector = %(connector)s AND state = 'held'
RETURNING hold_id::text

-- name: make
INSERT INTO held_deletions (connector, run, entities, expires_at)
VALUES (%(connector)s, %(run)s, %(entities)s, now() + make_interval(secs => %(keep_seconds)s))
RETURNING hold_id::text

-- name: move
UPDATE ingestion_entity_refs SET hold_id = %(hold)s WHERE hold_id = %(replaced)s

-- name: expire
WITH expired AS (
  UPDATE held_deletions SET state = 'expired'
  WHERE connector = %(connector)s AND state = 'held' AND (expires_at <= now() OR NOT EXISTS (
    SELECT FROM ingestion_entity_refs r WHERE r.hold_id = held_deletions.hold_id))
  RETURNING hold_id)
UPDATE ingestion_entity_refs r SET hold_id = NULL FROM expired WHERE r.hold_id = expired.hold_id

-- name: finish
UPDATE held_deletions SET state = 'done' WHERE hold_id = %(hold)s AND state = 'approved'
