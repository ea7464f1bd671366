namespace Coppice.Delta;

/// <summary>Writes the records of a patch.</summary>
sealed class PatchWriter(Stream patch)
{
    readonly RecordWriter head = new();

    /// <summary>Bytes written so far.</summary>
    public long Position { get; private set; }

    public void Header(PatchHeader header)
    {
        using var bytes = new MemoryStream();
        header.WriteTo(bytes);
        bytes.WriteTo(patch);
        Position += bytes.Length;
    }

    /// <param name="kind">The kind.</param>
    /// <param name="payload">At most <see cref="PatchLimits.MostPayload"/> bytes.</param>
    /// <param name="sum">Checksum of what the record makes; of the payload when it makes nothing.</param>
    public void Record(RecordKind kind, ReadOnlySpan<byte> payload, uint? sum = null)
    {
        head.Clear();
        head.Byte((byte)kind);
        head.Number(payload.Length);
        patch.Write(head.Written);
        patch.Write(payload);
        var length = head.Length;
        head.Clear();
        head.UInt32(sum ?? Checksum.Of(payload));
        patch.Write(head.Written);
        Position += length + payload.Length + 4;
    }
}
