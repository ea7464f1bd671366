using System.Text;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Core.Tests.Protocol;

public sealed class DocumentJsonTests
{
    static readonly ReleaseManifest Manifest = new(1, ModelName.Parse("plant/bearing"), SemanticVersion.Parse("1.1.0-rc.1+b7"),
    [
        new("int8", [new("model.onnx", Sha256Digest.Of([1]), 12), new("weights/part 0.bin", Sha256Digest.Of([2]), 1L << 40)], ModelFormat.Onnx, "onnxruntime")
        {
            Signature = new([new("vibration", ElementType.Float32, [-1, 512])], [new("probabilities", ElementType.Float32, [-1, 4])]),
            Requirements = new() { Os = ["linux"], Ram = 64_000_000, Runtime = Range(">=1.20.0 <2.0.0"), Selector = "site = oslo" },
            AdapterBase = Sha256Digest.Of([3]),
        },
    ])
    {
        Trial = new()
        {
            Evaluation = new("evaluation.jsonl", Sha256Digest.Of([4]), 5),
            Limits = new(MinAccuracy: 0.85, MaxLatencyP95: TimeSpan.FromMilliseconds(25)),
        },
        Licence = "Apache-2.0",
        Provenance = new("ci", new(2026, 11, 22, 5, 0, 0, TimeSpan.Zero), "coppice 0.1.0", null),
    };

    static VersionRange Range(string text) => VersionRange.TryParse(text, out var range) ? range : throw new FormatException(text);

    [Fact]
    public void A_manifest_read_back_writes_the_same_bytes()
    {
        var bytes = DocumentJson.Write(Manifest);

        Assert.True(DocumentJson.TryRead(bytes, out ReleaseManifest? read, out var problems), string.Join("; ", problems));
        Assert.Equal(Encoding.UTF8.GetString(bytes), Encoding.UTF8.GetString(DocumentJson.Write(read)));
        Assert.Equal("25ms", Duration.Format(read.Trial!.Limits.MaxLatencyP95!.Value));
        Assert.Equal(3, read.Files.Count());
    }

    [Fact]
    public void A_plan_read_back_writes_the_same_bytes()
    {
        var plan = new RolloutPlan(1, Manifest.Model, 7,
            [new("r-2", Manifest.Version, Sha256Digest.Of([9]), "salt", "", [new(0.25, TimeSpan.FromHours(24)), new(1, null)], 1, RolloutState.Held, 2)
            {
                Windows = [new([DayOfWeek.Sunday], new(22, 0), new(4, 30))],
            }],
            [SemanticVersion.Parse("1.0.0")]);

        var bytes = DocumentJson.Write(plan);

        Assert.True(DocumentJson.TryRead(bytes, out RolloutPlan? read, out var problems), string.Join("; ", problems));
        Assert.Equal(Encoding.UTF8.GetString(bytes), Encoding.UTF8.GetString(DocumentJson.Write(read)));
        Assert.Contains("\"state\":\"held\"", Encoding.UTF8.GetString(bytes));
    }

    [Theory]
    [InlineData("\"1.1.0-rc.1\\u002Bb7\"", "\"1.1\"", "version")]
    [InlineData("\"plant/bearing\"", "\"bearing\"", "model")]
    [InlineData("\"weights/part 0.bin\"", "\"../part0.bin\"", "variants[0].files[1].name")]
    [InlineData("\"weights/part 0.bin\"", "\"MODEL.onnx\"", "variants[0].files")]
    [InlineData("\"schema\":1", "\"schema\":2", "schema")]
    [InlineData("\"minAccuracy\":0.85", "\"minAccuracy\":85", "trial.limits.minAccuracy")]
    [InlineData("\"25ms\"", "\"soon\"", "maxLatencyP95")]
    [InlineData("site = oslo", "site =", "variants[0].requirements.selector")]
    [InlineData("\"onnx\"", "\"xnno\"", "variants[0].format")]
    public void A_bad_field_of_a_manifest_is_named(string good, string bad, string where)
    {
        var text = Encoding.UTF8.GetString(DocumentJson.Write(Manifest));
        Assert.Contains(good, text);

        Assert.False(DocumentJson.TryRead(Encoding.UTF8.GetBytes(text.Replace(good, bad)), out ReleaseManifest? _, out var problems));
        Assert.Contains(problems, problem => problem.Where.Contains(where, StringComparison.Ordinal));
    }

    [Fact]
    public void What_may_be_left_out_takes_its_default()
    {
        var digest = new string('a', 64);
        var manifest = $$$"""{"schema":1,"model":"a/b","version":"1.0.0","variants":[{"name":"v","files":[{"name":"f","digest":"{{{digest}}}","length":1}],"format":"opaque"}],"trial":{}}""";
        Assert.True(DocumentJson.TryRead(Encoding.UTF8.GetBytes(manifest), out ReleaseManifest? read, out var problems), string.Join("; ", problems));
        Assert.False(read.Variants[0].Requirements.Os.IsDefault);
        Assert.NotNull(read.Trial!.Limits);

        manifest = manifest.Replace("\"format\":\"opaque\"", "\"format\":\"opaque\",\"requirements\":{}");
        Assert.True(DocumentJson.TryRead(Encoding.UTF8.GetBytes(manifest), out read, out problems), string.Join("; ", problems));
        Assert.True(read.Variants[0].Requirements is { Os.IsEmpty: true, Arch.IsEmpty: true, Accelerators.IsEmpty: true });

        var plan = $$$"""{"schema":1,"model":"a/b","serial":1,"rollouts":[{"id":"r-1","release":"1.0.0","manifest":"{{{digest}}}","salt":"s","selector":"","phases":[{"share":1}],"phase":0,"state":"running","attempt":1}],"revoked":[]}""";
        Assert.True(DocumentJson.TryRead(Encoding.UTF8.GetBytes(plan), out RolloutPlan? readPlan, out problems), string.Join("; ", problems));
        Assert.True(readPlan.Rollouts[0].Windows.IsEmpty);
    }

    [Fact]
    public void Fields_of_a_newer_writer_are_passed_over_and_missing_ones_are_not()
    {
        var text = Encoding.UTF8.GetString(DocumentJson.Write(Manifest));

        Assert.True(DocumentJson.TryRead(Encoding.UTF8.GetBytes(text.Replace("\"schema\":1", "\"schema\":1,\"colour\":\"green\"")), out ReleaseManifest? _, out _));
        Assert.False(DocumentJson.TryRead("{\"schema\":1}"u8, out ReleaseManifest? _, out var problems));
        Assert.NotEmpty(problems);
        Assert.False(DocumentJson.TryRead("null"u8, out ReleaseManifest? _, out _));
        Assert.False(DocumentJson.TryRead("{"u8, out ReleaseManifest? _, out _));
    }
}
