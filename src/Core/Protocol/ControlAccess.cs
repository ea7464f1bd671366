using System.Collections.Immutable;
using Coppice.Access;

namespace Coppice.Protocol;

/// <summary>A role on some models and some devices, as it is kept and sent.</summary>
/// <param name="Role">What its holder is to them.</param>
public sealed record RoleGrant(Role Role)
{
    /// <summary>Which models: <c>*</c>, <c>vision/*</c>, <c>vision/cam*</c> or <c>vision/camera</c>.</summary>
    public string Models { get; init => field = value ?? "*"; } = "*";

    /// <summary>Which devices, in the language of <see cref="Fleet.Selector"/>; empty for all.</summary>
    public string Devices { get; init => field = value ?? ""; } = "";

    /// <summary>As it is sent.</summary>
    public static RoleGrant Of(Grant grant) => new(grant.Role) { Models = grant.Models.ToString(), Devices = grant.Devices.ToString() };
}

/// <summary>Somebody who may act: a person or a program.</summary>
/// <param name="Name">1 to 64 of a-z, 0-9, '-', '_', '.', '@'.</param>
/// <param name="Grants">What they may do.</param>
/// <param name="CreatedAt">Since when they are known.</param>
/// <param name="CreatedBy">Who made them known.</param>
/// <param name="Subject">Who they are to the identity provider: its <c>sub</c>. Null when they do not sign in there.</param>
/// <param name="RemovedAt">From this moment on none of their tokens opens anything; null while they may act.</param>
public sealed record OperatorView(string Name, ImmutableArray<RoleGrant> Grants, DateTimeOffset CreatedAt, string CreatedBy, string? Subject = null, DateTimeOffset? RemovedAt = null)
{
    /// <summary>Names grants and subject as they are now: give it as <c>If-Match</c> to change them only while they are so.</summary>
    public string? Revision { get; init; }
}

/// <summary>What an operator may do from now on: <c>PUT /v1/operators/{name}</c>.</summary>
/// <param name="Grants">These replace the ones before; at least one.</param>
public sealed record PutOperator(ImmutableArray<RoleGrant> Grants)
{
    /// <summary>The <c>sub</c> by which the identity provider knows them; null when they do not sign in there.</summary>
    public string? Subject { get; init; }
}

/// <summary>All operators, in the order of their names.</summary>
public sealed record OperatorPage(ImmutableArray<OperatorView> Operators, string? Next = null);

/// <summary>An API token is wanted: <c>POST /v1/tokens</c>.</summary>
/// <param name="Name">For people: what it is for. 1 to 64 characters.</param>
/// <param name="ExpiresIn">How long it is good for, above 0 and up to a year.</param>
public sealed record CreateApiToken(string Name, TimeSpan ExpiresIn)
{
    /// <summary>Whose it is; null for the caller's own.</summary>
    public string? Operator { get; init; }

    /// <summary>What it narrows its operator's rights to; empty for all of them. A token never widens them.</summary>
    public ImmutableArray<RoleGrant> Grants { get; init => field = value.IsDefault ? [] : value; } = [];
}

/// <summary>A token as lists show it; never its secret.</summary>
/// <param name="Id">Names it; its text begins with <c>cpa_</c> and this.</param>
/// <param name="Name">What it is for.</param>
/// <param name="Operator">Whose it is.</param>
/// <param name="Grants">What it narrows its operator's rights to; empty for all of them.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="CreatedBy">Who made it.</param>
public sealed record ApiTokenView(string Id, string Name, string Operator, ImmutableArray<RoleGrant> Grants, DateTimeOffset CreatedAt, string CreatedBy)
{
    /// <summary>From this moment on it is refused; null for never.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>When it was last shown to the server, to the minute; null for never.</summary>
    public DateTimeOffset? LastUsedAt { get; init; }

    /// <summary>The address it was last shown from.</summary>
    public string? LastUsedFrom { get; init; }

    /// <summary>Since when it is refused; null while it is good.</summary>
    public DateTimeOffset? RevokedAt { get; init; }

    /// <summary>Who revoked it.</summary>
    public string? RevokedBy { get; init; }
}

/// <summary>A new token; its text is told only now.</summary>
/// <param name="Token">The secret text.</param>
/// <param name="View">As lists will show it.</param>
public sealed record CreatedApiToken(string Token, ApiTokenView View);

/// <summary>Tokens, newest first.</summary>
/// <param name="Tokens">At most as many as were asked for.</param>
/// <param name="Next">Give it as <c>after</c> for the next page; null at the end.</param>
public sealed record ApiTokenPage(ImmutableArray<ApiTokenView> Tokens, string? Next = null);

/// <summary>Who the caller is: <c>GET /v1/me</c>.</summary>
/// <param name="Name">As it stands in events.</param>
/// <param name="Subject">As it stands in the audit log, and as two-person approval compares people.</param>
/// <param name="Credential">What was shown: <c>token ID</c> or <c>sign-in</c>.</param>
/// <param name="Rights">Layers of grants: an act must be allowed by one grant of each.</param>
/// <param name="Permissions">The permissions that some grant of each layer gives, on some model and device.</param>
public sealed record WhoAmI(string Name, string Subject, string Credential, ImmutableArray<ImmutableArray<RoleGrant>> Rights, ImmutableArray<string> Permissions);

/// <summary>A row of the permission table: <c>GET /v1/permissions</c>.</summary>
/// <param name="Permission">As refusals name it: <c>rollout.start</c>.</param>
/// <param name="Reach">What it is about.</param>
/// <param name="Roles">The roles that have it.</param>
public sealed record PermissionRow(string Permission, Reach Reach, ImmutableArray<Role> Roles);

/// <summary>Where people sign in: <c>GET /v1/sign-in</c>.</summary>
/// <param name="Issuer">The OpenID Connect provider.</param>
/// <param name="ClientId">The command line's id there.</param>
/// <param name="Scopes">What to ask for.</param>
public sealed record SignIn(string Issuer, string ClientId, string Scopes);
