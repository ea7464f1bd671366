using System.Buffers.Binary;

namespace Coppice.Delta;

/// <summary>What makes patching in place safe: new bytes are here before they are in the target, and old ones that are still needed stay here.</summary>
/// <remarks>
/// Two slots take turns, so that one is whole whatever happens: number, progress, and where the last group's bytes are. Two areas
/// hold the new bytes of the last two groups. Old bytes follow, each run with its offset and length in front.
/// </remarks>
sealed class Journal(IPatchFile file, ReadOnlySpan<byte> identity)
{
    public const int IdentityBytes = 16;

    /// <summary>Bytes of a group of records: 1 MiB is gathered, and the last record may add as much.</summary>
    public const int AreaBytes = 2 << 20;

    const int SlotBytes = 4096;
    const int SlotUsed = 76;
    const int AreasAt = 2 * SlotBytes;
    const int KeptAt = AreasAt + 2 * AreaBytes;
    const int KeptHead = 16;

    readonly byte[] identity = identity.ToArray();
    readonly List<(long Offset, long Length, long At)> kept = [];
    long number;
    long keptEnd = KeptAt;

    /// <summary>Length that the journal would have with so many more old bytes.</summary>
    public long LengthWith(long more) => keptEnd + (more == 0 ? 0 : KeptHead + more);

    /// <summary>Starts over.</summary>
    public void Begin()
    {
        file.SetLength(0);
        file.Flush();
        (number, keptEnd) = (0, KeptAt);
        kept.Clear();
    }

    /// <summary>Puts the last group into the target once more, and says how far it went; null when there is none of this patch.</summary>
    public PatchProgress? Recover(IPatchFile target)
    {
        var (a, b) = (ReadSlot(0), ReadSlot(1));
        if ((a ?? b) is null)
            return null;
        var slot = a is null || b is not null && b.Number > a.Number ? b! : a;
        var bytes = new byte[slot.Length];
        file.Read(AreaOf(slot.Number), bytes);
        if (Checksum.Of(bytes) != slot.Sum)
            throw new IOException("the journal is damaged, and the file it belongs to may be half changed; fetch the whole file.");
        (number, keptEnd) = (slot.Number, slot.KeptEnd);
        ReadKept();
        target.Write(slot.Offset, bytes);
        target.Flush();
        return new(slot.Records, slot.Offset + slot.Length);
    }

    /// <summary>Keeps old bytes that a later record needs.</summary>
    public void Keep(long offset, ReadOnlySpan<byte> old)
    {
        Span<byte> head = stackalloc byte[KeptHead];
        BinaryPrimitives.WriteInt64LittleEndian(head, offset);
        BinaryPrimitives.WriteInt64LittleEndian(head[8..], old.Length);
        file.Write(keptEnd, head);
        file.Write(keptEnd + KeptHead, old);
        kept.Add((offset, old.Length, keptEnd + KeptHead));
        keptEnd += KeptHead + old.Length;
    }

    /// <summary>Makes a group durable; it may go to the target then.</summary>
    public void Write(PatchProgress progress, ReadOnlySpan<byte> made)
    {
        number++;
        file.Write(AreaOf(number), made);
        file.Flush();
        var slot = new byte[SlotUsed];
        BinaryPrimitives.WriteInt64LittleEndian(slot, number);
        BinaryPrimitives.WriteInt64LittleEndian(slot.AsSpan(8), progress.Frames);
        BinaryPrimitives.WriteInt64LittleEndian(slot.AsSpan(16), progress.NewOffset - made.Length);
        BinaryPrimitives.WriteInt64LittleEndian(slot.AsSpan(24), made.Length);
        BinaryPrimitives.WriteInt64LittleEndian(slot.AsSpan(32), keptEnd);
        BinaryPrimitives.WriteUInt32LittleEndian(slot.AsSpan(40), Checksum.Of(made));
        identity.CopyTo(slot, 44);
        BinaryPrimitives.WriteUInt32LittleEndian(slot.AsSpan(SlotUsed - 4), Checksum.Of(slot.AsSpan(0, SlotUsed - 4)));
        file.Write(number % 2 * SlotBytes, slot);
        file.Flush();
    }

    /// <summary>Reads old bytes that were overwritten in the target.</summary>
    public void ReadOld(long offset, Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            var run = Find(offset);
            if (run < 0)
                throw new IOException($"old byte {offset} was not kept; the journal belongs to another patch.");
            var (start, length, at) = kept[run];
            var count = (int)Math.Min(into.Length, start + length - offset);
            file.Read(at + offset - start, into[..count]);
            offset += count;
            into = into[count..];
        }
    }

    /// <summary>Runs are kept in rising order of their offset.</summary>
    int Find(long offset)
    {
        var (low, high) = (0, kept.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (offset < kept[middle].Offset)
                high = middle - 1;
            else if (offset >= kept[middle].Offset + kept[middle].Length)
                low = middle + 1;
            else
                return middle;
        }
        return -1;
    }

    static long AreaOf(long number) => AreasAt + number % 2 * AreaBytes;

    void ReadKept()
    {
        Span<byte> head = stackalloc byte[KeptHead];
        for (long at = KeptAt; at < keptEnd;)
        {
            file.Read(at, head);
            var (offset, length) = (BinaryPrimitives.ReadInt64LittleEndian(head), BinaryPrimitives.ReadInt64LittleEndian(head[8..]));
            kept.Add((offset, length, at + KeptHead));
            at += KeptHead + length;
        }
    }

    Slot? ReadSlot(int index)
    {
        if (file.Length < index * SlotBytes + SlotUsed)
            return null;
        var slot = new byte[SlotUsed];
        file.Read(index * SlotBytes, slot);
        if (BinaryPrimitives.ReadUInt32LittleEndian(slot.AsSpan(SlotUsed - 4)) != Checksum.Of(slot.AsSpan(0, SlotUsed - 4))
            || !slot.AsSpan(44, IdentityBytes).SequenceEqual(identity))
            return null;
        return new(
            BinaryPrimitives.ReadInt64LittleEndian(slot), BinaryPrimitives.ReadInt64LittleEndian(slot.AsSpan(8)),
            BinaryPrimitives.ReadInt64LittleEndian(slot.AsSpan(16)), (int)BinaryPrimitives.ReadInt64LittleEndian(slot.AsSpan(24)),
            BinaryPrimitives.ReadInt64LittleEndian(slot.AsSpan(32)), BinaryPrimitives.ReadUInt32LittleEndian(slot.AsSpan(40)));
    }

    /// <param name="Number">Of the group, from 1.</param>
    /// <param name="Records">Producing records up to its end.</param>
    /// <param name="Offset">Of its first byte in the target.</param>
    /// <param name="Length">Its bytes.</param>
    /// <param name="KeptEnd">Where the kept old bytes end in the journal.</param>
    /// <param name="Sum">Checksum of its bytes.</param>
    sealed record Slot(long Number, long Records, long Offset, int Length, long KeptEnd, uint Sum);
}
