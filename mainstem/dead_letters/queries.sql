-- name: decisions
SELECT partition, record_offset, decision, decided_by, decided_at
FROM dead_letter_decisions
JOIN unnest(%(partitions)s::integer[], %(offsets)s::bigint[], %(times)s::bigint[])
  AS asked (partition, record_offset, set_aside_ms) USING (partition, record_offset, set_aside_ms)
WHERE cluster_id = %(cluster)s AND topic = %(topic)s

-- name: decide
INSERT INTO dead_letter_decisions (cluster_id, topic, partition, record_offset, set_aside_ms, decision, decided_by)
SELECT %(cluster)s, %(topic)s, partition, record_offset, set_aside_ms, %(decision)s, %(by)s
FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[], %(times)s::bigint[])
  AS decided (partition, record_offset, set_aside_ms)
ON CONFLICT (cluster_id, topic, partition, record_offset) DO UPDATE SET
  set_aside_ms = excluded.set_aside_ms, decision = excluded.decision,
  decided_by = excluded.decided_by, decided_at = excluded.decided_at
