using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Coppice.Trust;

namespace Coppice.Server.Backups;

/// <summary>What stands in the clear at the beginning of a backup: how the rest is opened.</summary>
/// <param name="Schema">Of the file's form; this code writes and reads 1.</param>
/// <param name="Sealed">Whether the rest is encrypted.</param>
sealed record BackupHeading(int Schema, bool Sealed)
{
    public const int CurrentSchema = 1;

    /// <summary>The content key, granted to each public key that may open the file.</summary>
    public ImmutableArray<byte[]> Grants { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>PKCS#8 PEM of one of those keys, encrypted under a password; null when none opens the file.</summary>
    public string? Key { get; init; }
}

/// <summary>What a backup is of: its first frame.</summary>
/// <param name="At">When its moment was, by the server's clock.</param>
/// <param name="Program">Version of the program that wrote it.</param>
/// <param name="Place">The database it is of, for people.</param>
/// <param name="Stopped">Whether no server ran: nothing can have happened after it.</param>
/// <param name="Keys">Whether it holds the server's keys.</param>
/// <param name="Blobs">Whether it holds files of releases.</param>
/// <param name="Migrations">Those that made its tables.</param>
/// <param name="Next">The number that the next row of each table is given that has them numbered.</param>
/// <param name="Version">The highest version of what the online keys sign.</param>
/// <param name="Roles">The version of each role that offline keys sign.</param>
sealed record BackupHeader(
    DateTimeOffset At, string Program, string Place, bool Stopped, bool Keys, bool Blobs, ImmutableArray<string> Migrations, ImmutableSortedDictionary<string, long> Next,
    long Version, ImmutableSortedDictionary<string, long> Roles);

/// <summary>A file that comes next, in frames of its bytes.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Path">In the tree, or in the data folder, with '/'.</param>
/// <param name="Length">Bytes.</param>
sealed record BackupFile(BackupFileKind Kind, string Path, long Length);

enum BackupFileKind
{
    /// <summary>A key, or a certificate, of the data folder.</summary>
    Key,

    /// <summary>A small file of the signed tree.</summary>
    Tree,

    /// <summary>A file of a release.</summary>
    Blob,
}

/// <summary>How a backup ends.</summary>
/// <param name="Rows">Rows, of all tables.</param>
/// <param name="Files">Files.</param>
/// <param name="Sha256">Of all that is before this frame and behind the heading, in the clear.</param>
sealed record BackupEnd(long Rows, long Files, Sha256Digest Sha256);

/// <summary>A backup cannot be made, read or put back; says why and what to do. Nothing was changed.</summary>
public sealed class BackupException(string message, Exception? inner = null) : Exception(message, inner);

[JsonSourceGenerationOptions(
    System.Text.Json.JsonSerializerDefaults.Web, NumberHandling = JsonNumberHandling.Strict, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    Converters = [typeof(Protocol.Sha256DigestConverter), typeof(Protocol.NamedEnum<BackupFileKind>)])]
[JsonSerializable(typeof(BackupHeading))]
[JsonSerializable(typeof(BackupHeader))]
[JsonSerializable(typeof(BackupFile))]
[JsonSerializable(typeof(BackupEnd))]
sealed partial class BackupContext : JsonSerializerContext;
