-- name: read_positions
SELECT topic, partition, next_offset, active_at < now() - %(kept)s::interval FROM sink_offsets WHERE sink = %(sink)s;

-- name: move_position
UPDATE sink_offsets SET next_offset = %(next_offset)s, active_at = now()
WHERE sink = %(sink)s AND topic = %(topic)s AND partition = %(partition)s
  AND next_offset = ANY (%(expected)s::bigint[])
  AND (active_at >= now() - %(kept)s::interval OR %(is_rewind)s);

-- name: begin_position
INSERT INTO sink_offsets AS held (sink, topic, partition, next_offset)
VALUES (%(sink)s, %(topic)s, %(partition)s, %(next_offset)s)
ON CONFLICT (sink, topic, partition) DO UPDATE SET next_offset = excluded.next_offset, active_at = now()
WHERE held.next_offset = ANY (%(expected)s::bigint[]);
