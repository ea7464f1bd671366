using System.Reflection;
using System.Text.Json;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Tests;

namespace Coppice.Core.Tests.Protocol;

/// <summary>The shipped JSON Schema names just the members that the code reads and writes.</summary>
public sealed class ManifestSchemaTests
{
    static readonly JsonElement Schema =
        JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs/formats/manifest.schema.json"))).RootElement;

    public static TheoryData<string, Type> Objects => new()
    {
        { "", typeof(ReleaseManifest) },
        { "properties/trial", typeof(Trial) },
        { "properties/trial/properties/limits", typeof(TrialLimits) },
        { "properties/provenance", typeof(Provenance) },
        { "properties/evidence", typeof(Evidence) },
        { "$defs/file", typeof(ReleaseFile) },
        { "$defs/file/properties/sealed", typeof(SealedFile) },
        { "$defs/variant", typeof(Variant) },
        { "$defs/variant/properties/signature", typeof(TensorSignature) },
        { "$defs/variant/properties/requirements", typeof(Requirements) },
    };

    [Theory, MemberData(nameof(Objects))]
    public void Each_object_of_the_schema_has_the_members_of_its_type(string path, Type type)
    {
        var members = type.GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => property.SetMethod is not null) // derived figures are not written
            .Select(property => JsonNamingPolicy.CamelCase.ConvertName(property.Name));
        var schema = path.Split('/', StringSplitOptions.RemoveEmptyEntries).Aggregate(Schema, (element, name) => element.GetProperty(name));

        Assert.Equal(members.Order(), schema.GetProperty("properties").EnumerateObject().Select(property => property.Name).Order());
    }

    [Fact]
    public void The_schema_knows_every_format() =>
        Assert.Equal(
            Enum.GetNames<ModelFormat>().Select(JsonNamingPolicy.CamelCase.ConvertName).Order(),
            Schema.GetProperty("$defs").GetProperty("variant").GetProperty("properties").GetProperty("format").GetProperty("enum").EnumerateArray().Select(name => name.GetString()!).Order());
}
