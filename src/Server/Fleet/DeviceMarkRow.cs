using Coppice.Server.Storage;

namespace Coppice.Server.Fleet;

/// <summary>A fact or label of a device, kept by its value so that the devices that have it are found without a look at all. See <see cref="Coppice.Fleet.DeviceMark"/>.</summary>
sealed class DeviceMarkRow
{
    public required string Name { get; set; }
    public required string Value { get; set; }
    public required string Device { get; set; }

    public static TableShape Table { get; } = new("DeviceMarks", [new("Device", ColumnKind.Text), new("Name", ColumnKind.Text), new("Value", ColumnKind.Text)], ["Name", "Value", "Device"], null);

    public object?[] Values() => [Device, Name, Value];
}
