namespace Coppice.Server.Access;

/// <summary>Who may order, by the hash of the token.</summary>
sealed class OperatorRow
{
    public required string Name { get; set; }
    public required string Hash { get; set; }
    public required DateTimeOffset CreatedAt { get; set; }
}
