-- MaxFailures below 0: the gates alone decide. Ordered: the request that started the rollout. Arms: an experiment's, as devices read them.
ALTER TABLE Rollouts ADD COLUMN Ordered TEXT NULL;
ALTER TABLE Rollouts ADD COLUMN Arms TEXT NULL;

-- Since: when, by the server's clock, the device's present attempt began.
ALTER TABLE RolloutDevices ADD COLUMN Since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE RolloutDevices ADD COLUMN Crashed BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE RolloutDevices ADD COLUMN Arm TEXT NULL;

-- What a device adds to a metric: each device once for a gate, by its latest report. An experiment's own metric has the name of an arm's.
CREATE TABLE RolloutFigures (
  Rollout INTEGER NOT NULL,
  Device TEXT NOT NULL,
  Name TEXT NOT NULL,
  Attempt INTEGER NOT NULL,
  Phase INTEGER NOT NULL,
  Arm TEXT NULL,
  Value REAL NOT NULL,
  PRIMARY KEY (Rollout, Device, Name)
) WITHOUT ROWID;
CREATE INDEX RolloutFiguresByName ON RolloutFigures (Rollout, Name, Attempt, Phase);

-- The last word of each check in each phase.
CREATE TABLE RolloutChecks (
  Rollout INTEGER NOT NULL,
  Name TEXT NOT NULL,
  Attempt INTEGER NOT NULL,
  Phase INTEGER NOT NULL,
  Good BOOLEAN NOT NULL,
  Why TEXT NOT NULL,
  "By" TEXT NOT NULL,
  At INTEGER NOT NULL,
  PRIMARY KEY (Rollout, Name, Attempt, Phase)
) WITHOUT ROWID;

-- What the server decided, with all that it rested on: never changed.
CREATE TABLE RolloutDecisions (
  Id INTEGER PRIMARY KEY AUTOINCREMENT,
  Rollout INTEGER NOT NULL,
  At INTEGER NOT NULL,
  Action TEXT NOT NULL,
  Why TEXT NOT NULL,
  Evidence TEXT NOT NULL
);
CREATE INDEX RolloutDecisionsByRollout ON RolloutDecisions (Rollout, Id);
