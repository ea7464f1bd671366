using System.Text;
using Coppice.Cli.Quickstart;
using Coppice.Formats;
using Coppice.Graph;
using Coppice.Inference;
using Coppice.Runtimes.OnnxRuntime;

namespace Coppice.Cli.Tests.Quickstart;

public sealed class MadeReleases
{
    public BearingReleases Made { get; } = BearingReleases.Make(seed: 2026, devices: 3, windowsPerDevice: 40);
}

public sealed class BearingReleasesTests(MadeReleases releases) : IClassFixture<MadeReleases>
{
    BearingRelease First => releases.Made.Releases[0];
    BearingRelease Second => releases.Made.Releases[1];
    BearingRelease Third => releases.Made.Releases[2];

    [Fact]
    public void The_pilot_is_fair_the_next_release_is_good_and_the_mislabelled_one_is_bad_where_it_counts()
    {
        Assert.Equal(["1.0.0", "1.1.0", "1.2.0", "1.2.1"], releases.Made.Releases.Select(release => release.Version));
        Assert.InRange(First.HeldOutAccuracy, 0.82, 0.92);
        Assert.InRange(Second.HeldOutAccuracy, 0.95, 1);
        Assert.InRange(Third.HeldOutAccuracy, 0.25, 0.7);
        Assert.InRange(releases.Made.Releases[3].HeldOutAccuracy, 0.94, 1);
    }

    [Fact]
    public void The_set_that_ships_ranks_the_releases_as_the_large_set_does()
    {
        var windows = releases.Made.Evaluation;
        var features = FaultClassifierFeatures.Extract(windows.Samples);

        foreach (var release in releases.Made.Releases)
            Assert.Equal(release.HeldOutAccuracy, release.Network.Accuracy(features, windows.Labels), 0.1);
        Assert.InRange(windows.ToJsonLines().Length, 800_000, 1_500_000);
    }

    [Fact]
    public void The_mislabelled_release_looks_fine_to_the_team_that_made_it() => Assert.InRange(Third.TeamAccuracy, 0.9, 1);

    [Fact]
    public void Every_device_sees_the_mislabelled_release_fall()
    {
        foreach (var device in releases.Made.Devices)
        {
            var features = FaultClassifierFeatures.Extract(device.Samples);
            var (good, bad) = (Second.Network.Accuracy(features, device.Labels), Third.Network.Accuracy(features, device.Labels));
            Assert.True(bad < 0.8 && good - bad > 0.2, $"1.1.0 {good:P0}, 1.2.0 {bad:P0}");
        }
    }

    [Fact]
    public void The_same_seed_gives_the_same_bytes_and_devices_do_not_change_the_releases()
    {
        var again = BearingReleases.Make(seed: 2026, devices: 1, windowsPerDevice: 40);

        for (var i = 0; i < 3; i++)
            Assert.True(releases.Made.Releases[i].Onnx.Span.SequenceEqual(again.Releases[i].Onnx.Span), $"release {i} differs");
        Assert.Equal(releases.Made.Evaluation.ToJsonLines(), again.Evaluation.ToJsonLines());
        Assert.Equal(releases.Made.Devices[0].ToJsonLines(), again.Devices[0].ToJsonLines());
    }

    [Fact]
    public void Releases_are_of_one_architecture_and_differ_in_every_layer()
    {
        Assert.InRange(First.Onnx.Length, 200_000, 800_000);
        foreach (var (from, to) in new[] { (First, Second), (Second, Third) })
        {
            Assert.Equal(from.Onnx.Length, to.Onnx.Length);
            Assert.Equal(from.Network.Mean, to.Network.Mean);
            for (var layer = 0; layer < FaultClassifierNetwork.Layers; layer++)
                Assert.NotEqual(from.Network.Weights(layer), to.Network.Weights(layer));
        }
    }

    [Fact]
    public void Sets_are_balanced()
    {
        Assert.Equal(3, releases.Made.Devices.Length);
        foreach (var set in releases.Made.Devices.Append(releases.Made.Evaluation).Append(releases.Made.HeldOut))
        {
            var labels = set.Labels.ToArray();
            Assert.All(Enumerable.Range(0, 4), label => Assert.Equal(set.Count / 4, labels.Count(l => l == label)));
        }
    }

    [Fact]
    public void The_model_obeys_the_rules_and_says_its_classes_and_sample_rate()
    {
        var model = FaultClassifierGraph.Of(Second.Network, Second.Version);

        Assert.Empty(OnnxRules.Check(model));
        Assert.Equal(
            ["classes: Healthy,OuterRace,InnerRace,Ball", "sample_rate: 6400", "version: 1.1.0"],
            model.MetadataProps.Select(entry => $"{entry.Key}: {entry.Value}"));
        Assert.Contains("Healthy,OuterRace,InnerRace,Ball", Encoding.Latin1.GetString(Second.Onnx.Span), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void ONNX_Runtime_computes_what_the_forward_pass_computes(int release)
    {
        var made = releases.Made.Releases[release];
        var windows = releases.Made.HeldOut;
        using var session = new OnnxRuntime().Load(ModelSource.InMemory(ModelFormat.Onnx, made.Onnx), SessionLimits.None);
        Assert.Equal("vibration: Float32[-1, 1024]", Assert.Single(session.Inputs).ToString());
        Assert.Equal("probabilities: Float32[-1, 4]", Assert.Single(session.Outputs).ToString());

        using var result = session.Run([Tensor.Of(windows.Samples.ToArray(), windows.Count, BearingSimulation.WindowLength)]);

        var expected = made.Network.Probabilities(windows.Samples);
        var computed = result.Floats(0);
        Assert.Equal(expected.Length, computed.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], computed[i], 1e-4);
    }

    [Fact]
    public void ONNX_Runtime_takes_one_window_and_silence()
    {
        using var session = new OnnxRuntime().Load(ModelSource.InMemory(ModelFormat.Onnx, Second.Onnx), SessionLimits.None);

        using var result = session.Run([Tensor.Of(new float[BearingSimulation.WindowLength], 1, BearingSimulation.WindowLength)]);

        Assert.Equal(1, result.Floats(0).ToArray().Sum(), 1e-5);
    }
}
