using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Coppice.Server.Access;

/// <summary>The client certificate that a proxy took and passes on in a header. Means nothing unless the proxy is trusted.</summary>
/// <remarks>
/// Three writings are read: <c>Client-Cert: :base64:</c> (RFC 9440), <c>X-SSL-Client-Cert</c> with PEM in percent-encoding as nginx's
/// <c>$ssl_client_escaped_cert</c>, and <c>X-Forwarded-Client-Cert</c> with <c>Cert="…"</c> as Envoy writes it.
/// </remarks>
static class ForwardedCertificate
{
    /// <summary>Most characters of a header that is looked at.</summary>
    public const int MaxLength = 24 << 10;

    const string Begin = "-----BEGIN CERTIFICATE-----";
    const string End = "-----END CERTIFICATE-----";

    /// <summary>The headers that are read, the first one that is there.</summary>
    public static IReadOnlyList<string> Headers { get; } = ["Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert"];

    /// <summary>The header of a request, whoever wrote it.</summary>
    public static bool TryFind(IHeaderDictionary headers, out string name, out string value)
    {
        foreach (var known in Headers)
        {
            if (headers.TryGetValue(known, out var found) && found.Count > 0 && found.ToString().Length > 0)
            {
                (name, value) = (known, found.ToString());
                return true;
            }
        }

        (name, value) = ("", "");
        return false;
    }

    /// <summary>The certificate's bytes, DER, which may yet be anything.</summary>
    public static bool TryRead(string name, string value, [NotNullWhen(true)] out byte[]? der)
    {
        der = null;
        if (value.Length > MaxLength)
            return false;
        return name switch
        {
            "Client-Cert" => value is [':', .. var inner, ':'] && TryBase64(inner, out der),
            "X-SSL-Client-Cert" => TryPem(value, out der),
            "X-Forwarded-Client-Cert" => Quoted(value) is { } pem && TryPem(pem, out der),
            _ => false,
        };
    }

    /// <summary>The value of <c>Cert</c> in the last element, which the nearest proxy wrote: those before it came from further away.</summary>
    static string? Quoted(string value)
    {
        string? found = null;
        var quoted = false;
        var start = 0;
        for (var i = 0; i <= value.Length; i++)
        {
            if (i < value.Length && value[i] == '\\' && quoted)
                i++;
            else if (i < value.Length && value[i] == '"')
                quoted = !quoted;
            else if (i == value.Length || (!quoted && value[i] is ',' or ';'))
            {
                var pair = value.AsSpan(start, i - start).Trim();
                if (pair.StartsWith("Cert=\"", StringComparison.OrdinalIgnoreCase) && pair.EndsWith("\"") && pair.Length > 7)
                    found = pair[6..^1].ToString();
                if (i < value.Length && value[i] == ',')
                    found = null;
                start = i + 1;
            }
        }

        return quoted ? null : found;
    }

    static bool TryPem(string escaped, [NotNullWhen(true)] out byte[]? der)
    {
        der = null;
        var text = Unescape(escaped);
        var from = text.IndexOf(Begin, StringComparison.Ordinal);
        var to = text.IndexOf(End, StringComparison.Ordinal);
        // One certificate: of a chain it would not be clear which one was proved.
        if (from != 0 || to < 0 || text.AsSpan(to + End.Length).ContainsAnyExcept('\r', '\n', ' '))
            return false;
        var base64 = new StringBuilder();
        foreach (var c in text.AsSpan(Begin.Length, to - Begin.Length))
        {
            if (c is not ('\r' or '\n' or ' ' or '\t'))
                base64.Append(c);
        }

        return TryBase64(base64.ToString(), out der);
    }

    static bool TryBase64(string text, [NotNullWhen(true)] out byte[]? der)
    {
        der = new byte[text.Length];
        if (text.Length == 0 || text.AsSpan().IndexOfAny(" \t\r\n") >= 0 || !Convert.TryFromBase64String(text, der, out var length))
            der = null;
        else
            der = der[..length];
        return der is { Length: > 0 };
    }

    /// <summary>Percent-encoding of ASCII; a '+' is itself, for base64 has it.</summary>
    static string Unescape(string text)
    {
        var plain = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '%' && i + 2 < text.Length && char.IsAsciiHexDigit(text[i + 1]) && char.IsAsciiHexDigit(text[i + 2]))
            {
                plain.Append((char)Convert.ToByte(text.Substring(i + 1, 2), 16));
                i += 2;
            }
            else
                plain.Append(text[i]);
        }

        return plain.ToString();
    }
}
