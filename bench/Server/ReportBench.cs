using System.Diagnostics;
using System.Globalization;
using System.Runtime;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Fleet;
using Microsoft.Extensions.DependencyInjection;

namespace Coppice.Bench.Server;

/// <summary>How many reports a server keeps in a second, from the intake on: what proving who sends and HTTP cost is measured apart (<c>identity</c>).</summary>
static class ReportBench
{
    const int Devices = 4_000;
    const int MostWarmUps = 10;
    const int FewMethods = 200;
    static readonly (int Size, int Senders)[] Loads = [(1, 256), (1, 1_024), (10, 256), (50, 256)];
    static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(3);
    static readonly TimeSpan Measured = TimeSpan.FromSeconds(8);

    public static Task<int> RunAsync(string? database) => ServerOn.RunAsync(database, async (plane, tables, _) =>
    {
        var intake = plane.Services.GetRequiredService<ReportIntake>();
        var now = DateTimeOffset.UtcNow;
        await tables.WriteAsync(async db =>
        {
            for (var i = 0; i < Devices; i++)
                db.Devices.Add(new() { Id = Id(i), SigningKey = $"key {i}", EnrolledAt = now, LastSeen = now, Facts = """{"os":"linux","arch":"arm64","ram":"4000000000"}""", Labels = """{"site":"oslo"}""" });
            return true;
        }, CancellationToken.None);
        var sequences = new long[Devices];
        // A server runs for months: what is compiled anew, and in other versions by how often it ran, belongs to its first minute.
        for (var (turn, compiled) = (0, long.MaxValue); turn < MostWarmUps && compiled > FewMethods; turn++)
        {
            var before = JitInfo.GetCompiledMethodCount();
            foreach (var (size, senders) in Loads)
                await RunAsync(size, senders, WarmUp);
            compiled = JitInfo.GetCompiledMethodCount() - before;
        }

        foreach (var (size, senders) in Loads)
        {
            var cpu = Process.GetCurrentProcess().TotalProcessorTime;
            var (kept, seconds) = await RunAsync(size, senders, Measured);
            var busy = Process.GetCurrentProcess().TotalProcessorTime - cpu;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"batches of {size,2}, {senders,4} senders: {kept / seconds,8:0} reports/s, {kept / size / seconds,7:0} batches/s, {busy.TotalMicroseconds / kept * size:0} us of processor a batch ({busy.TotalSeconds / seconds:0.00} cores) in this process"));
        }

        async Task<(long Kept, double Seconds)> RunAsync(int size, int senders, TimeSpan span)
        {
            var kept = 0L;
            var began = Stopwatch.GetTimestamp();
            await Task.WhenAll(Enumerable.Range(0, senders).Select(sender => Task.Run(async () =>
            {
                for (var turn = 0; Stopwatch.GetElapsedTime(began) < span; turn++)
                {
                    var device = (sender + (turn * senders)) % (Devices / senders * senders); // a device is one sender's at a time
                    var first = sequences[device];
                    await intake.KeepAsync(Id(device), new([.. Enumerable.Range(1, size).Select(i => Report(first + i))]), DateTimeOffset.UtcNow);
                    sequences[device] += size;
                    Interlocked.Add(ref kept, size);
                }
            })));
            return (kept, Stopwatch.GetElapsedTime(began).TotalSeconds);
        }
    });

    static string Id(int i) => string.Create(CultureInfo.InvariantCulture, $"till-{i:00000}");

    static Report Report(long sequence) => new(sequence, DateTimeOffset.UtcNow, ReportKind.Settled, ModelName.Parse("plant/bearing"), SemanticVersion.Parse("1.0.0")) { Variant = "fp32", BytesFetched = 1_000_000, BytesTotal = 4_000_000 };
}
