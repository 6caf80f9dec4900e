-- Who may use the API. Of a token only its SHA-256 is kept. A revoked one keeps its row: as long as there is any, no
-- request without a token is answered.
CREATE TABLE api_tokens (
  id text PRIMARY KEY,
  tenant text NOT NULL,
  name text NOT NULL,
  hash bytea NOT NULL UNIQUE,
  scopes text[] NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz
);

-- What was asked of the API that changes anything. `status` is null while it is under way, and after a crash.
CREATE TABLE audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  tenant text NOT NULL,
  actor text NOT NULL,
  token_id text,
  method text NOT NULL,
  route text NOT NULL,
  parameters jsonb NOT NULL,
  status integer
);

CREATE INDEX audit_log_newest ON audit_log (tenant, id DESC);
