using Coppice.Protocol;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Access;

static class SignInApi
{
    public static void MapSignIn(this IEndpointRouteBuilder routes) => routes.MapGet("/v1/sign-in", Get).WithTags("Operators").AllowAnonymous().WithMetadata(RequestKind.Reading).ProducesProblem(404);

    /// <summary>Where people sign in, for <c>coppice login</c>. Open to all: it says no more than a login page would.</summary>
    internal static Results<Ok<SignIn>, ProblemHttpResult> Get(ControlPlaneOptions options) => options.Oidc is { } oidc
        ? TypedResults.Ok(new SignIn(oidc.Issuer, oidc.ClientId, oidc.Scopes))
        : Problems.NotFound("This server takes no sign-ins; use an API token, or start it with --oidc FILE.");
}
