-- The highest number of a device's reports: where it is not beyond Through, no report is, and none need be looked for.
ALTER TABLE Devices ADD COLUMN Highest INTEGER NOT NULL DEFAULT 0;
UPDATE Devices SET Highest = (SELECT COALESCE(MAX(Sequence), 0) FROM Reports WHERE Reports.Device = Devices.Id);
