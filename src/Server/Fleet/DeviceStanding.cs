namespace Coppice.Server.Fleet;

/// <summary>What a call of a device is judged by.</summary>
/// <param name="SigningKey">The only key that proves it.</param>
/// <param name="RetiredAt">When an operator took it out.</param>
/// <param name="RevokedAt">When its keys were revoked.</param>
/// <param name="Suspect">Whether two installations have its identity.</param>
sealed record DeviceStanding(string SigningKey, DateTimeOffset? RetiredAt, DateTimeOffset? RevokedAt, bool Suspect);
