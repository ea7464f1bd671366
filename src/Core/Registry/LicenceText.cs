namespace Coppice.Registry;

/// <summary>Licences as people write them.</summary>
public static class LicenceText
{
    /// <summary>Identifiers of SPDX's list that look like any other word; the others have a hyphen or a digit.</summary>
    static readonly HashSet<string> PlainIds = new(["MIT", "ISC", "Zlib", "Unlicense", "WTFPL", "NTP", "Ruby", "Vim", "curl", "OpenSSL", "PostgreSQL", "NCSA", "X11", "0BSD"], StringComparer.Ordinal);

    /// <summary>Whether the text is an SPDX expression: <c>Apache-2.0</c>, <c>MIT OR (GPL-2.0-only WITH Classpath-exception-2.0)</c>; else it is a name.</summary>
    public static bool IsExpression(string text)
    {
        var words = text.Replace("(", " ( ", StringComparison.Ordinal).Replace(")", " ) ", StringComparison.Ordinal).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var (open, wantsLicence) = (0, true);
        foreach (var word in words)
        {
            switch (word)
            {
                case "(" when wantsLicence:
                    open++;
                    break;
                case ")" when !wantsLicence && open > 0:
                    open--;
                    break;
                case "AND" or "OR" or "WITH" when !wantsLicence:
                    wantsLicence = true;
                    break;
                case var id when wantsLicence && IsId(id):
                    wantsLicence = false;
                    break;
                default:
                    return false;
            }
        }

        return open == 0 && !wantsLicence;
    }

    static bool IsId(string word) =>
        PlainIds.Contains(word)
        || (word.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '+') && char.IsAsciiLetterOrDigit(word[0])
            && (word.StartsWith("LicenseRef-", StringComparison.Ordinal) || (word.Contains('-') && word.Any(char.IsAsciiDigit)) || word.EndsWith("-exception", StringComparison.Ordinal)));
}
