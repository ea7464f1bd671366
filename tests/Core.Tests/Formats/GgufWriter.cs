using System.Buffers;
using System.Text;

namespace Coppice.Core.Tests.Formats;

/// <summary>GGUF files, as wrong as a test wants them.</summary>
sealed class GgufWriter
{
    readonly ArrayBufferWriter<byte> pairs = new(), infos = new();
    int pairCount, tensorCount;

    public uint Version { get; init; } = 3;
    public int Alignment { get; init; } = 32;
    public ulong? SayTensors { get; init; }
    public ulong? SayPairs { get; init; }

    /// <summary>A key-value of a type, its bytes written as they are.</summary>
    public GgufWriter Pair(string key, uint type, params ReadOnlySpan<byte> value)
    {
        Text(pairs, key);
        pairs.Write(BitConverter.GetBytes(type));
        pairs.Write(value);
        pairCount++;
        return this;
    }

    public GgufWriter Pair(string key, string value) => Pair(key, 8, [.. BitConverter.GetBytes((ulong)value.Length), .. Encoding.UTF8.GetBytes(value)]);

    public GgufWriter Tensor(string name, uint type, ulong offset, params ReadOnlySpan<ulong> innermostFirst)
    {
        Text(infos, name);
        infos.Write(BitConverter.GetBytes((uint)innermostFirst.Length));
        foreach (var size in innermostFirst)
            infos.Write(BitConverter.GetBytes(size));
        infos.Write(BitConverter.GetBytes(type));
        infos.Write(BitConverter.GetBytes(offset));
        tensorCount++;
        return this;
    }

    public byte[] With(params ReadOnlySpan<byte> data)
    {
        var file = new ArrayBufferWriter<byte>();
        file.Write("GGUF"u8);
        file.Write(BitConverter.GetBytes(Version));
        file.Write(BitConverter.GetBytes(SayTensors ?? (ulong)tensorCount));
        file.Write(BitConverter.GetBytes(SayPairs ?? (ulong)pairCount));
        file.Write(pairs.WrittenSpan);
        file.Write(infos.WrittenSpan);
        while (file.WrittenCount % Alignment != 0)
            file.Write<byte>([0]);
        file.Write(data);
        return file.WrittenSpan.ToArray();
    }

    static void Text(ArrayBufferWriter<byte> to, string text)
    {
        to.Write(BitConverter.GetBytes((ulong)text.Length).AsSpan());
        to.Write(Encoding.UTF8.GetBytes(text).AsSpan());
    }
}
