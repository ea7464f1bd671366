-- Reports lie by the week in which they came (of 604,800,000 ms, from 1970 on), so that a week is forgotten as a whole: on PostgreSQL as a table of its own, on SQLite from one end.
-- That none is kept twice is told by the numbers of each device, not by the rows.
ALTER TABLE Devices ADD COLUMN Kept TEXT NOT NULL DEFAULT '';
UPDATE Devices SET Kept = COALESCE((
  SELECT string_agg(First || '-' || Last, ' ' ORDER BY First) FROM (
    SELECT MIN(Sequence) AS First, MAX(Sequence) AS Last FROM (
      SELECT Sequence, Sequence - ROW_NUMBER() OVER (ORDER BY Sequence) AS Run FROM Reports WHERE Reports.Device = Devices.Id) AS Numbered
    GROUP BY Run) AS Runs), '') WHERE Highest > 0;
ALTER TABLE Devices DROP COLUMN Highest;

ALTER TABLE Reports RENAME TO ReportsBefore;
CREATE TABLE Reports (
  Week INTEGER NOT NULL,
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
  Shadow BOOLEAN NOT NULL DEFAULT FALSE,
  Why TEXT NULL,
  BytesFetched INTEGER NULL,
  BytesTotal INTEGER NULL,
  BytesByWay TEXT NULL,
  Measures TEXT NULL,
  PRIMARY KEY (Week, Device, Sequence)
) WITHOUT ROWID /*! PARTITION BY RANGE ("Week") */;
/*!
DO $$
DECLARE week bigint;
BEGIN
  FOR week IN SELECT DISTINCT "ReceivedAt" / 604800000 FROM "ReportsBefore" LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF "Reports" FOR VALUES FROM (%s) TO (%s)', 'Reports_' || to_char(to_timestamp(week * 604800) AT TIME ZONE 'UTC', 'YYYY_MM_DD'), week, week + 1);
  END LOOP;
END $$;
*/
INSERT INTO Reports (Week, Device, Sequence, At, ReceivedAt, Kind, Model, Release, Variant, Rollout, Attempt, Shadow, Why, BytesFetched, BytesTotal, BytesByWay, Measures)
  SELECT ReceivedAt / 604800000, Device, Sequence, At, ReceivedAt, Kind, Model, Release, Variant, Rollout, Attempt, Shadow, Why, BytesFetched, BytesTotal, BytesByWay, Measures FROM ReportsBefore
  ORDER BY ReceivedAt / 604800000, Device, Sequence;
DROP TABLE ReportsBefore;
