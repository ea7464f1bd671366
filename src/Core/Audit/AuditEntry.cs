using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Coppice.Trust;

namespace Coppice.Audit;

/// <summary>Something that happened, as the audit log keeps it. The byte-exact form is specified in docs/formats/audit.md.</summary>
/// <param name="Id">1 and up, without a gap but before an entry that tells of a restore.</param>
/// <param name="At">Milliseconds since 1970 by the server's clock.</param>
/// <param name="Kind">What happened: <c>rolloutStarted</c>.</param>
/// <param name="By">Who did it, as people call them; <c>coppice</c> when the server acted by itself.</param>
/// <param name="Why">In words for a person; may be empty.</param>
public sealed record AuditEntry(long Id, long At, string Kind, string By, string Why)
{
    const string Mark = "coppice-audit-entry-1\n";

    /// <summary>Who did it, whatever they showed: <c>operator:alice</c>. Null for the server.</summary>
    public string? Subject { get; init; }

    /// <summary>What they showed: <c>token ID</c> or <c>sign-in</c>.</summary>
    public string? Credential { get; init; }

    /// <summary>The address they came from.</summary>
    public string? Origin { get; init; }

    /// <summary>The model it is about.</summary>
    public string? Model { get; init; }

    /// <summary>The release it is about.</summary>
    public string? Release { get; init; }

    /// <summary>The rollout it is about.</summary>
    public string? Rollout { get; init; }

    /// <summary>The device it is about.</summary>
    public string? Device { get; init; }

    /// <summary>What was otherwise before and after.</summary>
    public ImmutableArray<AuditChange> Changes { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>The entry's hash: SHA-256 over a mark, the hash of the entry before and the members in their order, each as a netstring.</summary>
    /// <param name="previous">Of the entry before; <see cref="AuditChain.Start"/> for the first.</param>
    public Sha256Digest HashAfter(Sha256Digest previous)
    {
        var bytes = new ArrayBufferWriter<byte>(512);
        bytes.Write(Encoding.ASCII.GetBytes(Mark));
        Netstring.Write(bytes, previous.ToString());
        Netstring.Write(bytes, Id.ToString(CultureInfo.InvariantCulture));
        Netstring.Write(bytes, At.ToString(CultureInfo.InvariantCulture));
        foreach (var text in (ReadOnlySpan<string?>)[Kind, By, Why, Subject, Credential, Origin, Model, Release, Rollout, Device])
            Netstring.Write(bytes, text);
        Netstring.Write(bytes, Changes.Length.ToString(CultureInfo.InvariantCulture));
        foreach (var change in Changes)
        {
            Netstring.Write(bytes, change.What);
            Netstring.Write(bytes, change.Before);
            Netstring.Write(bytes, change.After);
        }

        return Sha256Digest.Of(bytes.WrittenSpan);
    }
}

/// <summary>A value that an act changed.</summary>
/// <param name="What">Where: <c>rollouts/7/state</c>.</param>
/// <param name="Before">Null when there was none.</param>
/// <param name="After">Null when there is none.</param>
public sealed record AuditChange(string What, string? Before = null, string? After = null);

/// <summary>Text as its length in bytes of UTF-8, a colon, the bytes and a comma, after D. J. Bernstein's netstrings; a minus sign where there is none.</summary>
static class Netstring
{
    public static void Write(ArrayBufferWriter<byte> to, string? text)
    {
        if (text is null)
        {
            to.Write("-"u8);
            return;
        }

        var bytes = Encoding.UTF8.GetBytes(text);
        to.Write(Encoding.ASCII.GetBytes(bytes.Length.ToString(CultureInfo.InvariantCulture)));
        to.Write(":"u8);
        to.Write(bytes);
        to.Write(","u8);
    }
}
