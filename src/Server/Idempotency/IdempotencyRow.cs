namespace Coppice.Server.Idempotency;

/// <summary>A request that was sent under a key, and its answer once there is one.</summary>
sealed class IdempotencyRow
{
    public required string Subject { get; set; }
    public required string Key { get; set; }

    /// <summary>SHA-256 of method, path, query and body.</summary>
    public required string Request { get; set; }
    public required DateTimeOffset At { get; set; }

    /// <summary>HTTP status; null while the request is under way, or when the server stopped in the middle of it.</summary>
    public int? Status { get; set; }
    public string? ContentType { get; set; }
    public string? Location { get; set; }

    /// <summary>Sealed: the answer may tell a token.</summary>
    public byte[]? Body { get; set; }
}
