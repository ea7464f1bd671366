-- What a device says of a release that runs beside the serving one and answers nobody.
ALTER TABLE Reports ADD COLUMN Shadow BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE RolloutDevices ADD COLUMN Shadow BOOLEAN NOT NULL DEFAULT FALSE;
