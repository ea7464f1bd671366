using System.Collections.Immutable;
using System.Globalization;

namespace Coppice.Fleet;

/// <summary>What a numbered sending tells of the installation that it comes from.</summary>
public enum SendingVerdict
{
    /// <summary>It goes on from the ones before.</summary>
    New,

    /// <summary>The very same came before: it was repeated on its way.</summary>
    Again,

    /// <summary>It was overtaken on its way.</summary>
    Late,

    /// <summary>Another installation with the same identity has used the number, or has gone on past it.</summary>
    Forked,
}

/// <summary>The latest sendings of a device, by which two installations with one identity are noticed.</summary>
/// <remarks>
/// An installation numbers its sendings upwards and gives no number twice. A copy of its data folder goes on from the same number, so
/// the two meet in a number, or the one that is behind sends a lower number at a later time. A message that was repeated has the same
/// nonce; one that was overtaken was sent before the ones that overtook it. A data folder that was put back from a copy looks like
/// a second installation, and is one.
/// </remarks>
public sealed class Sendings
{
    /// <summary>Most sendings that are remembered.</summary>
    public const int Kept = 16;

    // By number, highest first.
    readonly ImmutableArray<(long Number, string Nonce)> latest;
    readonly long at;

    Sendings(ImmutableArray<(long, string)> latest, long at) => (this.latest, this.at) = (latest, at);

    /// <summary>Of a device that has sent nothing yet.</summary>
    public static Sendings None { get; } = new([], 0);

    /// <summary>Reads what <see cref="ToString"/> wrote.</summary>
    /// <exception cref="FormatException">It did not.</exception>
    public static Sendings Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length == 0)
            return None;
        var parts = text.Split(' ');
        return new(
            [.. parts.Skip(1).Select(part => part.Split(':')).Select(pair => (long.Parse(pair[0], CultureInfo.InvariantCulture), pair[1]))],
            long.Parse(parts[0], CultureInfo.InvariantCulture));
    }

    /// <summary>Takes a sending into account.</summary>
    /// <param name="number">Its number.</param>
    /// <param name="nonce">Without spaces and colons.</param>
    /// <param name="sent">When it was sent, by the device's clock.</param>
    /// <param name="next">What to remember from now on.</param>
    public SendingVerdict Take(long number, string nonce, DateTimeOffset sent, out Sendings next)
    {
        var (ms, here) = (sent.ToUnixTimeMilliseconds(), 0);
        while (here < latest.Length && latest[here].Number > number)
            here++;
        if (here < latest.Length && latest[here].Number == number)
        {
            next = this;
            return latest[here].Nonce == nonce ? SendingVerdict.Again : SendingVerdict.Forked;
        }

        var with = latest.Insert(here, (number, nonce));
        next = new(with.Length > Kept ? with.RemoveAt(Kept) : with, here == 0 ? ms : at);
        return here == 0 ? SendingVerdict.New : ms > at ? SendingVerdict.Forked : SendingVerdict.Late;
    }

    /// <summary>The time of the highest number, and the latest numbers with their nonces.</summary>
    public override string ToString() =>
        latest.IsEmpty ? "" : string.Create(CultureInfo.InvariantCulture, $"{at} {string.Join(' ', latest.Select(sending => string.Create(CultureInfo.InvariantCulture, $"{sending.Number}:{sending.Nonce}")))}");
}
