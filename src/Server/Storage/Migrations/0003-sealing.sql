ALTER TABLE Devices ADD COLUMN SealingKey TEXT NOT NULL DEFAULT '';

-- Models whose releases must be sealed, and which devices are given their keys: a selector on labels; empty for every device.
CREATE TABLE SealedModels (
  Model TEXT PRIMARY KEY,
  Selector TEXT NOT NULL,
  SetAt INTEGER NOT NULL,
  SetBy TEXT NOT NULL
) WITHOUT ROWID;

-- Content keys, each sealed to one of the server's own sealing keys, whose files are elsewhere.
CREATE TABLE ContentKeys (
  Key TEXT PRIMARY KEY,
  Model TEXT NOT NULL,
  SealedTo TEXT NOT NULL,
  "Grant" BLOB NOT NULL,
  AddedAt INTEGER NOT NULL,
  AddedBy TEXT NOT NULL
);
CREATE INDEX ContentKeysByModel ON ContentKeys (Model);

-- Which device was first given which key, and when.
CREATE TABLE KeyGrants (
  Device TEXT NOT NULL,
  Key TEXT NOT NULL,
  Model TEXT NOT NULL,
  At INTEGER NOT NULL,
  PRIMARY KEY (Device, Key)
) WITHOUT ROWID;
CREATE INDEX KeyGrantsByModel ON KeyGrants (Model, Device);
