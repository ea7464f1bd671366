using System.Security.Claims;
using Coppice.Server.Ddi;

namespace Coppice.Server.Access;

/// <summary>The kinds of callers: operators, who prove themselves with <c>Authorization: Bearer</c>, and devices, as <see cref="DeviceProof"/> or <see cref="DdiProof"/> says.</summary>
static class BearerTokens
{
    public const string Operator = "operator";
    public const string Device = "device";

    public static void AddBearerTokens(this IServiceCollection services)
    {
        // The core alone: AddAuthentication would also make keys for cookies, in the user's home.
        services.AddAuthenticationCore(schemes =>
        {
            schemes.AddScheme<OperatorSignIn>(Operator, null);
            schemes.AddScheme<DeviceProof>(Device, null);
            schemes.AddScheme<DdiProof>(DdiProof.Name, null);
        });
        services.AddWebEncoders().AddTransient<OperatorSignIn>().AddTransient<DeviceProof>().AddTransient<DdiProof>();
        services.AddAuthorizationBuilder()
            .AddPolicy(Operator, policy => policy.AddAuthenticationSchemes(Operator).RequireAuthenticatedUser())
            .AddPolicy(Device, policy => policy.AddAuthenticationSchemes(Device).RequireAuthenticatedUser())
            .AddPolicy(DdiProof.Name, policy => policy.AddAuthenticationSchemes(DdiProof.Name).RequireAuthenticatedUser());
    }

    /// <summary>The operator's or device's name; the endpoint demands that there is one.</summary>
    public static string Name(this ClaimsPrincipal caller) => caller.Identity!.Name!;
}
