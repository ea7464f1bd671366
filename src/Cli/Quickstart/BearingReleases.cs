using System.Collections.Immutable;
using Coppice.Graph;
using Coppice.Numerics;

namespace Coppice.Cli.Quickstart;

/// <summary>Four releases of a bearing model as a team might make them, and the data to judge them by.</summary>
/// <remarks>
/// 1.0.0 learned from a short pilot and meets machines it has never heard. 1.1.0 goes on from there with recordings of many machines.
/// 1.2.0 goes on from 1.1.0 with recordings whose label sheet took the inner race for the outer; the team's own check used the same
/// sheet, so it looked fine. 1.2.1 goes on from 1.1.0 with the same recordings and the sheet put right. All of it is trained and measured here; no figure is written down beforehand.
/// </remarks>
public sealed class BearingReleases
{
    const int HeldOutMachines = 40;
    const int HeldOutWindows = 800;
    const int TeamCheckWindows = 400;
    const int EvaluationWindows = 160; // travels with a release: 1.2 MB of text, a share near 95 % is known to within 3 points

    BearingReleases(
        ImmutableArray<BearingRelease> releases, BearingWindows heldOut, BearingWindows evaluation, ImmutableArray<BearingWindows> devices) =>
        (Releases, HeldOut, Evaluation, Devices) = (releases, heldOut, evaluation, devices);

    /// <summary>1.0.0, 1.1.0, 1.2.0 and 1.2.1.</summary>
    public ImmutableArray<BearingRelease> Releases { get; }

    /// <summary>Correctly labelled windows of 40 machines that no release was trained on.</summary>
    public BearingWindows HeldOut { get; }

    /// <summary>A smaller set from the same machines, other windows, to ship with a release.</summary>
    public BearingWindows Evaluation { get; }

    /// <summary>For each device its own machine's windows, correctly labelled.</summary>
    public ImmutableArray<BearingWindows> Devices { get; }

    /// <summary>Simulates, trains and measures. Takes seconds of one processor.</summary>
    /// <param name="seed">The same seed gives the same bytes on one platform.</param>
    /// <param name="devices">Devices to record evaluation sets for; does not change the releases.</param>
    /// <param name="windowsPerDevice">Windows in each of those sets; a multiple of four is balanced.</param>
    public static BearingReleases Make(ulong seed, int devices, int windowsPerDevice)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(devices);
        ArgumentOutOfRangeException.ThrowIfNegative(windowsPerDevice);
        var root = new SeededRandom(seed);
        var others = Machines(HeldOutMachines, root.Fork(1));
        var heldOut = Recording.Of(others, HeldOutWindows, root.Fork(2));
        var evaluation = BearingWindows.Record(others, EvaluationWindows, root.Fork(3));

        var pilot = Machines(30, root.Fork(10));
        var training = Recording.Of(pilot, 832, root.Fork(11));
        var network = FaultClassifierNetwork.Untrained(training.Features, root.Fork(12));
        var first = Release("1.0.0", "Trained on a pilot's recordings of 30 machines.", training, pilot, new(Epochs: 9, Rate: 1e-3), root.Fork(13));

        var plants = Machines(250, root.Fork(20));
        training = Recording.Of(plants, 8000, root.Fork(21));
        var second = Release("1.1.0", "Trained on with recordings of 250 machines.", training, plants, new(Epochs: 16, Rate: 1e-3), root.Fork(23));

        var supplier = Machines(30, root.Fork(30));
        training = Recording.Of(supplier, 1200, root.Fork(31), mislabelled: true);
        var third = Release("1.2.0", "Trained on with a supplier's recordings of 30 machines.", training, supplier, new(Epochs: 8, Rate: 1e-3), root.Fork(33), mislabelled: true);

        network = second.Network.Copy();
        training = Recording.Of(supplier, 1200, root.Fork(31));
        var fourth = Release("1.2.1", "1.2.0 again, with the supplier's label sheet put right.", training, supplier, new(Epochs: 8, Rate: 5e-4), root.Fork(43));

        var sets = ImmutableArray.CreateBuilder<BearingWindows>(devices);
        for (var device = 0; device < devices; device++)
        {
            var random = root.Fork(1000 + (ulong)device);
            sets.Add(BearingWindows.Record([BearingMachine.Of(random)], windowsPerDevice, random));
        }
        return new([first, second, third, fourth], heldOut.Windows, evaluation, sets.MoveToImmutable());

        // Trains the one network on, and keeps what it is now.
        BearingRelease Release(
            string version, string notes, Recording data, BearingMachine[] machines, FaultClassifierTraining how, SeededRandom random, bool mislabelled = false)
        {
            how.Run(network, data.Features, data.Windows.Labels, random);
            var check = Recording.Of(machines, TeamCheckWindows, random, mislabelled);
            // A team that trusts its label sheet ships its own windows with it; the others ship those of machines the release has not heard.
            var shipped = mislabelled ? BearingWindows.Record(machines, EvaluationWindows, random).WithRacesSwapped() : evaluation;
            return new(
                version,
                notes,
                OnnxWriter.ToBytes(FaultClassifierGraph.Of(network, version)),
                network.Copy(),
                shipped,
                network.Accuracy(check.Features, check.Windows.Labels),
                network.Accuracy(heldOut.Features, heldOut.Windows.Labels));
        }
    }

    static BearingMachine[] Machines(int count, SeededRandom random) =>
        [.. Enumerable.Range(0, count).Select(_ => BearingMachine.Of(random))];

    /// <summary>Windows and the features that training sees of them.</summary>
    sealed record Recording(BearingWindows Windows, float[] Features)
    {
        public static Recording Of(BearingMachine[] machines, int count, SeededRandom random, bool mislabelled = false)
        {
            var windows = BearingWindows.Record(machines, count, random);
            return new(mislabelled ? windows.WithRacesSwapped() : windows, FaultClassifierFeatures.Extract(windows.Samples));
        }
    }
}

/// <summary>A release: its file, and how good it was where.</summary>
/// <param name="Version">SemVer.</param>
/// <param name="Notes">What the team says about it.</param>
/// <param name="Onnx">The model file.</param>
/// <param name="Network">The network in the file.</param>
/// <param name="Evaluation">Windows that the team ships with the release, as it believes them to be labelled.</param>
/// <param name="TeamAccuracy">Share of right answers on the team's own check: fresh windows of the machines it was trained on, with their labels.</param>
/// <param name="HeldOutAccuracy">Share of right answers on <see cref="BearingReleases.HeldOut"/>.</param>
public sealed record BearingRelease(
    string Version, string Notes, ReadOnlyMemory<byte> Onnx, FaultClassifierNetwork Network, BearingWindows Evaluation, double TeamAccuracy, double HeldOutAccuracy);
