namespace Coppice.Rollouts.Rehearsals;

/// <summary>What devices ask of the origin, minute by minute.</summary>
sealed class RehearsalTraffic(RehearsalWorld world)
{
    /// <summary>Requests of a device that reads a new plan: timestamp, snapshot, two roles and the plan.</summary>
    const int PlanRequests = 5;

    readonly float[] requests = new float[world.Days * 1440 + 2];
    readonly double[] rate = new double[world.Days * 1440 + 2]; // differences of bytes a minute
    readonly List<int> changes = [];

    public long Bytes { get; private set; }

    /// <summary>Requests beside the polls.</summary>
    public void Requests(int second, int count) => requests[Minute(second)] += count;

    /// <summary>A download from one second to another.</summary>
    public void Fetch(int from, int to)
    {
        Bytes += world.Bytes;
        Requests(from, world.Files);
        var (first, last) = (Minute(from), Minute(to));
        var part = world.Bytes / (double)(last - first + 1);
        rate[first] += part;
        rate[last + 1 < rate.Length ? last + 1 : last] -= part;
    }

    public void PlanChanged(int second) => changes.Add(Minute(second));

    /// <summary>The most requests a second, over a minute.</summary>
    public double PeakRequests(SimulatedDevices devices) => PerMinute(devices).Max() / 60;

    /// <summary>The most bytes a second, over a minute.</summary>
    public double PeakBytes()
    {
        var (most, now) = (0.0, 0.0);
        foreach (var change in rate)
            most = Math.Max(most, now += change);
        return most / 60;
    }

    public IEnumerable<double> RequestsPerHour(SimulatedDevices devices) => PerMinute(devices).Chunk(60).Select(hour => hour.Average() / 60);

    public IEnumerable<double> BytesPerHour()
    {
        var now = 0.0;
        for (var hour = 0; hour < world.Days * 24; hour++)
        {
            var sum = 0.0;
            for (var minute = hour * 60; minute < hour * 60 + 60; minute++)
                sum += now += rate[minute];
            yield return sum;
        }
    }

    /// <summary>Requests in each minute: polls of those that are on, dearer for one poll after each change of the plan, and what was counted.</summary>
    double[] PerMinute(SimulatedDevices devices)
    {
        var on = devices.OnPerHour(world.Days * 24);
        var polls = Math.Max(1, world.Poll.TotalMinutes);
        var all = new double[world.Days * 1440];
        var change = 0;
        var last = -1e9;
        for (var minute = 0; minute < all.Length; minute++)
        {
            while (change < changes.Count && changes[change] <= minute)
                last = changes[change++];
            all[minute] = on[minute / 60] / polls * (minute - last < polls ? PlanRequests : 1) + requests[minute];
        }

        return all;
    }

    int Minute(int second) => Math.Min(second / 60, world.Days * 1440);
}
