-- name: take
INSERT INTO leases (name, holder, token, expires_at)
VALUES (%(name)s, %(holder)s, 1, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, token = leases.token + 1, expires_at = excluded.expires_at
WHERE leases.expires_at <= clock_timestamp()
RETURNING token, extract(epoch FROM clock_timestamp())::float8

-- name: renew
UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND token = %(token)s AND expires_at > clock_timestamp()

-- Whoever would take the lease waits until what this transaction writes is there.
-- name: prove
SELECT FROM leases WHERE name = %(name)s AND token = %(token)s AND expires_at > clock_timestamp() FOR UPDATE

-- name: release
UPDATE leases SET expires_at = clock_timestamp() WHERE name = %(name)s AND token = %(token)s
