CREATE TABLE Operators (
  Name TEXT PRIMARY KEY,
  Hash TEXT NOT NULL UNIQUE,
  CreatedAt INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE JoinTokens (
  Hash TEXT PRIMARY KEY,
  CreatedAt INTEGER NOT NULL,
  CreatedBy TEXT NOT NULL,
  ExpiresAt INTEGER NOT NULL,
  MaxUses INTEGER NOT NULL,
  Uses INTEGER NOT NULL,
  Labels TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE Devices (
  Id TEXT PRIMARY KEY,
  KeyHash TEXT NOT NULL,
  EnrolledAt INTEGER NOT NULL,
  LastSeen INTEGER NOT NULL,
  RetiredAt INTEGER NULL,
  Through INTEGER NOT NULL,
  Facts TEXT NOT NULL,
  Labels TEXT NOT NULL
) WITHOUT ROWID;

-- The last word of each device on each model.
CREATE TABLE DeviceModels (
  Device TEXT NOT NULL,
  Model TEXT NOT NULL,
  Sequence INTEGER NOT NULL,
  Serving TEXT NULL,
  Before TEXT NULL,
  Settled BOOLEAN NOT NULL,
  Last TEXT NOT NULL,
  Release TEXT NOT NULL,
  At INTEGER NOT NULL,
  Variant TEXT NULL,
  Rollout TEXT NULL,
  Why TEXT NULL,
  PRIMARY KEY (Device, Model)
) WITHOUT ROWID;
CREATE INDEX DeviceModelsServing ON DeviceModels (Model, Serving, Device);

CREATE TABLE Reports (
  Device TEXT NOT NULL,
  Sequence INTEGER NOT NULL,
  At INTEGER NOT NULL,
  ReceivedAt INTEGER NOT NULL,
  Kind TEXT NOT NULL,
  Model TEXT NOT NULL,
  Release TEXT NOT NULL,
  Variant TEXT NULL,
  Rollout TEXT NULL,
  Attempt INTEGER NOT NULL,
  Why TEXT NULL,
  BytesFetched INTEGER NULL,
  BytesTotal INTEGER NULL,
  Measures TEXT NULL,
  PRIMARY KEY (Device, Sequence)
) WITHOUT ROWID;

-- Serial: of the model's rollout plan; 0 while there is none.
CREATE TABLE Models (
  Name TEXT PRIMARY KEY,
  Serial INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE Releases (
  Model TEXT NOT NULL,
  Version TEXT NOT NULL,
  Digest TEXT NOT NULL,
  Manifest BLOB NOT NULL,
  Variants TEXT NOT NULL,
  Length INTEGER NOT NULL,
  PublishedAt INTEGER NOT NULL,
  PublishedBy TEXT NOT NULL,
  RevokedAt INTEGER NULL,
  RevokedBy TEXT NULL,
  RevokedWhy TEXT NULL,
  PRIMARY KEY (Model, Version)
);

CREATE TABLE Rollouts (
  Number INTEGER PRIMARY KEY AUTOINCREMENT,
  Model TEXT NOT NULL,
  Release TEXT NOT NULL,
  Digest TEXT NOT NULL,
  Salt TEXT NOT NULL,
  Selector TEXT NOT NULL,
  Phases TEXT NOT NULL,
  Windows TEXT NOT NULL,
  Phase INTEGER NOT NULL,
  State TEXT NOT NULL,
  Attempt INTEGER NOT NULL,
  MaxFailures INTEGER NOT NULL,
  OnFailure TEXT NOT NULL,
  StartedAt INTEGER NOT NULL,
  StartedBy TEXT NOT NULL,
  PhaseSince INTEGER NOT NULL,
  Why TEXT NOT NULL
);
CREATE INDEX RolloutsByModel ON Rollouts (Model, Number);
CREATE UNIQUE INDEX RolloutsRunning ON Rollouts (Model) WHERE State = 'Running';

-- Each device once, by its latest report; Phase is the one in which that report came.
CREATE TABLE RolloutDevices (
  Rollout INTEGER NOT NULL,
  Device TEXT NOT NULL,
  Sequence INTEGER NOT NULL,
  Attempt INTEGER NOT NULL,
  Phase INTEGER NOT NULL,
  Kind TEXT NOT NULL,
  At INTEGER NOT NULL,
  Variant TEXT NULL,
  Why TEXT NULL,
  BytesFetched INTEGER NULL,
  BytesTotal INTEGER NULL,
  Measures TEXT NULL,
  PRIMARY KEY (Rollout, Device)
) WITHOUT ROWID;
CREATE INDEX RolloutDevicesByKind ON RolloutDevices (Rollout, Kind, Attempt, Phase);

CREATE TABLE Events (
  Id INTEGER PRIMARY KEY AUTOINCREMENT,
  At INTEGER NOT NULL,
  Kind TEXT NOT NULL,
  "By" TEXT NOT NULL,
  Why TEXT NOT NULL,
  Model TEXT NULL,
  Release TEXT NULL,
  Rollout TEXT NULL,
  Device TEXT NULL
);
