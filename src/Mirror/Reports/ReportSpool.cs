using System.Globalization;
using System.Text.Json;
using Coppice.Agent.Storage;

namespace Coppice.Mirror.Reports;

/// <summary>Requests that wait for upstream, a file each, in the order in which they came. What was added is safe from a power cut.</summary>
/// <param name="disk">The mirror's folder.</param>
/// <param name="budget">Most bytes that wait.</param>
public sealed class ReportSpool(IDisk disk, long budget)
{
    const string Folder = "reports";
    const int MaxFile = 1 << 20;

    readonly Lock gate = new();
    readonly SortedDictionary<long, long> waiting = [];
    long bytes;
    long next = 1;

    /// <summary>Opens the spool, with what an earlier run left.</summary>
    public void Open()
    {
        disk.MakeFolder(Folder);
        foreach (var name in disk.Files(Folder))
        {
            if (name.EndsWith(".json", StringComparison.Ordinal) && long.TryParse(name.AsSpan(0, name.Length - 5), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            {
                waiting[number] = disk.LengthOf(PathOf(number)) ?? 0;
                bytes += waiting[number];
                next = Math.Max(next, number + 1);
            }
            else
            {
                disk.Delete($"{Folder}/{name}"); // half of one, from before a power cut; its device was not answered
            }
        }
    }

    /// <summary>Requests that wait.</summary>
    public int Count
    {
        get
        {
            lock (gate)
                return waiting.Count;
        }
    }

    /// <summary>Adds a request at the end.</summary>
    /// <returns>Its number; null when there is no room.</returns>
    public long? Add(CarriedRequest request)
    {
        var written = JsonSerializer.SerializeToUtf8Bytes(request, CarriedContext.Default.CarriedRequest);
        lock (gate)
        {
            if (bytes + written.Length > budget)
                return null;
            disk.Replace(PathOf(next), written);
            waiting[next] = written.Length;
            bytes += written.Length;
            return next++;
        }
    }

    /// <summary>The first request that waits; null when none does.</summary>
    public (long Number, CarriedRequest? Request)? First()
    {
        lock (gate)
        {
            foreach (var (number, _) in waiting)
            {
                try
                {
                    return (number, disk.ReadSmall(PathOf(number), MaxFile) is { } read ? JsonSerializer.Deserialize(read, CarriedContext.Default.CarriedRequest) : null);
                }
                catch (JsonException) // rotten: upstream would refuse it as well
                {
                    return (number, null);
                }
            }

            return null;
        }
    }

    /// <summary>Forgets a request that upstream has answered for good.</summary>
    public void Remove(long number)
    {
        lock (gate)
        {
            if (!waiting.Remove(number, out var length))
                return;
            bytes -= length;
            disk.Delete(PathOf(number));
        }
    }

    static string PathOf(long number) => string.Create(CultureInfo.InvariantCulture, $"{Folder}/{number:0000000000000000}.json");
}
