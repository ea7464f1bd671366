using System.Security.Claims;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Rollouts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Fleet;

static class ReportsApi
{
    public static void MapReports(this IEndpointRouteBuilder routes) => routes.MapPost("/v1/reports", Keep)
        .WithTags("Devices").RequireAuthorization(BearerTokens.Device)
        .WithMetadata(new RequestSizeLimitAttribute(ReportBatch.MaxBytes), new MayBeLate())
        .ProducesProblem(400).ProducesProblem(401).ProducesProblem(403).ProducesProblem(413);

    /// <summary>Keeps what a device says happened, each report once. Send again whatever is not answered for.</summary>
    internal static async Task<Results<Ok<ReportAnswer>, ProblemHttpResult>> Keep(
        ReportBatch batch, ReportIntake reports, Passports passports, RolloutSignal signal, ClaimsPrincipal caller, TimeProvider time)
    {
        var problems = DeviceRules.CheckReports(batch).Concat(batch.Facts is { } facts ? DeviceRules.CheckFacts(facts) : []).ToList();
        if (problems.Count > 0)
            return Problems.Validation(problems);

        var kept = await reports.KeepAsync(caller.Name(), batch, time.GetUtcNow());
        if (kept.Decides)
            signal.Raise();
        return kept.Through is { } through
            ? TypedResults.Ok(new ReportAnswer(through) { Passport = passports.For(caller.Name(), batch, kept.Labels, time.GetUtcNow()) })
            : Problems.Of(403, "device-retired", "The device is retired.", $"'{caller.Name()}' was taken out or revoked by an operator a moment ago.");
    }
}
