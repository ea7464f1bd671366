using Coppice.Registry;

namespace Coppice.Server.Ddi;

/// <summary>How far an action is.</summary>
enum DdiActionState
{
    /// <summary>The device is to carry it out.</summary>
    Open,

    /// <summary>The device is to leave it.</summary>
    Cancelling,

    /// <summary>Carried out: the release runs.</summary>
    Done,

    /// <summary>The device could not.</summary>
    Failed,

    /// <summary>Left.</summary>
    Cancelled,
}

/// <summary>One release that one device was told to take, once. hawkBit's action.</summary>
sealed class DdiActionRow
{
    public long Number { get; set; }
    public required string Device { get; set; }
    public required ModelName Model { get; set; }
    public required string Rollout { get; set; }
    public required int Attempt { get; set; }
    public required SemanticVersion Release { get; set; }
    public required string Variant { get; set; }
    public DdiActionState State { get; set; }

    /// <summary>Whether the device has looked at it.</summary>
    public bool Begun { get; set; }

    /// <summary>Whether the device would not leave it: then it is not asked again.</summary>
    public bool Kept { get; set; }

    /// <summary>What its user said; null when nothing.</summary>
    public bool? Consent { get; set; }
    public required DateTimeOffset OpenedAt { get; set; }
    public required DateTimeOffset ChangedAt { get; set; }

    /// <summary>The device's last words about it.</summary>
    public string? Said { get; set; }

    public bool IsActive => State is DdiActionState.Open or DdiActionState.Cancelling;
}
