using Coppice.Access;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Access;

/// <summary>Lets an operator's request through when the permission table says so.</summary>
/// <remarks>
/// Twice: before the body is read, whether they hold the permission on anything at all; and once the arguments are there, whether they hold it on the very
/// thing that the request is about.
/// </remarks>
static class AccessGate
{
    static readonly Needs OnlyAdmins = new(Permission.ServerManage, Abouts.Anything);

    /// <summary>What an endpoint demands; null when operators have nothing to do with it.</summary>
    public static Needs? DemandsOf(Endpoint endpoint) =>
        endpoint.Metadata.OfType<Microsoft.AspNetCore.Authorization.IAuthorizeData>().Any(data => data.Policy == BearerTokens.Operator)
            ? endpoint.Metadata.GetMetadata<Needs>() ?? OnlyAdmins
            : null;

    /// <summary>The first look, after the framework knows who calls.</summary>
    public static void UseAccessGate(this IApplicationBuilder app) => app.Use(async (context, next) =>
    {
        if (context.GetEndpoint() is { } endpoint && DemandsOf(endpoint) is { } needs && context.User.Identity is OperatorIdentity { Caller: var caller })
        {
            Caller.Current = caller;
            if (!caller.Rights.MaySomewhere(needs.Permission))
            {
                await (await context.RequestServices.GetRequiredService<RefusedActs>().ForbidAsync(context, caller, needs.Permission, "here")).ExecuteAsync(context);
                return;
            }
        }

        await next(context);
    });

    /// <summary>The second look, and the note of what else is refused.</summary>
    public static TBuilder AddAccessGate<TBuilder>(this TBuilder endpoints) where TBuilder : IEndpointConventionBuilder => endpoints.AddEndpointFilter(async (call, next) =>
    {
        var context = call.HttpContext;
        var caller = context.User.Caller();
        var needs = DemandsOf(context.GetEndpoint()!)!;
        var refused = context.RequestServices.GetRequiredService<RefusedActs>();
        if (await needs.About(call, caller, needs.Permission) is { } where)
            return await refused.ForbidAsync(context, caller, needs.Permission, where);
        var result = await next(call);
        if ((result is INestedHttpResult nested ? nested.Result : result) is ProblemHttpResult { StatusCode: 403 or 409 or 412 } problem && !HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
            await refused.NoteAsync(context, caller, $"{problem.ProblemDetails.Type}: {problem.ProblemDetails.Detail}");
        return result;
    });
}
