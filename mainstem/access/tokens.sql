-- name: create
INSERT INTO api_tokens (id, tenant, name, hash, scopes, created_by, expires_at)
VALUES (%(id)s, %(tenant)s, %(name)s, %(hash)s, %(scopes)s, %(by)s, now() + %(life)s)

-- name: list
SELECT id, tenant, name, scopes, created_by, created_at, expires_at, revoked_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'active' END AS state
FROM api_tokens
ORDER BY created_at, id

-- name: revoke
UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s OR hash = %(hash)s RETURNING id

-- name: find
SELECT id, tenant, name, scopes
FROM api_tokens
WHERE hash = %(hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())

-- name: any
SELECT EXISTS (SELECT FROM api_tokens) AS "any"
