using System.Security.Claims;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Replicas;
using Coppice.Server.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Identity;

static class AuthoritiesApi
{
    const string Pem = "application/x-pem-file";

    /// <summary>What devices and proxies fetch, and anybody may.</summary>
    public static void MapAuthorityFiles(this IEndpointRouteBuilder routes)
    {
        var files = routes.MapGroup("/v1/authority").WithTags("Authorities").AllowAnonymous().WithMetadata(RequestKind.Reading).ProducesProblem(429);
        files.MapGet("/roots.pem", (Authorities authorities) => TypedResults.Text(authorities.Bundle, Pem))
            .WithSummary("The roots of this server's authorities, newest first. A device compares one with the digest in its join token.");
        files.MapGet("/issuers.pem", (Authorities authorities) => TypedResults.Text(Issuers(authorities), Pem))
            .WithSummary("The certificates that issue those of devices, with those above them: what a proxy verifies client certificates by.");
        files.MapGet("/revoked.pem", Revoked);
    }

    public static void MapAuthorities(this IEndpointRouteBuilder routes)
    {
        var authorities = routes.MapGroup("/v1/authorities").WithTags("Authorities");
        authorities.MapGet("/", (Authorities all) => TypedResults.Ok(View(all))).Needs(Permission.ServerManage).WithSummary("The authorities of this server, oldest first; the last one issues.");
        authorities.MapPost("/rotate", Rotate).Needs(Permission.ServerManage);
        authorities.MapPost("/request", async (AuthorityChanges changes, CancellationToken cancel) => TypedResults.Ok(new PemText(await changes.MakeAsync(all => all.Ask(), cancel)))).Needs(Permission.ServerManage).WithSummary("A request, PKCS#10, for a certificate by which this server issues below an authority elsewhere.");
        authorities.MapPost("/import", Import).Needs(Permission.ServerManage).WithMetadata(new RequestSizeLimitAttribute(256 << 10)).ProducesProblem(400);
    }

    /// <summary>The revocation lists of this server's authorities, for a proxy; this server itself refuses at once, without them.</summary>
    internal static async Task<ContentHttpResult> Revoked(CertificateStore certificates, TimeProvider time, CancellationToken cancel) =>
        TypedResults.Text(await certificates.ListsAsync(time.GetUtcNow(), cancel), Pem);

    /// <summary>Makes a new authority that issues from now on. What the ones before issued stays good, and devices that know only those come to know the new one.</summary>
    internal static async Task<Ok<AuthorityList>> Rotate(Authorities authorities, AuthorityChanges changes, Database database, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        var made = await changes.MakeAsync(all => all.Rotate(time.GetUtcNow()), cancel);
        await SayAsync(database, made, caller, time, cancel);
        return TypedResults.Ok(View(authorities));
    }

    /// <summary>Takes the certificate that an authority elsewhere made of the request, with those above it up to the root: from now on this server issues below it.</summary>
    internal static async Task<Results<Ok<AuthorityList>, ProblemHttpResult>> Import(PemText request, Authorities authorities, AuthorityChanges changes, Database database, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        try
        {
            await SayAsync(database, await changes.MakeAsync(all => all.Import(request.Pem, time.GetUtcNow()), cancel), caller, time, cancel);
            return TypedResults.Ok(View(authorities));
        }
        catch (InvalidDataException e)
        {
            return Problems.Validation([new("pem", e.Message)]);
        }
    }

    static Task<bool> SayAsync(Database database, Authority authority, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel) => database.WriteAsync(db =>
    {
        db.Events.Add(new() { At = time.GetUtcNow(), Kind = EventKind.AuthorityChanged, By = caller.Name(), Why = $"{authority.Certificate.Subject} issues from now on" });
        return Task.FromResult(true);
    }, cancel);

    static string Issuers(Authorities authorities) =>
        string.Concat(authorities.All.Reverse().SelectMany(authority => authority.Chain).Select(certificate => certificate.ExportCertificatePem() + "\n").Distinct());

    static AuthorityList View(Authorities authorities) => new([.. authorities.All.Select(authority => new AuthorityView(
        authority.Number, authority.Certificate.Subject, authority.Root.Subject, authority.Pin, new(authority.Certificate.NotAfter)))]);
}
