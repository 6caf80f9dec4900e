-- Of each partition of the changelog what its processor heard: by connector, [epoch ms, "outage" or "recovered"] of each
-- word. A word goes to every partition; one may have heard it before another.
CREATE TABLE outages (
  partition integer PRIMARY KEY,
  version bigint NOT NULL,
  words jsonb NOT NULL
);

GRANT SELECT ON outages TO mainstem_app;
