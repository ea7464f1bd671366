using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Access;
using Coppice.Protocol;

namespace Coppice.Server.Access;

/// <summary>An OpenID Connect provider whose sign-ins are taken, and what its groups may do: the file of <c>coppice serve --oidc FILE</c>.</summary>
/// <param name="Issuer">Exactly as the provider's tokens name it. HTTPS, but for an address on this machine.</param>
/// <param name="Audience">Tokens must be for it; most providers put the client's id there.</param>
/// <param name="ClientId">The id of the command line as a public client of the provider.</param>
public sealed record OidcSettings(string Issuer, string Audience, string ClientId)
{
    /// <summary>The claim that says in which groups somebody is: a text or a list of texts.</summary>
    public string GroupsClaim { get; init => field = value ?? "groups"; } = "groups";

    /// <summary>The claim that people are called by in events; who they are is always issuer and <c>sub</c>. An unverified e-mail address is not taken.</summary>
    public string NameClaim { get; init => field = value ?? "email"; } = "email";

    /// <summary>What the command line asks for.</summary>
    public string Scopes { get; init => field = value ?? DefaultScopes; } = DefaultScopes;

    /// <summary>What groups may do. Somebody in none of them may do nothing, unless an operator has their <c>sub</c>.</summary>
    public ImmutableArray<GroupGrant> Groups { get; init => field = value.IsDefault ? [] : value; } = [];

    const string DefaultScopes = "openid email profile groups offline_access";

    /// <summary>Reads the file.</summary>
    /// <exception cref="InvalidDataException">It cannot be read; everything that is wrong is said.</exception>
    public static OidcSettings Read(string file)
    {
        OidcSettings settings;
        try
        {
            settings = JsonSerializer.Deserialize(File.ReadAllText(file), OidcContext.Default.OidcSettings) ?? throw new JsonException("The file holds null.");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{file}: {e.Message} docs/guides/operators.md shows such a file.", e);
        }

        var problems = new List<Problem>();
        if (!Uri.TryCreate(settings.Issuer, UriKind.Absolute, out var issuer) || !(issuer.Scheme == Uri.UriSchemeHttps || (issuer.Scheme == Uri.UriSchemeHttp && issuer.IsLoopback)))
            problems.Add(new("issuer", $"'{settings.Issuer}' is no address of a provider; give it with https://, as its tokens name it."));
        for (var i = 0; i < settings.Groups.Length; i++)
            Grant.TryRead($"groups[{i}]", settings.Groups[i].Role, settings.Groups[i].Models, settings.Groups[i].Devices, out _, problems);
        return problems.Count == 0 ? settings : throw new InvalidDataException($"{file}: {string.Join(" ", problems)}");
    }

    /// <summary>The grants of somebody who is in these groups.</summary>
    internal IEnumerable<Grant> GrantsOf(IReadOnlySet<string> groups)
    {
        var problems = new List<Problem>();
        foreach (var mapped in Groups.Where(mapped => groups.Contains(mapped.Group)))
        {
            if (Grant.TryRead("groups", mapped.Role, mapped.Models, mapped.Devices, out var grant, problems))
                yield return grant;
        }
    }
}

/// <summary>A role for the members of a group.</summary>
/// <param name="Group">As the provider calls it.</param>
/// <param name="Role">What its members are to the models and devices.</param>
public sealed record GroupGrant(string Group, Role Role)
{
    /// <summary>Which models.</summary>
    public string Models { get; init => field = value ?? "*"; } = "*";

    /// <summary>Which devices; empty for all.</summary>
    public string Devices { get; init => field = value ?? ""; } = "";
}

[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web, PropertyNameCaseInsensitive = false, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, AllowDuplicateProperties = false,
    Converters = [typeof(NamedEnum<Role>)])]
[JsonSerializable(typeof(OidcSettings))]
sealed partial class OidcContext : JsonSerializerContext;
