-- name: tenant
SELECT set_config('role', 'mainstem_app', true), set_config('mainstem.tenant', %(tenant)s, true);
