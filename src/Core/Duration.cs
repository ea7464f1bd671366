using System.Globalization;

namespace Coppice;

/// <summary>Spans of time as people write them: <c>250ms</c>, <c>90s</c>, <c>15m</c>, <c>24h</c>, <c>7d</c>.</summary>
public static class Duration
{
    static readonly (string Unit, TimeSpan Span)[] Units =
    [
        ("ms", TimeSpan.FromMilliseconds(1)), ("s", TimeSpan.FromSeconds(1)), ("m", TimeSpan.FromMinutes(1)), ("h", TimeSpan.FromHours(1)), ("d", TimeSpan.FromDays(1)),
    ];

    /// <summary>Reads a number, zero or more, and a unit.</summary>
    public static bool TryParse(string? text, out TimeSpan span)
    {
        span = default;
        if (text is null)
            return false;
        var digits = 0;
        while (digits < text.Length && (char.IsAsciiDigit(text[digits]) || text[digits] == '.'))
            digits++;
        foreach (var (unit, one) in Units)
        {
            if (digits > 0 && text.AsSpan(digits).SequenceEqual(unit)
                && double.TryParse(text.AsSpan(0, digits), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var count)
                && count * one.Ticks <= TimeSpan.MaxValue.Ticks / 2)
            {
                span = TimeSpan.FromTicks((long)Math.Round(count * one.Ticks));
                return true;
            }
        }

        return false;
    }

    /// <summary>The shortest text that <see cref="TryParse"/> reads as the same span, to the tenth of a millisecond.</summary>
    public static string Format(TimeSpan span)
    {
        for (var i = Units.Length - 1; i > 0; i--)
        {
            if (span.Ticks % Units[i].Span.Ticks == 0 && span != TimeSpan.Zero)
                return string.Create(CultureInfo.InvariantCulture, $"{span.Ticks / Units[i].Span.Ticks}{Units[i].Unit}");
        }

        return string.Create(CultureInfo.InvariantCulture, $"{span.TotalMilliseconds:0.####}ms");
    }
}
