using System.Collections.Immutable;
using System.Text.Json;
using Coppice.Access;
using Coppice.Protocol;

namespace Coppice.Server.Access;

/// <summary>Somebody who may act: a person or a program. Never deleted: events name them.</summary>
sealed class OperatorRow
{
    public required string Name { get; set; }

    /// <summary>The identity provider's <c>sub</c>.</summary>
    public string? Subject { get; set; }
    public required string Grants { get; set; }
    public required DateTimeOffset CreatedAt { get; set; }
    public required string CreatedBy { get; set; }
    public DateTimeOffset? RemovedAt { get; set; }

    public OperatorView View() => new(Name, GrantText.Read(Grants), CreatedAt, CreatedBy, Subject, RemovedAt) { Revision = Preconditions.Revision.Of(Grants, Subject, RemovedAt is { } at ? Preconditions.Revision.At(at) : null) };
}

/// <summary>An API token, by the hash of its secret.</summary>
sealed class ApiTokenRow
{
    public required string Id { get; set; }
    public required string Name { get; set; }
    public required string Operator { get; set; }
    public required string Hash { get; set; }

    /// <summary>Narrow the operator's; none for all of them.</summary>
    public required string Grants { get; set; }
    public required DateTimeOffset CreatedAt { get; set; }
    public required string CreatedBy { get; set; }
    public DateTimeOffset? ExpiresAt { get; set; }
    public DateTimeOffset? LastUsedAt { get; set; }
    public string? LastUsedFrom { get; set; }
    public DateTimeOffset? RevokedAt { get; set; }
    public string? RevokedBy { get; set; }

    public ApiTokenView View() => new(Id, Name, Operator, GrantText.Read(Grants), CreatedAt, CreatedBy)
    {
        ExpiresAt = ExpiresAt,
        LastUsedAt = LastUsedAt,
        LastUsedFrom = LastUsedFrom,
        RevokedAt = RevokedAt,
        RevokedBy = RevokedBy,
    };
}

/// <summary>Grants in a column, as JSON.</summary>
static class GrantText
{
    public static string Of(ImmutableArray<RoleGrant> grants) => JsonSerializer.Serialize(grants, ControlContext.Default.ImmutableArrayRoleGrant);

    public static ImmutableArray<RoleGrant> Read(string text) => JsonSerializer.Deserialize(text, ControlContext.Default.ImmutableArrayRoleGrant);

    /// <summary>A layer of rights.</summary>
    public static ImmutableArray<Grant> Layer(string text) => TryLayer("grants", Read(text), out var layer, out var problems)
        ? layer
        : throw new InvalidDataException($"A grant that was kept cannot be read: {string.Join(" ", problems)}");

    public static bool TryLayer(string where, ImmutableArray<RoleGrant> grants, out ImmutableArray<Grant> layer, out List<Problem> problems)
    {
        problems = [];
        var read = ImmutableArray.CreateBuilder<Grant>();
        for (var i = 0; i < grants.Length; i++)
        {
            if (Grant.TryRead($"{where}[{i}]", grants[i].Role, grants[i].Models, grants[i].Devices, out var grant, problems))
                read.Add(grant);
        }

        layer = read.ToImmutable();
        return problems.Count == 0;
    }
}
