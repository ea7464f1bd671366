using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>Metadata on its way to the people who sign it: a file that travels by USB stick or mail, gathers signatures, and comes back.</summary>
/// <remarks>
/// It carries what is to be signed beside what is published now, so that a machine without network can tell in plain words
/// what would change (<see cref="SigningSummary"/>). Nothing in it is secret, and nothing it says of itself is believed:
/// whoever applies it holds it against the repository, and whoever signs it is shown what the bytes say.
/// </remarks>
public sealed class SigningRequest
{
    /// <summary>Largest request read, in bytes.</summary>
    public const int MaxBytes = 16 << 20;

    /// <summary>Longest purpose, in characters.</summary>
    public const int MostPurpose = 500;

    const string Kind = "signing-request";
    const int Schema = 1;

    static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    readonly ImmutableDictionary<string, ReadOnlyMemory<byte>> _present;
    readonly ImmutableDictionary<string, ReadOnlyMemory<byte>> _next;

    SigningRequest(
        string purpose, DateTimeOffset created, ImmutableDictionary<string, ReadOnlyMemory<byte>> present, ImmutableDictionary<string, ReadOnlyMemory<byte>> next,
        ImmutableSortedDictionary<string, ReadOnlyMemory<byte>> manifests)
    {
        (Purpose, Created, _present, _next, Manifests) = (purpose, created, present, next, manifests);
        PresentRoot = present.TryGetValue(TopLevelRole.Root, out var root) ? MetadataFile.ReadRoot(root) : null;
        NextRoot = next.TryGetValue(TopLevelRole.Root, out root) ? MetadataFile.ReadRoot(root) : null;
        Present = ReadTargets(present);
        Next = ReadTargets(next);
        RequireConsistent();
        Needs = [.. FindNeeds()];
    }

    /// <summary>What its maker says it is for. Anybody could have written it.</summary>
    public string Purpose { get; }

    /// <summary>When it was made, says its maker.</summary>
    public DateTimeOffset Created { get; }

    /// <summary>The published root; null for a repository that is not there yet.</summary>
    public MetadataFile<Root>? PresentRoot { get; }

    /// <summary>The root to be signed; null when it stays.</summary>
    public MetadataFile<Root>? NextRoot { get; }

    /// <summary>Published metadata of targets and the roles below it that the request concerns.</summary>
    public ImmutableSortedDictionary<string, MetadataFile<Targets>> Present { get; }

    /// <summary>Metadata to be signed, but for the root.</summary>
    public ImmutableSortedDictionary<string, MetadataFile<Targets>> Next { get; }

    /// <summary>Manifests of the releases that are added, by target path.</summary>
    public ImmutableSortedDictionary<string, ReadOnlyMemory<byte>> Manifests { get; }

    /// <summary>The signatures that are needed, and those that are there.</summary>
    public ImmutableArray<SignatureNeed> Needs { get; }

    /// <summary>Whether every signature that is needed is there.</summary>
    public bool IsComplete => Needs.All(need => need.IsMet);

    /// <summary>The metadata to be published, root first.</summary>
    public ImmutableArray<KeyValuePair<string, ReadOnlyMemory<byte>>> Metadata => [.. _next.OrderBy(role => Rank(role.Key)).ThenBy(role => role.Key, StringComparer.Ordinal)];

    /// <summary>Makes a request.</summary>
    /// <param name="purpose">For the people who sign, a sentence.</param>
    /// <param name="created">Now.</param>
    /// <param name="present">Published metadata by role: what the signatures are held against, and what is changed.</param>
    /// <param name="next">Metadata to be signed.</param>
    /// <param name="manifests">Manifests of added releases, by target path.</param>
    /// <exception cref="UntrustedMetadataException">It does not fit together.</exception>
    public static SigningRequest Create(
        string purpose, DateTimeOffset created, IEnumerable<KeyValuePair<string, ReadOnlyMemory<byte>>> present, IEnumerable<KeyValuePair<string, ReadOnlyMemory<byte>>> next,
        IEnumerable<KeyValuePair<string, ReadOnlyMemory<byte>>>? manifests = null) =>
        new(purpose.Length <= MostPurpose ? purpose : purpose[..MostPurpose], created, present.ToImmutableDictionary(StringComparer.Ordinal), next.ToImmutableDictionary(StringComparer.Ordinal),
            (manifests ?? []).ToImmutableSortedDictionary(StringComparer.Ordinal));

    /// <summary>Reads a request.</summary>
    /// <exception cref="UntrustedMetadataException">It is no request, or does not fit together.</exception>
    public static SigningRequest Read(ReadOnlySpan<byte> bytes)
    {
        var reader = new MetadataReader(Kind);
        if (bytes.Length > MaxBytes)
            throw new UntrustedMetadataException(Kind, Distrust.TooLong, $"the file has {bytes.Length} bytes", $"{MaxBytes} are taken at most");
        var file = reader.Parse(bytes);
        if (file.ValueKind != JsonValueKind.Object || MetadataReader.Optional(file, "coppice") is not { ValueKind: JsonValueKind.String } kind || reader.Text(kind) != Kind)
            throw reader.Malformed("the file does not begin with \"coppice\": \"signing-request\"", "give the file that 'coppice root', 'coppice delegate' or 'coppice publish --request' wrote");
        if (reader.Integer(file, "schema", least: 1) is not Schema and var schema)
            throw reader.Malformed($"its schema is {schema}", $"this version of coppice reads {Schema}");
        var purpose = reader.Text(file, "purpose");
        if (purpose.Length > MostPurpose)
            throw reader.Malformed($"the purpose has {purpose.Length} characters", $"say it in {MostPurpose}");
        var manifests = ImmutableSortedDictionary.CreateBuilder<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        if (MetadataReader.Optional(file, "manifests") is not null)
        {
            foreach (var member in reader.Object(file, "manifests").EnumerateObject())
                manifests.Add(reader.Name(member), Encoding.UTF8.GetBytes(reader.Text(member.Value)));
        }
        return new(purpose, reader.Time(file, "created"), Files(reader, file, "present"), Files(reader, file, "next"), manifests.ToImmutable());
    }

    /// <summary>The request as a file.</summary>
    public byte[] Write()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Indented))
        {
            writer.WriteStartObject();
            writer.WriteString("coppice", Kind);
            writer.WriteNumber("schema", Schema);
            writer.WriteString("purpose", Purpose);
            writer.WriteString("created", MetadataTime.Write(Created));
            WriteFiles(writer, "present", _present);
            WriteFiles(writer, "next", _next);
            writer.WriteStartObject("manifests");
            foreach (var (path, manifest) in Manifests)
                writer.WriteString(path, manifest.Span);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }
        return [.. buffer.WrittenSpan, (byte)'\n'];
    }

    /// <summary>Adds a key's signature to everything for which the key counts.</summary>
    /// <param name="key">The signer's key.</param>
    /// <param name="roles">What it signed; empty when its signature is asked for nowhere.</param>
    public SigningRequest Sign(SigningKey key, out ImmutableArray<string> roles)
    {
        roles = [.. Needs.Where(need => need.Keys.Any(wanted => wanted.Id == key.KeyId)).Select(need => need.Role).Distinct(StringComparer.Ordinal)];
        var next = _next;
        foreach (var role in roles)
            next = next.SetItem(role, MetadataSigning.AddSignature(next[role], key));
        return new(Purpose, Created, _present, next, Manifests);
    }

    /// <summary>Takes over the signatures of a copy that another person signed.</summary>
    /// <exception cref="UntrustedMetadataException">It asks for something else to be signed.</exception>
    public SigningRequest Merge(SigningRequest other)
    {
        var next = _next;
        var (own, theirs) = (SignedForms(), other.SignedForms());
        foreach (var (role, form) in own)
        {
            if (own.Count != theirs.Count || !theirs.TryGetValue(role, out var their) || !their.Span.SequenceEqual(form.Span))
                throw new UntrustedMetadataException(Kind, Distrust.WrongHash, $"the other file says something else of '{role}'", "merge only copies of one request");
            next = next.SetItem(role, MetadataSigning.Union(next[role], other._next[role]));
        }
        return new(Purpose, Created, _present, next, Manifests);
    }

    /// <summary>Whether the root that the request starts from says the same as one that the signer holds.</summary>
    public bool StartsFrom(MetadataFile<Root> root) => PresentRoot is { } present && present.SignedForm.Span.SequenceEqual(root.SignedForm.Span);

    Dictionary<string, ReadOnlyMemory<byte>> SignedForms()
    {
        var forms = Next.ToDictionary(role => role.Key, role => role.Value.SignedForm, StringComparer.Ordinal);
        if (NextRoot is not null)
            forms.Add(TopLevelRole.Root, NextRoot.SignedForm);
        return forms;
    }

    IEnumerable<SignatureNeed> FindNeeds()
    {
        if (NextRoot is { } root)
        {
            var byNext = SignatureNeed.Of(root, root.Signed, "the next root");
            var byPresent = PresentRoot is null ? null : SignatureNeed.Of(root, PresentRoot.Signed, "the present root");
            if (byPresent is not null)
                yield return byPresent;
            if (byPresent is null || !byPresent.AsksTheSameAs(byNext))
                yield return byNext;
        }
        foreach (var (role, file) in Next.OrderBy(role => Rank(role.Key)))
        {
            yield return role == TopLevelRole.Targets
                ? SignatureNeed.Of(file, (NextRoot ?? PresentRoot)!.Signed, "the root")
                : SignatureNeed.Of(file, Above(Next, Present)!.Signed, "the targets");
        }
    }

    // What anybody can see to be wrong, without the repository.
    void RequireConsistent()
    {
        var reader = new MetadataReader(Kind);
        if (_next.IsEmpty)
            throw reader.Malformed("there is nothing to sign", "give metadata under 'next'");
        foreach (var role in _present.Keys.Concat(_next.Keys))
        {
            if (role is not (TopLevelRole.Root or TopLevelRole.Targets) && !RepositoryLayout.IsReleaseRole(role))
                throw reader.Malformed($"it holds the role '{UntrustedMetadataException.Shown(role)}'", "offline keys sign root, targets, releases and teams' roles");
        }
        if ((NextRoot ?? PresentRoot) is null)
            throw reader.Malformed("there is no root, present or next", "say who signs");
        PresentRoot?.RequireSignedFor(PresentRoot.Signed);
        if (PresentRoot is not null && NextRoot is not null && NextRoot.Signed.Version != PresentRoot.Signed.Version + 1)
            throw reader.Malformed($"root version {NextRoot.Signed.Version} does not follow {PresentRoot.Signed.Version}", "start again from the published root");
        if (Present.TryGetValue(TopLevelRole.Targets, out var targets) && PresentRoot is not null)
            targets.RequireSignedFor(PresentRoot.Signed);
        foreach (var (role, file) in Next)
        {
            if (Present.TryGetValue(role, out var present) && file.Signed.Version <= present.Signed.Version) // by how much it may go beyond is the repository's word
                throw reader.Malformed($"'{role}' version {file.Signed.Version} does not follow {present.Signed.Version}", "start again from the published metadata");
            if (role != TopLevelRole.Targets && Above(Next, Present)?.Signed.KeysOf(role) is null)
                throw reader.Malformed($"nobody delegates to '{role}'", "give the targets that do");
        }
        foreach (var (path, manifest) in Manifests)
        {
            var named = Next.Values.Select(file => file.Signed.Files.GetValueOrDefault(path)).FirstOrDefault(found => found is not null);
            if (named is null || named.Length != manifest.Length || !named.Hashes.Match(manifest.Span))
                throw reader.Malformed($"the manifest '{UntrustedMetadataException.Shown(path)}' is not what is to be signed", "give the manifest that the metadata names");
        }
    }

    static MetadataFile<Targets>? Above(IReadOnlyDictionary<string, MetadataFile<Targets>> next, IReadOnlyDictionary<string, MetadataFile<Targets>> present) =>
        next.GetValueOrDefault(TopLevelRole.Targets) ?? present.GetValueOrDefault(TopLevelRole.Targets);

    static ImmutableSortedDictionary<string, MetadataFile<Targets>> ReadTargets(ImmutableDictionary<string, ReadOnlyMemory<byte>> files) => files
        .Where(file => file.Key != TopLevelRole.Root)
        .ToImmutableSortedDictionary(file => file.Key, file => MetadataFile.ReadTargets(file.Value, file.Key), StringComparer.Ordinal);

    static ImmutableDictionary<string, ReadOnlyMemory<byte>> Files(MetadataReader reader, JsonElement file, string name)
    {
        var files = ImmutableDictionary.CreateBuilder<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        foreach (var member in reader.Object(file, name).EnumerateObject())
        {
            var role = reader.Name(member);
            var inner = new MetadataReader(role);
            if (member.Value.ValueKind != JsonValueKind.Object)
                throw reader.Malformed($"'{UntrustedMetadataException.Shown(role)}' is no object", "give 'signatures' and 'signed'");
            var signed = inner.Object(member.Value, "signed");
            _ = inner.Canonical(signed); // what has no canonical form cannot be written either
            var signatures = MetadataFile.ReadSignatures(inner, member.Value).Select(signature => (signature.KeyId, signature.Signature.ToArray()));
            files.Add(role, MetadataSigning.Envelope(signed, signatures)); // without the white space of this file
        }
        return files.ToImmutable();
    }

    static void WriteFiles(Utf8JsonWriter writer, string name, ImmutableDictionary<string, ReadOnlyMemory<byte>> files)
    {
        writer.WriteStartObject(name);
        foreach (var (role, bytes) in files.OrderBy(file => Rank(file.Key)).ThenBy(file => file.Key, StringComparer.Ordinal))
        {
            writer.WritePropertyName(role);
            new MetadataReader(role).Parse(bytes.Span).WriteTo(writer);
        }
        writer.WriteEndObject();
    }

    static int Rank(string role) => role switch { TopLevelRole.Root => 0, TopLevelRole.Targets => 1, _ => 2 };
}

/// <summary>Signatures that a role needs: how many, whose, and which are there.</summary>
/// <param name="Role">The role to be signed.</param>
/// <param name="By">Who asks for them: the present root, the next root, the root, the targets.</param>
/// <param name="Threshold">How many, by different keys.</param>
/// <param name="Keys">The keys that count.</param>
/// <param name="Signed">Ids of those that have signed, verified.</param>
public sealed record SignatureNeed(string Role, string By, long Threshold, ImmutableArray<NamedKey> Keys, ImmutableArray<string> Signed)
{
    /// <summary>Whether enough have signed.</summary>
    public bool IsMet => Signed.Length >= Threshold;

    internal bool AsksTheSameAs(SignatureNeed other) =>
        Threshold == other.Threshold && Keys.Select(key => key.Id).ToHashSet(StringComparer.Ordinal).SetEquals(other.Keys.Select(key => key.Id));

    internal static SignatureNeed Of<TRole>(MetadataFile<TRole> file, IDelegator delegator, string by) where TRole : RoleMetadata
    {
        var keys = delegator.KeysOf(file.Role)!;
        return new(file.Role, by, keys.Threshold, NamedKey.Of(delegator, file.Role), file.Signers(delegator, keys));
    }
}

/// <summary>A key as people speak of it.</summary>
/// <param name="Id">The key id, which proves it.</param>
/// <param name="Name">What somebody called it; null when nobody did.</param>
public readonly record struct NamedKey(string Id, string? Name)
{
    const int ShownDigits = 16;

    /// <summary>The keys of a role.</summary>
    public static ImmutableArray<NamedKey> Of(IDelegator delegator, string role) =>
        [.. (delegator.KeysOf(role)?.KeyIds ?? []).Select(id => new NamedKey(id, delegator.Keys.GetValueOrDefault(id)?.Name))];

    /// <summary>Name and the first digits of the id; enough to compare by voice.</summary>
    public override string ToString()
    {
        var id = Id.Length > ShownDigits && Id.All(char.IsAsciiHexDigit) ? Id[..ShownDigits] : SigningSummary.Printable(Id);
        return Name is null ? id : string.Create(CultureInfo.InvariantCulture, $"'{Name}' ({id})");
    }
}
