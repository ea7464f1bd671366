using System.Security.Claims;
using Coppice.Access;

namespace Coppice.Server.Access;

/// <summary>An operator who has proved who they are.</summary>
/// <param name="Subject">Who it is, whatever they showed: <c>operator:alice</c>, or <c>oidc:ISSUER#SUB</c> for somebody whom only the identity provider knows. Two-person rules compare this.</param>
/// <param name="Name">As events call them.</param>
/// <param name="Credential">What was shown: <c>token ID</c> or <c>sign-in</c>.</param>
/// <param name="Rights">What they may do with it.</param>
/// <param name="Origin">The address they came from; null when it is not known.</param>
sealed record Caller(string Subject, string Name, string Credential, Rights Rights, string? Origin)
{
    /// <summary>What a sign-in is called among credentials.</summary>
    public const string SignIn = "sign-in";

    static readonly AsyncLocal<Caller?> Acting = new();

    /// <summary>The token that was shown; null for a sign-in.</summary>
    public string? TokenId { get; init; }

    /// <summary>Who made that token, and so has seen its secret; null for a sign-in.</summary>
    public string? TokenMadeBy { get; init; }

    /// <summary>The operator's name when the server knows them by one; null for somebody whom only the identity provider knows.</summary>
    public string? Operator { get; init; }

    /// <summary>Whose request this flow of control carries out; null when the server acts by itself. The audit log takes from here what the acts themselves do not say.</summary>
    public static Caller? Current
    {
        get => Acting.Value;
        set => Acting.Value = value;
    }
}

/// <summary>A caller as the framework carries them.</summary>
sealed class OperatorIdentity(Caller caller) : ClaimsIdentity([new(ClaimTypes.Name, caller.Name)], BearerTokens.Operator)
{
    public Caller Caller { get; } = caller;
}

static class Callers
{
    /// <summary>The operator who calls; the endpoint demands that there is one.</summary>
    public static Caller Caller(this ClaimsPrincipal principal) => ((OperatorIdentity)principal.Identity!).Caller;

    /// <summary>What the operator who calls may do.</summary>
    public static Rights Rights(this ClaimsPrincipal principal) => principal.Caller().Rights;
}
