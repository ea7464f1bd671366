using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Bench.Server;

/// <summary>How long the first page of a million devices takes over HTTP, all of them and by selectors that many, few and none fit.</summary>
static class DeviceBench
{
    const int Devices = 1_000_000;
    const int Asked = 20;

    public static Task<int> RunAsync(string? database) => ServerOn.RunAsync(database, async (plane, tables, isPostgres) =>
    {
        await tables.WriteAsync(async db =>
        {
            var number = isPostgres ? "to_char(n, 'FM0000000')" : "printf('%07d', n)";
#pragma warning disable EF1002 // the words are this program's own
            return await db.Database.ExecuteSqlRawAsync($$$"""
                WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {{{Devices}}})
                INSERT INTO "Devices" ("Id", "SigningKey", "EnrolledAt", "LastSeen", "Through", "Facts", "Labels")
                SELECT 'till-' || {{{number}}}, 'key ' || n, 0, 1795700000000, 0, '{{"os":"linux","arch":"arm64","ram":"' || (n % 8 + 1) || '000000000"}}', '{{"site":"' || CASE WHEN n % 100000 = 0 THEN 'svalbard' WHEN n % 50 = 0 THEN 'oslo' ELSE 'bergen' END || '"}}' FROM numbers;
                INSERT INTO "DeviceMarks" ("Name", "Value", "Device")
                SELECT 'label.site', CASE WHEN "Labels" LIKE '%svalbard%' THEN 'svalbard' WHEN "Labels" LIKE '%oslo%' THEN 'oslo' ELSE 'bergen' END, "Id" FROM "Devices";
                """);
#pragma warning restore EF1002
        }, CancellationToken.None);
        using var http = new HttpClient { BaseAddress = plane.Url, DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", (await File.ReadAllTextAsync(plane.AdminTokenFile)).Trim()) } };
        foreach (var selector in new[] { "", "label.site = bergen and ram >= 4GB", "label.site = oslo", "label.site = svalbard", "label.site = nowhere", "site = svalbard", "label.site = oslo and ram >= 4GB", "ram >= 9GB" })
        {
            var times = new List<double>();
            var cpu = TimeSpan.Zero;
            for (var i = 0; i < Asked + 3; i++)
            {
                if (i == 3)
                    cpu = Process.GetCurrentProcess().TotalProcessorTime;
                var began = Stopwatch.GetTimestamp();
                await http.GetByteArrayAsync($"v1/devices?limit=100&selector={Uri.EscapeDataString(selector)}");
                if (i >= 3) // the first ones warm up
                    times.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
            }

            times.Sort();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"'{selector}': median {times[Asked / 2]:0} ms, slowest {times[^1]:0} ms; {(Process.GetCurrentProcess().TotalProcessorTime - cpu).TotalMilliseconds / Asked:0.0} ms of this process's processors each"));
        }
    });
}
