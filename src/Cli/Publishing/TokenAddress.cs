namespace Coppice.Cli.Publishing;

/// <summary>Where a key lies in a token, as RFC 7512 writes it: <c>pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/…/libsofthsm2.so</c>.</summary>
/// <param name="Token">The token's label.</param>
/// <param name="Label">The key's label.</param>
/// <param name="Module">The PKCS#11 library of the token's maker.</param>
/// <param name="PinSource">A file that holds the PIN; null to ask.</param>
sealed record TokenAddress(string Token, string Label, string Module, string? PinSource)
{
    const string Scheme = "pkcs11:";

    /// <summary>Environment variable in place of <c>module-path</c>.</summary>
    public const string ModuleVariable = "COPPICE_PKCS11_MODULE";

    public static bool IsOne(string text) => text.StartsWith(Scheme, StringComparison.Ordinal);

    /// <exception cref="UsageException">A part is missing or not known.</exception>
    public static TokenAddress Parse(string text)
    {
        var (path, query) = text[Scheme.Length..].Split('?', 2) is [var before, var after] ? (before, after) : (text[Scheme.Length..], "");
        var parts = Parts(text, path, ';').Concat(Parts(text, query, '&')).ToLookup(part => part.Name, part => part.Value, StringComparer.Ordinal);
        if (parts.FirstOrDefault(part => part.Key is not ("token" or "object" or "module-path" or "pin-source")) is { } unknown)
            throw new UsageException($"'{text}': '{unknown.Key}' is not known here; write pkcs11:token=NAME;object=LABEL?module-path=FILE.");
        return new(
            parts["token"].FirstOrDefault() ?? throw Missing(text, "token=NAME, the token's label"),
            parts["object"].FirstOrDefault() ?? throw Missing(text, "object=LABEL, the key's label"),
            parts["module-path"].FirstOrDefault() ?? Environment.GetEnvironmentVariable(ModuleVariable) ?? throw Missing(text, $"module-path=FILE, the PKCS#11 library of the token's maker (or set {ModuleVariable})"),
            parts["pin-source"].FirstOrDefault() is { } source ? source.StartsWith("file:", StringComparison.Ordinal) ? new Uri(source).LocalPath : source : null);
    }

    static IEnumerable<(string Name, string Value)> Parts(string text, string list, char separator) =>
        list.Split(separator, StringSplitOptions.RemoveEmptyEntries).Select(part => part.Split('=', 2) is [var name, var value]
            ? (name, Uri.UnescapeDataString(value))
            : throw new UsageException($"'{text}': '{part}' is not NAME=VALUE."));

    static UsageException Missing(string text, string part) => new($"'{text}' lacks {part}; write pkcs11:token=NAME;object=LABEL?module-path=FILE.");

    public override string ToString() => $"{Scheme}token={Uri.EscapeDataString(Token)};object={Uri.EscapeDataString(Label)}";
}
