using Microsoft.Net.Http.Headers;

namespace Coppice.Server.Preconditions;

/// <summary>Things are otherwise than the caller has seen them; nothing was changed.</summary>
sealed class ChangedException(string detail) : BadHttpRequestException(detail, StatusCodes.Status412PreconditionFailed);

/// <summary>The header <c>If-Match</c> of a write (RFC 9110, 13.1.1): it is carried out only while the thing has a revision that the caller has seen.</summary>
/// <remarks>Judged in the transaction that writes, so that of two who have seen the same one is refused.</remarks>
sealed class IfMatch
{
    readonly IList<EntityTagHeaderValue> given;

    IfMatch(IList<EntityTagHeaderValue> given) => this.given = given;

    /// <summary>Reads the header.</summary>
    /// <param name="header">Null or empty without one.</param>
    /// <returns>Null where the caller does not mind.</returns>
    /// <exception cref="BadHttpRequestException">It is none.</exception>
    public static IfMatch? Read(string? header) => string.IsNullOrEmpty(header) ? null
        : EntityTagHeaderValue.TryParseStrictList([header], out var tags) && tags.All(tag => !tag.IsWeak) ? new(tags)
        : throw new BadHttpRequestException("If-Match: is no list of strong tags; give the ETag of what you read, quotes and all, as \"0123456789abcdef\".");

    /// <summary>Refuses the write when the thing is not as the caller has seen it.</summary>
    /// <param name="what">For the message: <c>the group night-shift</c>.</param>
    /// <param name="now">Its revision; null when it is not there.</param>
    /// <exception cref="ChangedException">It is not.</exception>
    public void Require(string what, string? now)
    {
        if (now is null)
            throw new ChangedException($"There is no such thing as {what} (any more); read again what there is.");
        if (!given.Any(tag => tag.Equals(EntityTagHeaderValue.Any) || tag.Tag.Equals($"\"{now}\"", StringComparison.Ordinal)))
            throw new ChangedException($"{char.ToUpperInvariant(what[0])}{what[1..]} is at revision \"{now}\" now, not at {string.Join(", ", given)}: somebody changed it since it was read. Read it again, and decide anew.");
    }
}
