using System.Security.Claims;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Encodings.Web;
using Coppice.Protocol.Signatures;
using Coppice.Server.Fleet;
using Coppice.Server.Identity;
using Coppice.Trust;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Coppice.Server.Access;

/// <summary>A request to this endpoint may have been on its way for long, as through a mirror: what is sent twice changes nothing twice there.</summary>
sealed class MayBeLate;

/// <summary>A request to this endpoint may be signed also where certificates are demanded: it is how a device comes to one.</summary>
sealed class MayBeSigned;

/// <summary>
/// Proves who a device is: by the certificate of its TLS connection, by the one that a trusted proxy passes on, or by its signature
/// over the request. Each call is checked against the database: what is revoked, retired or replaced is refused at the next call, on
/// a connection that is open already, too.
/// </summary>
sealed class DeviceProof(
    IOptionsMonitor<AuthenticationSchemeOptions> schemes, ILoggerFactory logger, UrlEncoder encoder,
    DeviceStore devices, Authorities authorities, CallerAddresses callers, ControlPlaneOptions options, TimeProvider time)
    : AuthenticationHandler<AuthenticationSchemeOptions>(schemes, logger, encoder)
{
    /// <summary>Claim with the moment, in seconds since 1970, at which the device signed; missing when a certificate proved it.</summary>
    public const string SignedAt = "coppice-signed-at";

    const string Wanted = "Connect with the device's certificate, or sign the request with its key (RFC 9421); enrol again when the server does not know the device.";
    const string Verified = "coppice-device";

    ProblemHttpResult? refusal;

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        var cancel = Context.RequestAborted;
        var (certificate, from) = ShownCertificate();
        if (certificate is not null)
        {
            if (!TryVerify(certificate, from, out var proved, out var problem))
                return Refuse(Problems.Of(401, "certificate", "The certificate does not prove who calls.", Sentence(problem)));
            return Judge(proved.Device, await devices.StandingAsync(proved.Device, cancel), proved.Key, null);
        }

        if (!SignedBody.IsSigned(Request))
            return from.Length > 0 ? Refuse(Problems.Unauthorised($"{from} {Wanted}")) : AuthenticateResult.NoResult();
        if (options.RequireCertificates && Context.GetEndpoint()?.Metadata.GetMetadata<MayBeSigned>() is null)
            return Refuse(Problems.Of(401, "certificate", "A certificate is demanded.", "This server takes a device's signature only to enrol and to renew; connect over TLS with the device's certificate."));
        var said = SignedBody.Read(Request);
        if (said.Problem.Length > 0)
            return Refuse(Problems.Unauthorised(Sentence(said.Problem)));
        var mostAge = Context.GetEndpoint()?.Metadata.GetMetadata<MayBeLate>() is null ? DeviceSignature.ClockTolerance : options.LatestReport;
        if (DeviceSignature.TimeProblem(said.Created, time.GetUtcNow(), mostAge) is { } clock)
            return Refuse(Problems.Of(401, "clock", "The signature's time is not taken.", Sentence(clock)));
        var standing = await devices.StandingAsync(said.Device, cancel);
        // An unknown device and a wrong key are refused alike.
        return DevicePublicKey.TryParse(standing?.SigningKey, out var key) && await SignedBody.VerifyAsync(Request, key, time.GetUtcNow(), mostAge, cancel) is null
            ? Judge(said.Device, standing, key, said.Created)
            : AuthenticateResult.NoResult();
    }

    /// <summary>The certificate that the caller showed, and, where there is none that counts, why.</summary>
    (X509Certificate2? Certificate, string From) ShownCertificate()
    {
        if (Context.Connection.ClientCertificate is { } own && !callers.IsProxy(Context))
            return (own, "");
        if (!ForwardedCertificate.TryFind(Request.Headers, out var header, out var value))
            return (null, "");
        if (!callers.IsProxy(Context))
            return (null, $"The header {header} counts only from a trusted proxy (--trust-proxy), and {Context.Connection.RemoteIpAddress} is none.");
        try
        {
            if (ForwardedCertificate.TryRead(header, value, out var der))
            {
                var certificate = X509CertificateLoader.LoadCertificate(der);
                Response.RegisterForDispose(certificate);
                return (certificate, "");
            }
        }
        catch (CryptographicException) // no certificate after all; said below
        {
        }

        return (null, $"The header {header} holds no certificate that can be read.");
    }

    /// <summary>Verifies a certificate, once for a connection: what does not change with time is kept with it.</summary>
    bool TryVerify(X509Certificate2 certificate, string from, out CertifiedDevice proved, out string problem)
    {
        var now = time.GetUtcNow();
        var items = from.Length == 0 ? Context.Features.Get<IConnectionItemsFeature>()?.Items : null;
        if (items is not null && items.TryGetValue(Verified, out var kept) && kept is (string digest, CertifiedDevice before) && digest == certificate.GetCertHashString(HashAlgorithmName.SHA256) && now < before.Expires)
        {
            (proved, problem) = (before, "");
            return true;
        }

        var good = authorities.TryVerify(certificate, now, out var found, out problem);
        proved = found!;
        if (good && items is not null)
            items[Verified] = (certificate.GetCertHashString(HashAlgorithmName.SHA256), proved);
        return good;
    }

    AuthenticateResult Judge(string device, DeviceStanding? standing, DevicePublicKey proved, long? signed)
    {
        if (standing is null)
            return AuthenticateResult.NoResult();
        if (standing.RetiredAt is not null)
            return Refuse(Problems.Of(403, "device-retired", "The device is retired.", $"'{device}' was taken out by an operator; enrol it under another id."));
        if (standing.RevokedAt is not null)
            return Refuse(Problems.Of(403, "device-revoked", "The device is revoked.", $"'{device}' was revoked by an operator; 'coppice device replace {device}' lets one with new keys take its place."));
        if (standing.SigningKey != proved.ToString())
            return Refuse(Problems.Of(401, "certificate", "The certificate is not taken any more.", $"'{device}' has other keys now."));
        if (standing.Suspect && options.QuarantineSuspects)
            return Refuse(Problems.Of(403, "device-quarantined", "The device is quarantined.", $"Two installations have the identity of '{device}'; give each its own, then 'coppice device accept {device}'."));
        var claims = new List<Claim> { new(ClaimTypes.Name, device) };
        if (signed is { } at)
            claims.Add(new(SignedAt, at.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        return AuthenticateResult.Success(new(new ClaimsPrincipal(new ClaimsIdentity(claims, Scheme.Name)), Scheme.Name));
    }

    static string Sentence(string problem) => char.ToUpperInvariant(problem[0]) + problem[1..];

    AuthenticateResult Refuse(ProblemHttpResult why)
    {
        refusal = why;
        return AuthenticateResult.Fail(why.ProblemDetails.Detail!);
    }

    protected override Task HandleChallengeAsync(AuthenticationProperties properties) => (refusal ?? Problems.Unauthorised(Wanted)).ExecuteAsync(Context);
}
