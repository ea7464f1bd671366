ALTER TABLE Reports ADD COLUMN BytesByWay TEXT NULL;

-- What each device of a rollout fetched, by the way it came; of its latest report that says so.
CREATE TABLE RolloutBytes (
  Rollout INTEGER NOT NULL,
  Device TEXT NOT NULL,
  Way TEXT NOT NULL,
  Bytes INTEGER NOT NULL,
  PRIMARY KEY (Rollout, Device, Way)
) WITHOUT ROWID;
