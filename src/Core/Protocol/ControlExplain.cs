using System.Collections.Immutable;
using Coppice.Registry;

namespace Coppice.Protocol;

/// <summary>Why a device has what it has: <c>GET /v1/devices/{id}/explanation</c>. The server decides as the device does, by the same rule, from the signed plan and from what the device last said.</summary>
/// <param name="Device">The device.</param>
/// <param name="At">When the server looked.</param>
/// <param name="Notes">What concerns the device as a whole, such as its silence; one sentence each, the gravest first.</param>
/// <param name="Models">Each model that it has spoken of, or that was asked about.</param>
public sealed record DeviceExplanation(string Device, DateTimeOffset At, ImmutableArray<string> Notes, ImmutableArray<ModelExplanation> Models);

/// <summary>Why a device has the release of a model that it has.</summary>
/// <param name="Model">The model.</param>
/// <param name="Verdict">What the device does next, as far as the server knows, in one sentence.</param>
/// <param name="Reasons">One line for each rollout looked at, newest first, and for each variant that does not fit.</param>
public sealed record ModelExplanation(ModelName Model, string Verdict, ImmutableArray<string> Reasons)
{
    /// <summary>What serves there; null when nothing does, as far as reports tell.</summary>
    public SemanticVersion? Serving { get; init; }

    /// <summary>The rollout that decides; null when none does.</summary>
    public string? Rollout { get; init; }

    /// <summary>The release that it would have; null when it keeps what it has.</summary>
    public SemanticVersion? Release { get; init; }

    /// <summary>The device's last word on the model.</summary>
    public string? LastWord { get; init; }
}
