using System.Diagnostics;
using System.Globalization;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Fleet;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace Coppice.Bench.Server;

/// <summary>What forgetting old reports costs, and what those who report meanwhile notice of it.</summary>
static class RetentionBench
{
    const int Devices = 50_000;
    const int OfEach = 60;
    const int OldOfEach = 6;

    public static Task<int> RunAsync(string? database) => ServerOn.RunAsync(database, async (plane, tables, _) =>
    {
        var intake = plane.Services.GetRequiredService<ReportIntake>();
        var now = DateTimeOffset.UtcNow;
        await tables.WriteAsync(async db =>
        {
            for (var i = 0; i < Devices; i++)
                db.Devices.Add(new() { Id = Id(i), SigningKey = $"key {i}", EnrolledAt = now, LastSeen = now, Through = OfEach, Kept = $"1-{OfEach}", Facts = "{}", Labels = "{}" });
            await db.SaveChangesAsync();
            // As they come: all devices' first reports, then their second ones, and so on over the time that reports are kept and a bit before it.
            return await tables.Engine.InsertAsync(db, ReportRow.Table, Rows(now), CancellationToken.None);
        }, CancellationToken.None);

        await SayAsync(TimeSpan.FromSeconds(2)); // what starts is not what runs
        var alone = await SayAsync(TimeSpan.FromSeconds(5));
        var retention = plane.Services.GetServices<Microsoft.Extensions.Hosting.IHostedService>().OfType<ReportRetention>().Single();
        using var done = new CancellationTokenSource();
        var saying = SayAsync(TimeSpan.FromMinutes(10), done.Token);
        var began = Stopwatch.GetTimestamp();
        await retention.ForgetAsync(CancellationToken.None);
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        await Task.Delay(TimeSpan.FromSeconds(1)); // where it is done at once, what comes of it
        await done.CancelAsync();
        var meanwhile = await saying;
        var gone = (Devices * OfEach) - await tables.ReadAsync(db => db.Reports.CountAsync(row => row.Sequence <= OfEach), CancellationToken.None);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{gone:N0} of {Devices * OfEach:N0} reports forgotten in {seconds:0.000} s, {gone / seconds:0} a second"));
        Console.WriteLine($"a device's report, alone: {alone}; meanwhile: {meanwhile}");

        async Task<string> SayAsync(TimeSpan span, CancellationToken until = default)
        {
            const int Senders = 16;
            var times = new List<double>[Senders];
            var start = Stopwatch.GetTimestamp();
            await Task.WhenAll(Enumerable.Range(0, Senders).Select(sender => Task.Run(async () =>
            {
                var mine = times[sender] = [];
                for (var device = sender; Stopwatch.GetElapsedTime(start) < span && !until.IsCancellationRequested; device = (device + Senders) % Devices)
                {
                    var asked = Stopwatch.GetTimestamp();
                    await intake.KeepAsync(Id(device), new([Report(1_000_000 + (long)Stopwatch.GetElapsedTime(0).TotalMilliseconds)]), DateTimeOffset.UtcNow);
                    mine.Add(Stopwatch.GetElapsedTime(asked).TotalMilliseconds);
                }
            })));
            var all = times.SelectMany(mine => mine).Order().ToArray();
            return string.Create(CultureInfo.InvariantCulture, $"{all.Length:N0} kept, median {all[all.Length / 2]:0.0} ms, p99 {all[(int)(all.Length * 0.99)]:0.0} ms, slowest {all[^1]:0.0} ms");
        }
    });

    static IEnumerable<object?[]> Rows(DateTimeOffset now)
    {
        for (var turn = 0; turn < OfEach; turn++)
        {
            var at = turn < OldOfEach ? now.AddDays(-408) : now.AddDays(-399 + (399.0 * turn / OfEach));
            for (var i = 0; i < Devices; i++)
                yield return ReportRow.Of(Id(i), Report(turn + 1), at.AddMilliseconds(i)).Values();
        }
    }

    static string Id(int i) => string.Create(CultureInfo.InvariantCulture, $"till-{i:00000}");

    static Report Report(long sequence) => new(sequence, DateTimeOffset.UnixEpoch, ReportKind.Settled, ModelName.Parse("plant/bearing"), SemanticVersion.Parse("1.0.0")) { Variant = "fp32", BytesFetched = 1_000_000, BytesTotal = 4_000_000 };
}
