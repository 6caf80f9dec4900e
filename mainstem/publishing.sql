-- name: record_is_read
SELECT 1 FROM entity_records
WHERE tenant = %(tenant)s AND entity_ref = %(entity_ref)s AND data_source = %(connector)s
  AND source_version >= %(version)s;

-- name: entities_are_read
SELECT 1 FROM sink_offsets
WHERE sink = %(sink)s AND topic = %(topic)s AND partition = %(partition)s AND next_offset >= %(end)s;
