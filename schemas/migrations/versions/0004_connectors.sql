-- Who may work for a name. The token grows whenever it changes hands: a writer proves with it that it still may.
CREATE TABLE leases (
  name text PRIMARY KEY,
  holder text NOT NULL,
  token bigint NOT NULL,
  expires_at timestamptz NOT NULL
);

CREATE TABLE connector_runs (
  run bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  connector text NOT NULL,
  -- `complete`: everything was read; `changes`: what changed since the last complete run.
  mode text NOT NULL CHECK (mode IN ('complete', 'changes')),
  -- Whether what had not changed was published as well.
  is_full boolean NOT NULL,
  trigger text NOT NULL CHECK (trigger IN ('schedule', 'rest', 'retry', 'manual')),
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  outcome text NOT NULL DEFAULT 'running'
    CHECK (outcome IN ('running', 'complete', 'partial', 'failed', 'reset')),
  pages bigint NOT NULL DEFAULT 0,
  entities bigint NOT NULL DEFAULT 0,
  published bigint NOT NULL DEFAULT 0,
  unchanged bigint NOT NULL DEFAULT 0,
  filtered bigint NOT NULL DEFAULT 0,
  refused bigint NOT NULL DEFAULT 0,
  left_out bigint NOT NULL DEFAULT 0,
  deleted bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0,
  error_class text,
  error_message text
);

CREATE INDEX connector_runs_newest ON connector_runs (connector, run DESC);

-- One row per connector that ever ran: where its run stands, and what was asked of it.
CREATE TABLE ingestion_state (
  connector text PRIMARY KEY,
  cluster_id text,
  -- What the connector's configuration came to when it was last read: another one is read anew as a whole.
  fingerprint text,
  -- The run under way, null between two runs; the cursor is that of its last acknowledged page.
  run bigint REFERENCES connector_runs,
  phase text NOT NULL DEFAULT 'rest' CHECK (phase IN ('rest', 'burst', 'interstitial', 'sweep')),
  cursor jsonb,
  total bigint,
  unread jsonb NOT NULL DEFAULT '{}',
  covers jsonb NOT NULL DEFAULT '[]',
  has_duplicates boolean NOT NULL DEFAULT false,
  -- The last cursor of the last complete run; null where changes since then cannot be told.
  since jsonb,
  next_run_at timestamptz,
  next_full_at timestamptz,
  requested_at timestamptz,
  requested_full boolean NOT NULL DEFAULT false,
  paused boolean NOT NULL DEFAULT false,
  consecutive_failures integer NOT NULL DEFAULT 0,
  first_failure_at timestamptz,
  outage_since timestamptz,
  last_success_at timestamptz,
  last_error_class text,
  last_error_message text,
  last_error_at timestamptz
);

-- The ledger: every entity that the connector has published and not deleted.
CREATE TABLE ingestion_entity_refs (
  connector text NOT NULL,
  entity_ref text NOT NULL,
  cluster_id text NOT NULL,
  scope text NOT NULL DEFAULT '',
  -- Of the change as the source gave it, and of what the connector makes of it; empty: publish it, whatever it is.
  content_hash text NOT NULL,
  generation bigint,
  source_version bigint,
  -- Epoch ms of the change that was published last.
  observed_at bigint NOT NULL,
  seen_run bigint NOT NULL,
  -- The source itself said that it is gone.
  withdrawn boolean NOT NULL DEFAULT false,
  -- Its deletion waits for a decision.
  hold_id uuid,
  -- Its deletion was rejected: it is kept until it is seen again.
  kept boolean NOT NULL DEFAULT false,
  PRIMARY KEY (connector, entity_ref)
) WITH (fillfactor = 80);

CREATE INDEX ingestion_entity_refs_hold ON ingestion_entity_refs (hold_id) WHERE hold_id IS NOT NULL;

CREATE TABLE held_deletions (
  hold_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  connector text NOT NULL,
  run bigint,
  -- Of how many entities the connector held when it was made.
  entities bigint NOT NULL,
  state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'approved', 'rejected', 'expired', 'replaced', 'done')),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  decided_at timestamptz,
  decided_by text
);

-- A hold never grows: what somebody approves is what he was shown. One that would have to is replaced by another.
CREATE UNIQUE INDEX held_deletions_open ON held_deletions (connector) WHERE state = 'held';
