namespace Coppice.Server.Access;

/// <summary>What somebody asks who has not proved who they are; each kind has its limits.</summary>
sealed record RequestKind(string Name)
{
    /// <summary>Asks to be let in: costs a signature, and may cost a write.</summary>
    public static RequestKind Enrolment { get; } = new("enrolment");

    /// <summary>Reads what anybody may read.</summary>
    public static RequestKind Reading { get; } = new("reading");

    /// <summary>Gave a token, a certificate or a signature that proved nothing.</summary>
    public static RequestKind Failing { get; } = new("failing");
}
