using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Coppice.Trust;

namespace Coppice.Protocol.Signatures;

/// <summary>How a device signs what it sends: RFC 9421 with its P-256 key over method, path, query, type and digest of the body.</summary>
/// <remarks>
/// Not over the authority: a mirror that carries a signed request on has another name than the server. Over the body by its digest,
/// so that the signature is checked before the body is read.
/// </remarks>
public static class DeviceSignature
{
    /// <summary>The label of the device's signature.</summary>
    public const string Label = "device";

    /// <summary>The tag, so that a signature made for something else proves nothing here.</summary>
    public const string Tag = "coppice-device";

    /// <summary>How far a device's clock may be from the server's.</summary>
    public static readonly TimeSpan ClockTolerance = TimeSpan.FromMinutes(5);

    static readonly ImmutableArray<string> Components = ["@method", "@path", "@query", "content-type", "content-digest"];

    /// <summary>The headers of a request that has a body.</summary>
    /// <param name="key">The device's signing key.</param>
    /// <param name="device">The device's id.</param>
    /// <param name="method">As it is sent: <c>POST</c>.</param>
    /// <param name="pathAndQuery">As it is sent: <c>/v1/reports</c>.</param>
    /// <param name="contentType">As it is sent.</param>
    /// <param name="body">The bytes that are sent.</param>
    /// <param name="now">By the device's clock.</param>
    /// <returns>Names and values, of <c>Content-Digest</c>, <c>Signature-Input</c> and <c>Signature</c>.</returns>
    public static ImmutableArray<KeyValuePair<string, string>> Sign(
        DeviceKey key, string device, string method, string pathAndQuery, string contentType, ReadOnlySpan<byte> body, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(key);
        var digest = ContentDigest.Of(body);
        var written = string.Create(
            CultureInfo.InvariantCulture, $"({string.Join(' ', Components.Select(name => $"\"{name}\""))});created={now.ToUnixTimeSeconds()};keyid=\"{device}\";alg=\"ecdsa-p256-sha256\";tag=\"{Tag}\"");
        var signed = new SignatureInput(Label, Components, written).Base(name => ValueOf(name, method, pathAndQuery, contentType, digest))!;
        return
        [
            new(ContentDigest.Header, digest),
            new(SignatureInput.Header, $"{Label}={written}"),
            new(SignatureInput.SignatureHeader, $"{Label}=:{Convert.ToBase64String(key.Sign(signed))}:"),
        ];
    }

    /// <summary>The value of a component of a request; null when no such component is signed.</summary>
    public static string? ValueOf(string component, string method, string pathAndQuery, string? contentType, string? contentDigest)
    {
        ArgumentNullException.ThrowIfNull(pathAndQuery);
        var query = pathAndQuery.IndexOf('?', StringComparison.Ordinal);
        return component switch
        {
            "@method" => method,
            "@path" => query < 0 ? pathAndQuery : pathAndQuery[..query],
            "@query" => query < 0 ? "?" : pathAndQuery[query..],
            "content-type" => contentType,
            "content-digest" => contentDigest,
            _ => null,
        };
    }

    /// <summary>Reads the headers of a request: whose signature it is said to be, and whether all that must be signed is.</summary>
    /// <param name="inputs">The value of <c>Signature-Input</c>.</param>
    /// <param name="signatures">The value of <c>Signature</c>.</param>
    /// <param name="input">Null when it is none.</param>
    /// <param name="signature">r and s.</param>
    /// <param name="problem">What is wrong; empty when nothing is.</param>
    public static bool TryRead(string? inputs, string? signatures, [NotNullWhen(true)] out SignatureInput? input, out byte[] signature, out string problem)
    {
        if (!SignatureInput.TryRead(inputs, signatures, Label, out input, out signature))
            problem = $"Signature-Input and Signature cannot be read, or have no '{Label}'; sign as RFC 9421 says.";
        else if (!input.Components.SequenceEqual(Components))
            problem = $"the signature must cover {string.Join(' ', Components)}, in this order.";
        else if (input.Tag != Tag || input.Algorithm is not (null or "ecdsa-p256-sha256"))
            problem = $"the signature is not tagged '{Tag}', or is not of ecdsa-p256-sha256.";
        else if (input.Created is null || !DeviceRequest.IsDevice(input.KeyId))
            problem = "the signature must say when it was created, and the device's id as keyid.";
        else
            problem = "";
        if (problem.Length > 0)
            input = null;
        return input is not null;
    }

    /// <summary>What is wrong with the time of a signature; null when nothing is.</summary>
    /// <param name="created">In seconds since 1970, by the device's clock.</param>
    /// <param name="now">By the server's clock.</param>
    /// <param name="mostAge">How old it may be.</param>
    public static string? TimeProblem(long created, DateTimeOffset now, TimeSpan mostAge)
    {
        var age = now.ToUnixTimeSeconds() - created;
        if (age > (long)mostAge.TotalSeconds)
            return $"the request was signed {Span(age)} ago by the device's clock, and at most {Duration.Format(mostAge)} is taken; set the device's clock, or sign it again.";
        if (-age > (long)ClockTolerance.TotalSeconds)
            return $"the device's clock is {Span(-age)} ahead of the server's; set it.";
        return null;
    }

    static string Span(long seconds) => Duration.Format(TimeSpan.FromSeconds(Math.Min(seconds, 100_000_000_000))); // a span ends at some 10 times that
}
