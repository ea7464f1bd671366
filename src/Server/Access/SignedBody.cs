using System.Security.Cryptography;
using Coppice.Protocol.Signatures;
using Coppice.Trust;
using Microsoft.AspNetCore.Http.Features;

namespace Coppice.Server.Access;

/// <summary>A request that a device signed.</summary>
/// <param name="Device">The id it gives.</param>
/// <param name="Created">When, by the device's clock.</param>
/// <param name="Problem">Why it proves nothing; empty when it does.</param>
readonly record struct SignedBy(string Device, long Created, string Problem);

/// <summary>Verifies the signature of a request, RFC 9421, and then that the body is the one that was signed.</summary>
static class SignedBody
{
    /// <summary>Whether a request comes with a signature at all.</summary>
    public static bool IsSigned(HttpRequest request) => request.Headers.ContainsKey(SignatureInput.Header);

    /// <summary>Reads the headers only: whose signature it is said to be.</summary>
    public static SignedBy Read(HttpRequest request) =>
        DeviceSignature.TryRead(request.Headers[SignatureInput.Header], request.Headers[SignatureInput.SignatureHeader], out var input, out _, out var problem)
            ? new(input.KeyId!, input.Created!.Value, "")
            : new("", 0, problem);

    /// <summary>Verifies the signature, before the body is read, and the body, which is bounded by the endpoint and can be read again afterwards.</summary>
    /// <returns>What is wrong; null when nothing is.</returns>
    /// <exception cref="BadHttpRequestException">The body is larger than the endpoint takes.</exception>
    public static async Task<string?> VerifyAsync(HttpRequest request, DevicePublicKey key, DateTimeOffset now, TimeSpan mostAge, CancellationToken cancel)
    {
        if (!DeviceSignature.TryRead(request.Headers[SignatureInput.Header], request.Headers[SignatureInput.SignatureHeader], out var input, out var signature, out var problem))
            return problem;
        if (DeviceSignature.TimeProblem(input.Created!.Value, now, mostAge) is { } late)
            return late;
        string? digest = request.Headers[ContentDigest.Header];
        var target = request.HttpContext.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        var signed = input.Base(component => DeviceSignature.ValueOf(component, request.Method, target, request.ContentType, digest));
        if (signed is null || !key.Verify(signed, signature))
            return "the signature is not of this device's key over this request.";
        if (!ContentDigest.TryRead(digest, out var wanted))
            return "Content-Digest has no sha-256; send it as RFC 9530 says.";
        var body = await ReadAsync(request, cancel);
        return CryptographicOperations.FixedTimeEquals(SHA256.HashData(body.Span), wanted) ? null : "the body is not the one that was signed.";
    }

    /// <summary>The whole body; the request can be read again.</summary>
    public static async Task<ReadOnlyMemory<byte>> ReadAsync(HttpRequest request, CancellationToken cancel)
    {
        var bytes = new MemoryStream();
        await request.Body.CopyToAsync(bytes, cancel);
        bytes.Position = 0;
        request.Body = bytes;
        return bytes.GetBuffer().AsMemory(0, (int)bytes.Length);
    }
}
