using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Core.Tests.Protocol;

public sealed class DeviceListWriteTests
{
    [Fact]
    public void What_is_written_reads_back_the_same()
    {
        AuthorisedDevice[] devices =
        [
            new() { Device = "till-1", Key = Sha256Digest.Of("1"u8), Labels = ImmutableDictionary<string, string>.Empty.Add("site", "Oslo, \"S\"").Add("note", "a\nb") },
            new() { Device = "till-2", Labels = ImmutableDictionary<string, string>.Empty.Add("ring", "2") },
        ];
        Assert.True(DeviceList.TryWrite(devices, out var text));
        Assert.StartsWith("device,key,label.note,label.ring,label.site\r\n", text);
        Assert.True(DeviceList.TryRead(text, out var read, out _));
        Assert.Equal(devices.Select(Shown), read.Select(Shown));

        static string Shown(AuthorisedDevice device) => $"{device.Device} {device.Key} {string.Join(';', device.Labels.OrderBy(label => label.Key, StringComparer.Ordinal))}";
    }

    [Fact]
    public void More_labels_than_columns_are_not_written()
    {
        Assert.False(DeviceList.TryWrite([new() { Device = "a", Labels = Enumerable.Range(0, 39).ToImmutableDictionary(i => $"l{i}", _ => "x") }], out var text));
        Assert.Empty(text);
    }
}
