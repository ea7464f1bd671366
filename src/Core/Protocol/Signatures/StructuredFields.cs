using System.Collections.Immutable;
using System.Globalization;

namespace Coppice.Protocol.Signatures;

/// <summary>As much of RFC 9651 as signatures need: dictionaries of byte sequences, and of inner lists of strings with parameters.</summary>
/// <remarks>Strict, one pass, and bounded before anything is read: a header is at most <see cref="MaxLength"/> characters, a dictionary <see cref="MaxMembers"/> members.</remarks>
static class StructuredFields
{
    public const int MaxLength = 4096;
    public const int MaxMembers = 4;
    const int MaxItems = 16;

    /// <summary>Reads <c>name=:base64:, …</c>.</summary>
    public static bool TryReadBytes(string? text, out ImmutableArray<(string Name, byte[] Bytes)> members)
    {
        var found = ImmutableArray.CreateBuilder<(string, byte[])>();
        members = [];
        if (!TryReadMembers(text, (ref Reader reader, string name) =>
            {
                if (!reader.TryBytes(out var bytes))
                    return false;
                found.Add((name, bytes));
                return true;
            }))
            return false;
        members = found.ToImmutable();
        return true;
    }

    /// <summary>Reads <c>name=("item" "item");key=value, …</c>.</summary>
    public static bool TryReadInputs(string? text, out ImmutableArray<SignatureInput> members)
    {
        var found = ImmutableArray.CreateBuilder<SignatureInput>();
        members = [];
        if (!TryReadMembers(text, (ref Reader reader, string name) =>
            {
                if (!TryReadInput(ref reader, name, out var input))
                    return false;
                found.Add(input!);
                return true;
            }))
            return false;
        members = found.ToImmutable();
        return true;
    }

    delegate bool Member(ref Reader reader, string name);

    static bool TryReadMembers(string? text, Member read)
    {
        if (text is null || text.Length is 0 or > MaxLength)
            return false;
        var reader = new Reader(text);
        var names = new HashSet<string>(StringComparer.Ordinal);
        do
        {
            reader.Skip();
            if (names.Count == MaxMembers || !reader.TryKey(out var name) || !names.Add(name) || !reader.Take('=') || !read(ref reader, name))
                return false;
            reader.Skip();
        }
        while (reader.Take(','));
        return reader.AtEnd;
    }

    static bool TryReadInput(ref Reader reader, string name, out SignatureInput? input)
    {
        input = null;
        var from = reader.At;
        if (!reader.Take('('))
            return false;
        var items = ImmutableArray.CreateBuilder<string>();
        while (!reader.Take(')'))
        {
            if (items.Count == MaxItems || (items.Count > 0 && !reader.Take(' ')) || !reader.TryString(out var item) || items.Contains(item))
                return false; // an item with parameters ends here: nothing that is signed here has any
            items.Add(item);
        }

        long? created = null;
        string? key = null, algorithm = null, tag = null, nonce = null;
        var parameters = new HashSet<string>(StringComparer.Ordinal);
        while (reader.Take(';'))
        {
            if (!reader.TryKey(out var parameter) || !parameters.Add(parameter) || parameters.Count > MaxItems || !reader.Take('='))
                return false;
            bool good;
            switch (parameter)
            {
                case "created":
                    good = reader.TryInteger(out var at);
                    created = at;
                    break;
                case "keyid":
                    good = reader.TryString(out key);
                    break;
                case "alg":
                    good = reader.TryString(out algorithm);
                    break;
                case "tag":
                    good = reader.TryString(out tag);
                    break;
                case "nonce":
                    good = reader.TryString(out nonce);
                    break;
                default:
                    return false; // 'expires' and what is not known would be signed and not heeded
            }

            if (!good)
                return false;
        }

        input = new(name, items.ToImmutable(), reader.Text[from..reader.At]) { Created = created, KeyId = key, Algorithm = algorithm, Tag = tag, Nonce = nonce };
        return true;
    }

    ref struct Reader(string text)
    {
        public readonly string Text => text;

        public int At { get; private set; }

        public readonly bool AtEnd => At == text.Length;

        public bool Take(char wanted)
        {
            if (AtEnd || text[At] != wanted)
                return false;
            At++;
            return true;
        }

        public void Skip()
        {
            while (!AtEnd && text[At] is ' ' or '\t')
                At++;
        }

        public bool TryKey(out string key)
        {
            var from = At;
            if (!AtEnd && (char.IsAsciiLetterLower(text[At]) || text[At] == '*'))
            {
                while (!AtEnd && (char.IsAsciiLetterLower(text[At]) || char.IsAsciiDigit(text[At]) || text[At] is '_' or '-' or '.' or '*'))
                    At++;
            }

            key = text[from..At];
            return key.Length > 0;
        }

        /// <summary>Without escapes: nothing that is signed here has a quote or a backslash.</summary>
        public bool TryString(out string value)
        {
            value = "";
            if (!Take('"'))
                return false;
            var from = At;
            while (!AtEnd && text[At] is >= ' ' and <= '~' and not '"' and not '\\')
                At++;
            value = text[from..At];
            return Take('"');
        }

        public bool TryInteger(out long value)
        {
            var from = At;
            while (!AtEnd && char.IsAsciiDigit(text[At]))
                At++;
            value = 0;
            return At - from is > 0 and <= 15 && long.TryParse(text.AsSpan(from, At - from), NumberStyles.None, CultureInfo.InvariantCulture, out value);
        }

        public bool TryBytes(out byte[] bytes)
        {
            bytes = [];
            if (!Take(':'))
                return false;
            var from = At;
            while (!AtEnd && text[At] != ':')
                At++;
            var base64 = text.AsSpan(from, At - from);
            var buffer = new byte[base64.Length];
            // Convert passes over white space, which is not base64's.
            if (!Take(':') || base64.IndexOfAny(" \t\r\n") >= 0 || !Convert.TryFromBase64Chars(base64, buffer, out var length))
                return false;
            bytes = buffer[..length];
            return true;
        }
    }
}
