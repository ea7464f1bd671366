using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Coppice.Trust;

/// <summary>A device's request for a certificate, PKCS#10, as it was found good: signed by the very key it names.</summary>
/// <param name="Device">The common name.</param>
/// <param name="Key">The device's signing key.</param>
public sealed record DeviceRequest(string Device, DevicePublicKey Key)
{
    /// <summary>Most bytes of a request; one of P-256 with a name has some 250.</summary>
    public const int MaxBytes = 2048;

    /// <summary>Most characters of a device's id.</summary>
    public const int MaxDevice = 64;

    /// <summary>Whether a text is a device's id: 1 to 64 of a-z, 0-9, '-', '_', '.', and not <c>.</c> or <c>..</c>.</summary>
    public static bool IsDevice([NotNullWhen(true)] string? text) =>
        text is { Length: > 0 and <= MaxDevice } and not ("." or "..") && text.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.');

    /// <summary>The name in a device's certificate: the common name alone.</summary>
    public static X500DistinguishedName NameOf(string device)
    {
        var name = new X500DistinguishedNameBuilder();
        name.AddCommonName(device);
        return name.Build();
    }

    /// <summary>The common name of a name that holds nothing else; null for any other.</summary>
    public static string? DeviceOf(X500DistinguishedName name)
    {
        ArgumentNullException.ThrowIfNull(name);
        string? found = null;
        var parts = 0;
        foreach (var part in name.EnumerateRelativeDistinguishedNames())
        {
            if (++parts > 1 || part.HasMultipleElements || part.GetSingleElementType().Value != "2.5.4.3")
                return null;
            found = part.GetSingleElementValue();
        }

        return found;
    }

    /// <summary>Reads a request whose bytes nobody has vouched for, and verifies its signature.</summary>
    /// <param name="der">The request.</param>
    /// <param name="request">Null when it is none.</param>
    /// <param name="problem">What is wrong; empty when nothing is.</param>
    public static bool TryRead(ReadOnlySpan<byte> der, [NotNullWhen(true)] out DeviceRequest? request, out string problem)
    {
        request = null;
        if (der.Length is 0 or > MaxBytes)
        {
            problem = $"{der.Length} bytes; give a PKCS#10 request of 1 to {MaxBytes}.";
            return false;
        }

        try
        {
            var read = CertificateRequest.LoadSigningRequest(der, HashAlgorithmName.SHA256, out var consumed, CertificateRequestLoadOptions.Default);
            if (consumed != der.Length)
                problem = $"{der.Length - consumed} bytes follow the request; give it alone.";
            else if (!DevicePublicKey.TryRead(read.PublicKey.ExportSubjectPublicKeyInfo(), out var key))
                problem = "its key is not on P-256, or its curve is not named; make a P-256 key.";
            else if (DeviceOf(read.SubjectName) is not { } device || !IsDevice(device))
                problem = "its subject is not a device's id as common name and nothing else.";
            else
            {
                request = new(device, key);
                problem = "";
            }
        }
        // Whatever the platform finds in bytes of strangers: not DER, another version, a signature that does not verify.
        catch (Exception e) when (e is CryptographicException or ArgumentException or NotSupportedException or FormatException)
        {
            problem = $"it is no PKCS#10 request signed by its own key ({e.Message})";
        }

        return request is not null;
    }
}
