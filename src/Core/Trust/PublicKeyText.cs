using System.Security.Cryptography;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>A public key as a text file that people carry: two lines that say whose it is, then PEM.</summary>
/// <remarks>
/// <code>
/// # coppice key: root alice
/// # key id 3f0c…
/// -----BEGIN PUBLIC KEY-----
/// </code>
/// Only the PEM counts. The name is a hint; what proves a key is its id, which two people can compare by voice.
/// </remarks>
public static class PublicKeyText
{
    /// <summary>The field of a key in metadata that holds its name. No part of the key id.</summary>
    public const string NameField = "x-coppice-name";

    /// <summary>Longest name of a key, in characters.</summary>
    public const int MostName = 64;

    const string NameLine = "# coppice key: ";
    const string IdLine = "# key id ";
    const string NoName = "(no name)";

    /// <summary>The text of a public key.</summary>
    public static string Write(PublicKey key) =>
        $"{Heading(key)}{key.Value.TrimEnd('\n')}\n";

    internal static string Heading(PublicKey key) => $"{NameLine}{Shown(key.Name) ?? NoName}\n{IdLine}{key.ComputeKeyId()}\n";

    /// <summary>The key id that a key's file gives in its second line, without opening the key; null when it gives none.</summary>
    /// <remarks>A hint, as the name is: it helps to find the file of a key, and proves nothing.</remarks>
    public static string? IdIn(string text)
    {
        var at = text.IndexOf("\n" + IdLine, StringComparison.Ordinal);
        if (at < 0 || !text.StartsWith(NameLine, StringComparison.Ordinal))
            return null;
        var id = text.AsSpan(at + 1 + IdLine.Length);
        return id.Length >= Sha256Digest.HexLength && Sha256Digest.TryParse(id[..Sha256Digest.HexLength], out var digest) ? digest.ToString() : null;
    }

    /// <summary>Reads a public key; a certificate or a private key is refused.</summary>
    /// <param name="text">PEM, with or without the lines before it.</param>
    /// <exception cref="CryptographicException">It holds no P-256 public key.</exception>
    public static PublicKey Read(string text)
    {
        if (text.Contains("PRIVATE KEY", StringComparison.Ordinal))
            throw new CryptographicException("The file holds a private key, which nobody else should see; give the public key, the file that ends in .pub.");
        using var key = ECDsa.Create();
        try
        {
            key.ImportFromPem(text);
            return Of(key, NameIn(text));
        }
        catch (Exception unreadable) when (unreadable is ArgumentException or CryptographicException)
        {
            throw new CryptographicException($"The file holds no P-256 public key in PEM ({unreadable.Message}); give the .pub file that 'coppice key create' wrote.", unreadable);
        }
    }

    /// <summary>A name that is safe to show and to sign: printable ASCII, at most <see cref="MostName"/>; null for everything else.</summary>
    public static string? Shown(string? name) =>
        name is { Length: > 0 and <= MostName } && name.AsSpan().IndexOfAnyExceptInRange(' ', '~') < 0 ? name : null;

    internal static PublicKey Of(ECDsa key, string? name)
    {
        if (key.ExportParameters(includePrivateParameters: false).Curve.Oid.Value != ECCurve.NamedCurves.nistP256.Oid.Value)
            throw new CryptographicException("The key is not on P-256; make one with 'coppice key create'.");
        // The key id is over this very text: the line break at the end is securesystemslib's.
        return new PublicKey("ecdsa", "ecdsa-sha2-nistp256", key.ExportSubjectPublicKeyInfoPem() + "\n") { Name = Shown(name) };
    }

    /// <summary>The name that the first line of a key's file gives; null when it gives none.</summary>
    public static string? NameIn(string text)
    {
        if (!text.StartsWith(NameLine, StringComparison.Ordinal))
            return null;
        var name = text.AsSpan(NameLine.Length);
        var end = name.IndexOfAny('\n', '\r');
        var line = (end < 0 ? name : name[..end]).Trim().ToString();
        return line == NoName ? null : Shown(line);
    }

    // A name that is not to be shown is as good as none: it must not make a whole repository unreadable.
    internal static string? ReadName(MetadataReader reader, JsonElement key) =>
        MetadataReader.Optional(key, NameField) is { ValueKind: JsonValueKind.String } name ? Shown(reader.Text(name)) : null;
}
