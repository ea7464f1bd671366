using System.Globalization;

namespace Coppice;

/// <summary>Amounts of bytes as people write them: <c>512MiB</c>, <c>2GB</c>, <c>42</c>.</summary>
public static class ByteSize
{
    /// <summary>Reads a number with B, KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024), or none for bytes.</summary>
    /// <param name="text">As <c>1.5GB</c>.</param>
    /// <param name="bytes">0 and up; not necessarily whole.</param>
    public static bool TryParse(ReadOnlySpan<char> text, out double bytes)
    {
        var end = text.Length;
        while (end > 0 && char.IsAsciiLetter(text[end - 1]))
            end--;
        double scale = text[end..] switch
        {
            "" or "B" => 1,
            "KB" or "kB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            "KiB" => 1L << 10,
            "MiB" => 1L << 20,
            "GiB" => 1L << 30,
            "TiB" => 1L << 40,
            _ => 0,
        };
        bytes = 0;
        if (scale == 0 || !double.TryParse(text[..end], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
            return false;
        bytes = number * scale;
        return true;
    }

    /// <summary>For a person, with three digits at most: 12 B, 1.5 kB, 2.25 GB.</summary>
    public static string Format(long bytes) => bytes switch
    {
        < 1_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes} B"),
        < 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e3:0.#} kB"),
        < 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.#} MB"),
        < 1_000_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.##} GB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e12:0.##} TB"),
    };
}
