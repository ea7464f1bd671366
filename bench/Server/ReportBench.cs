using System.Diagnostics;
using System.Globalization;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Fleet;
using Microsoft.Extensions.DependencyInjection;

namespace Coppice.Bench.Server;

/// <summary>How many reports a server keeps in a second, from the intake on: what proving who sends and HTTP cost is measured apart (<c>identity</c>).</summary>
static class ReportBench
{
    const int Devices = 4_000;
    static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(4);
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
        foreach (var (size, senders, span) in new[] { (5, 256, WarmUp), (1, 256, Measured), (1, 1_024, Measured), (10, 256, Measured), (50, 256, Measured) })
        {
            long kept = 0;
            var cpu = Process.GetCurrentProcess().TotalProcessorTime;
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
            var (seconds, busy) = (Stopwatch.GetElapsedTime(began).TotalSeconds, (Process.GetCurrentProcess().TotalProcessorTime - cpu).TotalSeconds);
            if (span == WarmUp)
                continue; // what starts is not what runs
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"batches of {size,2}, {senders,4} senders: {kept / seconds,8:0} reports/s, {kept / size / seconds,7:0} batches/s, {busy / seconds:0.00} cores in this process"));
        }
    });

    static string Id(int i) => string.Create(CultureInfo.InvariantCulture, $"till-{i:00000}");

    static Report Report(long sequence) => new(sequence, DateTimeOffset.UtcNow, ReportKind.Settled, ModelName.Parse("plant/bearing"), SemanticVersion.Parse("1.0.0")) { Variant = "fp32", BytesFetched = 1_000_000, BytesTotal = 4_000_000 };
}
