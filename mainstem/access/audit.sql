-- name: begin
INSERT INTO audit_log (tenant, actor, token_id, method, route, parameters)
VALUES (%(tenant)s, %(actor)s, %(token_id)s, %(method)s, %(route)s, %(parameters)s)
RETURNING id

-- name: end
UPDATE audit_log SET status = %(status)s WHERE id = %(id)s
