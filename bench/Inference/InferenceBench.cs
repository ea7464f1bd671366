using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Runtimes.OnnxRuntime;
using Coppice.Runtimes.OnnxRuntime.Tests;

namespace Coppice.Bench.Inference;

/// <summary>What one call costs: this binding beside onnxruntime-node, on the same native library and models, one thread, in turns.</summary>
static class InferenceBench
{
    const int Turns = 3;
    const int Batches = 9;

    /// <summary>At most this share of onnxruntime-node's time, or the exit code is 1.</summary>
    const double Goal = 1.2;

    sealed record Model(string Name, byte[] Bytes, int Rounds);

    sealed record Line(string Model, string Way, double Median, double Least, double? Ratio);

    public static int Run(string[] args)
    {
        Model[] models =
        [
            new("add [1,4]", TinyModel.Add(), 4_000),
            new("matmul [1,64]", TinyModel.MatMul(64, 1), 4_000),
            new("matmul [1,1024]", TinyModel.MatMul(1024, 1), 200),
        ];
        var lines = models.SelectMany(Measure).ToList();
        if (args.Contains("--json"))
            Console.WriteLine(JsonSerializer.Serialize(new { runtime = OrtEnvironment.Version, goal = Goal, lines }, Json));
        else
            Print(lines);
        return lines.Any(line => line.Ratio > Goal) ? 1 : 0;
    }

    static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    static IEnumerable<Line> Measure(Model model)
    {
        var file = Path.Combine(Path.GetTempPath(), $"coppice-bench-{Guid.NewGuid():N}.onnx");
        File.WriteAllBytes(file, model.Bytes);
        try
        {
            var ways = Ways(file);
            var times = ways.ToDictionary(way => way.Name, _ => new List<double>());
            var peer = new List<double>();
            for (var turn = 0; turn < Turns; turn++)
            {
                foreach (var (name, run) in ways)
                    times[name].AddRange(Time(run, model.Rounds));
                peer.AddRange(Node(file, model.Rounds));
            }
            var theirs = Median(peer);
            return [
                .. ways.Select(way => new Line(model.Name, way.Name, Median(times[way.Name]), times[way.Name].Min(), Median(times[way.Name]) / theirs)),
                new Line(model.Name, "onnxruntime-node session.run", theirs, peer.Min(), null),
            ];
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>The same work in each way: run, and read the first number of the output.</summary>
    static List<(string Name, Action Run)> Ways(string file)
    {
        var port = new OnnxRuntime().Load(ModelSource.AtPath(ModelFormat.Onnx, file), new SessionLimits(IntraOpThreads: 1));
        var session = OrtSession.Load(file, new() { IntraOpThreads = 1 });
        long[][] shapes = [.. port.Inputs.Select(input => input.Shape.Select(size => Math.Max(size, 1)).ToArray())];
        long[] outputShape = [.. port.Outputs[0].Shape.Select(size => Math.Max(size, 1))];
        Tensor[] Fresh() => [.. shapes.Select(shape => Tensor.Of(new float[shape.Aggregate(1L, (product, size) => product * size)], shape))];

        var kept = Fresh();
        OrtValue[] inputs = [.. kept.Select(tensor => OrtValue.Over(tensor))];
        OrtValue?[] outputs = [OrtValue.Allocate(ElementType.Float32, outputShape)];
        var binding = new OrtBinding(session);
        for (var i = 0; i < inputs.Length; i++)
            binding.BindInput(session.Inputs[i].Name, inputs[i]);
        binding.BindOutput(session.Outputs[0].Name, outputs[0]);
        var live = new CancellationTokenSource();
        var sum = 0f;
        return
        [
            ("IModelSession.Run", () => { using var result = port.Run(kept); sum += result.Floats(0)[0]; }),
            ("IModelSession.Run, cancellable", () => { using var result = port.Run(kept, live.Token); sum += result.Floats(0)[0]; }),
            ("IModelSession.Run, new tensors", () => { using var result = port.Run(Fresh()); sum += result.Floats(0)[0]; }),
            ("OrtSession.Run, own buffers", () => { session.Run(inputs, outputs); sum += outputs[0]!.Bytes[0]; }),
            ("OrtBinding.Run", () => { binding.Run(); sum += outputs[0]!.Bytes[0]; }),
        ];
    }

    static double[] Time(Action run, int rounds)
    {
        var times = new double[Batches];
        for (var batch = -2; batch < Batches; batch++) // two to warm up
        {
            var start = Stopwatch.GetTimestamp();
            for (var round = 0; round < rounds; round++)
                run();
            if (batch >= 0)
                times[batch] = Stopwatch.GetElapsedTime(start).TotalMicroseconds / rounds;
        }
        return times;
    }

    static double[] Node(string file, int rounds)
    {
        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (root is not null && !File.Exists(Path.Combine(root.FullName, "Coppice.slnx")))
            root = root.Parent;
        var script = Path.Combine(root?.FullName ?? ".", "bench", "Inference", "onnxruntime-node.js");
        string[] arguments = [script, file, $"{Batches}", $"{rounds}"];
        using var node = Process.Start(new ProcessStartInfo("node", arguments) { RedirectStandardOutput = true })
            ?? throw new InvalidOperationException("node does not start; install Node.js 20 or later.");
        var output = node.StandardOutput.ReadToEnd();
        node.WaitForExit();
        if (node.ExitCode != 0)
            throw new InvalidOperationException($"'node {string.Join(' ', arguments)}' ended with code {node.ExitCode}; its words are above.");
        using var json = JsonDocument.Parse(output);
        return [.. json.RootElement.GetProperty("times").EnumerateArray().Select(time => time.GetDouble())];
    }

    static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    static void Print(List<Line> lines)
    {
        Console.WriteLine($"ONNX Runtime {OrtEnvironment.Version}, one thread, microseconds a run; {Turns} turns of {Batches} batches; goal: at most {Goal} x onnxruntime-node");
        Console.WriteLine($"{"model",-17} {"way",-32} {"median",9} {"least",9} {"x node",7}");
        foreach (var line in lines)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{line.Model,-17} {line.Way,-32} {line.Median,9:F2} {line.Least,9:F2} {line.Ratio,7:F2}"));
    }
}
