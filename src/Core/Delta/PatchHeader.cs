using System.Collections.Immutable;
using System.Security.Cryptography;

namespace Coppice.Delta;

/// <summary>What a patch begins with: which file it makes, and out of which.</summary>
/// <param name="NewLength">Bytes of the file that it makes.</param>
/// <param name="NewDigest">SHA-256 of that file.</param>
/// <param name="OldFiles">The files that it is applied to, in their order.</param>
public sealed record PatchHeader(long NewLength, ImmutableArray<byte> NewDigest, ImmutableArray<OldFile> OldFiles)
{
    const uint Magic = 0x33505043; // "CPP3"
    const int MostHeader = 4096;

    /// <summary>Bytes of all old files.</summary>
    public long OldLength => OldFiles.Sum(file => file.Length);

    internal void WriteTo(Stream patch)
    {
        var record = new RecordWriter();
        record.Number(NewLength);
        record.Bytes(NewDigest.AsSpan());
        record.Number(OldFiles.Length);
        foreach (var file in OldFiles)
        {
            record.Number(file.Length);
            record.Bytes(file.Digest.AsSpan());
        }
        var start = new RecordWriter();
        start.UInt32(Magic);
        start.Number(record.Length);
        start.Bytes(record.Written);
        start.UInt32(Checksum.Of(start.Written));
        patch.Write(start.Written);
    }

    /// <summary>Reads the header of a patch and leaves the stream behind it.</summary>
    /// <exception cref="MalformedPatchException">The stream is no patch, or its header is damaged.</exception>
    public static PatchHeader Read(Stream patch)
    {
        ArgumentNullException.ThrowIfNull(patch);
        return Read(new PatchReader(patch));
    }

    internal static PatchHeader Read(PatchReader patch)
    {
        var start = patch.Begin(Magic, MostHeader);
        var record = new RecordReader(start, patch.PayloadOffset);
        var newLength = record.Number(long.MaxValue / 4);
        var newDigest = record.Bytes(SHA256.HashSizeInBytes).ToImmutableArray();
        var count = (int)record.Number(PatchLimits.MostOldFiles);
        var files = ImmutableArray.CreateBuilder<OldFile>(count);
        var total = 0L;
        for (var i = 0; i < count; i++)
        {
            var file = new OldFile(record.Number(long.MaxValue / 4 - total), record.Bytes(OldFile.DigestBytes).ToImmutableArray());
            total += file.Length;
            files.Add(file);
        }
        record.End();
        return new(newLength, newDigest, files.MoveToImmutable());
    }
}

/// <summary>A file that a patch is applied to.</summary>
/// <param name="Length">Its bytes.</param>
/// <param name="Digest">The first 16 bytes of its SHA-256: enough to tell a wrong file by accident; the result is checked with all 32.</param>
public readonly record struct OldFile(long Length, ImmutableArray<byte> Digest)
{
    internal const int DigestBytes = 16;
}
