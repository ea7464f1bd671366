-- A device proves itself by the key it made, which is certified.
ALTER TABLE Devices DROP COLUMN KeyHash;
ALTER TABLE Devices ADD COLUMN SigningKey TEXT NOT NULL DEFAULT '';
ALTER TABLE Devices ADD COLUMN CertificateExpires INTEGER NULL;
ALTER TABLE Devices ADD COLUMN RevokedAt INTEGER NULL;
ALTER TABLE Devices ADD COLUMN RevokedWhy TEXT NULL;
-- SuspectSince: two installations have this identity. Sendings: the latest ones, to notice that.
ALTER TABLE Devices ADD COLUMN Suspect TEXT NULL;
ALTER TABLE Devices ADD COLUMN SuspectSince INTEGER NULL;
ALTER TABLE Devices ADD COLUMN Sendings TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX DevicesBySigningKey ON Devices (SigningKey);

-- Set: the only id that may join by the token.
ALTER TABLE JoinTokens ADD COLUMN Device TEXT NULL;

-- Certificates until they have expired.
CREATE TABLE Certificates (
  Serial TEXT PRIMARY KEY,
  Device TEXT NOT NULL,
  Authority INTEGER NOT NULL,
  IssuedAt INTEGER NOT NULL,
  ExpiresAt INTEGER NOT NULL,
  RevokedAt INTEGER NULL,
  Pem TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX CertificatesByDevice ON Certificates (Device, ExpiresAt);
CREATE INDEX CertificatesRevoked ON Certificates (RevokedAt) WHERE RevokedAt IS NOT NULL;

-- Devices that ask to be accepted; bounded, for anybody can ask.
CREATE TABLE WaitingDevices (
  Device TEXT NOT NULL,
  SigningKey TEXT NOT NULL,
  SealingKey TEXT NOT NULL,
  Digest TEXT NOT NULL,
  Facts TEXT NOT NULL,
  Address TEXT NOT NULL,
  AskedAt INTEGER NOT NULL,
  LastAsked INTEGER NOT NULL,
  RejectedAt INTEGER NULL,
  PRIMARY KEY (Device, SigningKey)
) WITHOUT ROWID;
CREATE INDEX WaitingDevicesByTime ON WaitingDevices (LastAsked);

-- Devices that may join without a token: by id, by the digest of the signing key, or by both.
CREATE TABLE AuthorisedDevices (
  Id INTEGER PRIMARY KEY AUTOINCREMENT,
  Device TEXT NULL,
  Digest TEXT NULL,
  Labels TEXT NOT NULL,
  AddedAt INTEGER NOT NULL,
  AddedBy TEXT NOT NULL
);
CREATE UNIQUE INDEX AuthorisedDevicesByDevice ON AuthorisedDevices (Device) WHERE Device IS NOT NULL;
CREATE UNIQUE INDEX AuthorisedDevicesByDigest ON AuthorisedDevices (Digest) WHERE Digest IS NOT NULL;
