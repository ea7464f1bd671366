using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Coppice.Server.Preconditions;

/// <summary>Names what operators can change in a thing, as it is now: another text after each change, the same without one.</summary>
static class Revision
{
    const int Bytes = 8;

    /// <summary>The revision of a thing.</summary>
    /// <param name="parts">Everything that an operator can change, always in one order.</param>
    public static string Of(params ReadOnlySpan<string?> parts)
    {
        var text = new StringBuilder();
        foreach (var part in parts)
            text.Append(CultureInfo.InvariantCulture, $"{part?.Length ?? -1}:{part};");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())).AsSpan(0, Bytes));
    }

    /// <summary>A moment, for <see cref="Of"/>: the same from every database.</summary>
    public static string At(DateTimeOffset moment) => moment.ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);
}
