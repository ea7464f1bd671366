using System.Collections.Immutable;
using Coppice.Registry;

namespace Coppice.Protocol;

/// <summary>A token is wanted by which devices come in that speak hawkBit's device API (DDI): <c>POST /v1/ddi-tokens</c>.</summary>
/// <param name="Models">What these devices run: 1 to <see cref="MaxModels"/>. They are given releases of these models alone.</param>
public sealed record CreateDdiToken(ImmutableArray<ModelName> Models)
{
    /// <summary>Most models of a token.</summary>
    public const int MaxModels = 16;

    /// <summary>Most devices of a gateway's token.</summary>
    public const int MostDevices = 10_000_000;

    /// <summary>The one device that may use it, as <c>TargetToken</c>; null for a gateway's, as <c>GatewayToken</c>, by which any device comes in.</summary>
    public string? Device { get; init; }

    /// <summary>How many devices may come by a gateway's.</summary>
    public int MaxDevices { get; init; } = 1000;

    /// <summary>Labels that devices get which come by it.</summary>
    public ImmutableDictionary<string, string> Labels { get; init => field = value ?? []; } = [];
}

/// <summary>A new token; its text is told only now.</summary>
/// <param name="Token">What the device shows.</param>
/// <param name="View">The rest.</param>
public sealed record CreatedDdiToken(string Token, DdiTokenView View);

/// <summary>A token by which devices come in that speak DDI.</summary>
/// <param name="Id">Names it; no secret.</param>
/// <param name="Models">What its devices run.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="CreatedBy">By whom.</param>
public sealed record DdiTokenView(string Id, ImmutableArray<ModelName> Models, DateTimeOffset CreatedAt, string CreatedBy)
{
    /// <summary>The one device that may use it; null for a gateway's.</summary>
    public string? Device { get; init; }

    /// <summary>Labels that devices get which come by it.</summary>
    public ImmutableDictionary<string, string> Labels { get; init => field = value ?? []; } = [];

    /// <summary>How many devices may come by it.</summary>
    public int MaxDevices { get; init; }

    /// <summary>How many came by it last.</summary>
    public int Devices { get; init; }

    /// <summary>From this moment on it opens nothing.</summary>
    public DateTimeOffset? RevokedAt { get; init; }

    /// <summary>Who revoked it.</summary>
    public string? RevokedBy { get; init; }
}

/// <summary>Tokens in the order of their ids.</summary>
/// <param name="Tokens">At most as many as were asked for, those that the caller may not see left out.</param>
/// <param name="Next">Give it as <c>after</c> for the next page; null at the end.</param>
public sealed record DdiTokenPage(ImmutableArray<DdiTokenView> Tokens, string? Next = null);
