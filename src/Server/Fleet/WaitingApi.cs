using System.Security.Claims;
using Coppice.Access;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Server.Access;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Fleet;

/// <summary>Devices that ask an operator to be let in, and the list of those that need not ask.</summary>
static class WaitingApi
{
    const int MaxPage = 1000;

    public static void MapWaiting(this IEndpointRouteBuilder routes)
    {
        var waiting = routes.MapGroup("/v1/waiting-devices").WithTags("Devices");
        waiting.MapGet("/", Waiting).Needs(Permission.DeviceAdmit);
        waiting.MapPost("/{id}/accept", Accept).Needs(Permission.DeviceAdmit, Abouts.DevicesLabelled<WaitingAnswer>(answer => answer.Labels)).ProducesProblem(400).ProducesProblem(404).ProducesProblem(409);
        waiting.MapPost("/{id}/reject", Reject).Needs(Permission.DeviceAdmit).ProducesProblem(404).ProducesProblem(409);
        var authorised = routes.MapGroup("/v1/authorised-devices").WithTags("Devices");
        authorised.MapGet("/", Authorised).Needs(Permission.DeviceAdmit);
        authorised.MapPost("/", Authorise).Needs(Permission.DeviceAdmit, EachLabelled).ProducesProblem(400);
    }

    static readonly About EachLabelled = (call, caller, permission) => ValueTask.FromResult(
        call.Arguments.OfType<AuthoriseDevices>().First() is { Devices.IsDefaultOrEmpty: false } list
        && list.Devices.Any(device => device is not null && !caller.Rights.May(permission, new FactSet(FactSet.OfLabels(device.Labels))))
            ? "on devices with these labels"
            : null);

    /// <summary>Devices that ask to be let in, those that asked last first.</summary>
    internal static async Task<Ok<WaitingPage>> Waiting(EnrolmentStore enrolments, CancellationToken cancel) => TypedResults.Ok(await enrolments.WaitingAsync(cancel));

    /// <summary>Lets a device in that asks, also one that was turned away. Compare the key with the one that the device itself shows.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Accept(
        string id, WaitingAnswer answer, EnrolmentStore enrolments, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        var problems = DeviceRules.CheckLabels(answer.Labels).ToList();
        if (problems.Count > 0)
            return Problems.Validation(problems);
        return await enrolments.AnswerAsync(id, answer, accept: true, caller.Name(), time.GetUtcNow(), cancel) is { } problem ? problem : TypedResults.NoContent();
    }

    /// <summary>Turns a device away that asks.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Reject(
        string id, WaitingAnswer answer, EnrolmentStore enrolments, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel) =>
        await enrolments.AnswerAsync(id, answer, accept: false, caller.Name(), time.GetUtcNow(), cancel) is { } problem ? problem : TypedResults.NoContent();

    /// <summary>Devices that may join without a token and have not yet.</summary>
    internal static async Task<Ok<AuthorisedPage>> Authorised(AuthorisedStore authorised, CancellationToken cancel, long after = 0, int limit = 100) =>
        TypedResults.Ok(await authorised.ListAsync(after, Math.Clamp(limit, 1, MaxPage), cancel));

    /// <summary>Lets devices join without a token: by id, by the digest of the signing key, or by both. Each entry lets one device in.</summary>
    internal static async Task<Results<Ok<AuthoriseAnswer>, ProblemHttpResult>> Authorise(
        AuthoriseDevices request, AuthorisedStore authorised, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        var problems = AuthorisedStore.Check(request).ToList();
        return problems.Count > 0 ? Problems.Validation(problems) : TypedResults.Ok(await authorised.AddAsync(request, caller.Name(), time.GetUtcNow(), cancel));
    }
}
