namespace Coppice.Trust;

/// <summary>A path pattern of a delegation: <c>*</c> is any run of characters, <c>?</c> any one, neither passes a <c>/</c>.</summary>
/// <remarks>Case matters. Time is bounded by pattern length × path length, whatever the pattern.</remarks>
readonly struct PathPattern(string pattern)
{
    public bool Matches(string path)
    {
        var patternParts = pattern.AsSpan();
        var pathParts = path.AsSpan();
        while (true)
        {
            var patternEnd = patternParts.IndexOf('/');
            var pathEnd = pathParts.IndexOf('/');
            if (patternEnd < 0 != pathEnd < 0)
                return false; // not equally deep
            if (patternEnd < 0)
                return MatchesPart(patternParts, pathParts);
            if (!MatchesPart(patternParts[..patternEnd], pathParts[..pathEnd]))
                return false;
            patternParts = patternParts[(patternEnd + 1)..];
            pathParts = pathParts[(pathEnd + 1)..];
        }
    }

    // Greedy with one point to go back to: only the last star can ever need to take more.
    static bool MatchesPart(ReadOnlySpan<char> pattern, ReadOnlySpan<char> text)
    {
        int p = 0, t = 0, star = -1, resume = 0;
        while (t < text.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                star = p++;
                resume = t;
            }
            else if (p < pattern.Length && (pattern[p] == '?' || pattern[p] == text[t]))
            {
                p++;
                t++;
            }
            else if (star >= 0)
            {
                p = star + 1;
                t = ++resume;
            }
            else
            {
                return false;
            }
        }
        return pattern[p..].TrimStart('*').IsEmpty;
    }
}
