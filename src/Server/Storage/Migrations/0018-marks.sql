-- Facts and labels by their values, so that devices are found by them; without what every agent measures (Core/Fleet/DeviceMark).
CREATE TABLE DeviceMarks (
    Name TEXT NOT NULL,
    Value TEXT NOT NULL,
    Device TEXT NOT NULL,
    PRIMARY KEY (Name, Value, Device)
) WITHOUT ROWID;
INSERT INTO DeviceMarks (Name, Value, Device)
    SELECT one.key, one.value, Devices.Id FROM Devices, json_each(Devices.Facts) AS one
    WHERE one.key NOT IN ('accelerators', 'agent', 'app', 'arch', 'cpus', 'disk.free', 'os', 'ram', 'ram.free', 'ram.total', 'withheld') AND SUBSTR(one.key, 1, 8) <> 'runtime.';
INSERT INTO DeviceMarks (Name, Value, Device)
    SELECT 'label.' || one.key, one.value, Devices.Id FROM Devices, json_each(Devices.Labels) AS one;
