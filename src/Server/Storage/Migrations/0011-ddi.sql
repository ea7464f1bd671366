-- Tokens by which devices that speak hawkBit's device API come in: one device's, or a gateway's for many.
CREATE TABLE DdiTokens (
  Id TEXT PRIMARY KEY,
  Hash TEXT NOT NULL UNIQUE,
  Device TEXT NULL,
  Models TEXT NOT NULL,
  Labels TEXT NOT NULL,
  MaxDevices INTEGER NOT NULL,
  CreatedAt INTEGER NOT NULL,
  CreatedBy TEXT NOT NULL,
  RevokedAt INTEGER NULL,
  RevokedBy TEXT NULL
) WITHOUT ROWID;

CREATE TABLE DdiDevices (
  Device TEXT PRIMARY KEY,
  Token TEXT NOT NULL,
  ToldAt INTEGER NULL
) WITHOUT ROWID;
CREATE INDEX DdiDevicesByToken ON DdiDevices (Token);

-- What a device was told to do; its number is the action's id in the API.
CREATE TABLE DdiActions (
  Number INTEGER PRIMARY KEY AUTOINCREMENT,
  Device TEXT NOT NULL,
  Model TEXT NOT NULL,
  Rollout TEXT NOT NULL,
  Attempt INTEGER NOT NULL,
  Release TEXT NOT NULL,
  Variant TEXT NOT NULL,
  State TEXT NOT NULL,
  Begun BOOLEAN NOT NULL,
  Kept BOOLEAN NOT NULL,
  Consent BOOLEAN NULL,
  OpenedAt INTEGER NOT NULL,
  ChangedAt INTEGER NOT NULL,
  Said TEXT NULL
);
CREATE INDEX DdiActionsByDevice ON DdiActions (Device, State);

-- The digests that the API asks for beside SHA-256, worked out once.
CREATE TABLE DdiDigests (
  Blob TEXT PRIMARY KEY,
  Sha1 TEXT NOT NULL,
  Md5 TEXT NOT NULL
) WITHOUT ROWID;
