using System.Buffers;
using System.Text;

namespace Coppice.Core.Tests.Formats;

/// <summary>Zip archives with stored entries, as PyTorch and MediaPipe write them, or as wrong as a test wants them.</summary>
sealed class ZipWriter
{
    readonly ArrayBufferWriter<byte> file = new(), directory = new();
    int count;

    /// <summary>Sizes and places in zip64 extra fields, as PyTorch writes for large files.</summary>
    public bool Zip64 { get; init; }

    public ZipWriter Add(string name, ReadOnlySpan<byte> data, ushort method = 0, uint? sayLocal = null, uint? saySize = null)
    {
        var local = (uint)file.WrittenCount;
        var size = saySize ?? (uint)data.Length;
        var nameBytes = Encoding.UTF8.GetBytes(name);
        Numbers(file, 0x04034B50u, (ushort)45, (ushort)0, method, 0u, 0u, size, size, (ushort)nameBytes.Length, (ushort)0);
        file.Write(nameBytes);
        file.Write(data);

        var extra = new ArrayBufferWriter<byte>();
        if (Zip64)
            Numbers(extra, (ushort)1, (ushort)24, (ulong)size, (ulong)size, (ulong)local);
        var shown = Zip64 ? uint.MaxValue : size;
        Numbers(
            directory, 0x02014B50u, (ushort)45, (ushort)45, (ushort)0, method, 0u, 0u, shown, shown, (ushort)nameBytes.Length,
            (ushort)extra.WrittenCount, (ushort)0, (ushort)0, (ushort)0, 0u, Zip64 ? uint.MaxValue : sayLocal ?? local);
        directory.Write(nameBytes);
        directory.Write(extra.WrittenSpan);
        count++;
        return this;
    }

    public byte[] End(ushort? sayCount = null, uint? sayOffset = null)
    {
        var offset = sayOffset ?? (uint)file.WrittenCount;
        file.Write(directory.WrittenSpan);
        if (Zip64)
        {
            var record = (ulong)file.WrittenCount;
            Numbers(file, 0x06064B50u, 44ul, (ushort)45, (ushort)45, 0u, 0u, (ulong)count, (ulong)count, (ulong)directory.WrittenCount, (ulong)offset);
            Numbers(file, 0x07064B50u, 0u, record, 1u);
        }
        var shown = Zip64 ? ushort.MaxValue : sayCount ?? (ushort)count;
        Numbers(file, 0x06054B50u, (ushort)0, (ushort)0, shown, shown, Zip64 ? uint.MaxValue : (uint)directory.WrittenCount, Zip64 ? uint.MaxValue : offset, (ushort)0);
        return file.WrittenSpan.ToArray();
    }

    static void Numbers(ArrayBufferWriter<byte> to, params ReadOnlySpan<object> numbers)
    {
        foreach (var number in numbers)
        {
            to.Write(number switch
            {
                ushort small => BitConverter.GetBytes(small),
                uint plain => BitConverter.GetBytes(plain),
                ulong large => BitConverter.GetBytes(large),
                _ => throw new ArgumentException($"{number.GetType()} is not written in zip headers.", nameof(numbers)),
            });
        }
    }
}
