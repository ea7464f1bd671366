using Coppice.Fleet;
using Coppice.Numerics;

namespace Coppice.Rollouts.Rehearsals;

/// <summary>Millions of devices as columns: when they are on, how fast their link is, what they do next.</summary>
sealed class SimulatedDevices
{
    const int Hour = 3600;

    readonly RehearsalWorld world;
    readonly byte[] presence;
    readonly sbyte[] zone;
    readonly ushort[] shift; // seconds by which its hours lie off the clock's
    readonly ushort[] pollAt;
    readonly float[] link;
    readonly FactSet[] facts;
    readonly ushort[]? factOf;

    public SimulatedDevices(RehearsalWorld world, SeededRandom random)
    {
        this.world = world;
        var count = world.Devices;
        (presence, zone, shift, pollAt, link) = (new byte[count], new sbyte[count], new ushort[count], new ushort[count], new float[count]);
        (State, Refuses, Began, Place) = (new DeviceState[count], new bool[count], new int[count], new ushort[count]);
        var mix = world.Presence;
        var poll = (int)Math.Clamp(world.Poll.TotalSeconds, 1, ushort.MaxValue);
        for (var i = 0; i < count; i++)
        {
            var draw = random.NextDouble();
            presence[i] = (byte)(draw < mix.Always ? 0 : draw < mix.Always + mix.Office ? 1 : draw < mix.Always + mix.Office + mix.Evening ? 2 : 3);
            zone[i] = (sbyte)random.NextInt32(Math.Max(1, mix.Zones));
            shift[i] = (ushort)random.NextInt32(Hour);
            pollAt[i] = (ushort)random.NextInt32(poll);
            link[i] = (float)(world.Link * Math.Exp(world.LinkSpread * random.NextGaussian()));
        }

        if (world.Fleet.IsEmpty)
        {
            // All combinations of facts, so that a device's are one index.
            var kinds = world.Facts.Length;
            facts = new FactSet[1 << Math.Min(kinds, 12)];
            for (var set = 0; set < facts.Length; set++)
                facts[set] = new(world.Facts.Where((_, bit) => (set >> bit & 1) == 1).DistinctBy(fact => fact.Name).Select(fact => KeyValuePair.Create(fact.Name, fact.Value)));
            if (facts.Length > 1)
            {
                factOf = new ushort[count];
                for (var i = 0; i < count; i++)
                {
                    for (var bit = 0; bit < Math.Min(kinds, 12); bit++)
                        factOf[i] |= (ushort)(random.NextDouble() < world.Facts[bit].Share ? 1 << bit : 0);
                }
            }
        }
        else
        {
            facts = [.. world.Fleet.Select(device => device.Facts)];
        }
    }

    public DeviceState[] State { get; }

    /// <summary>Whether a device that is under way will refuse the release: drawn when it begins, told when it is known.</summary>
    public bool[] Refuses { get; }

    /// <summary>The second in which it began.</summary>
    public int[] Began { get; }

    public ushort[] Place { get; }

    public string IdOf(int device) => device < world.Fleet.Length ? world.Fleet[device].Id : $"d{device}";

    public FactSet FactsOf(int device) => world.Fleet.IsEmpty ? facts[factOf?[device] ?? 0] : facts[device % facts.Length];

    /// <summary>The device's time at a second, with its offset.</summary>
    public DateTimeOffset TimeOf(int device, int second) => world.Start.AddSeconds(second).ToOffset(TimeSpan.FromHours(zone[device]));

    /// <summary>Seconds that fetching takes while the device is on.</summary>
    public int FetchSeconds(int device) => (int)Math.Min(world.Bytes / Math.Max(1, link[device]), 60 * 86400) + 1;

    /// <summary>The first second from <paramref name="from"/> on in which it looks at the repository: at its beat when it is on, else when it comes back.</summary>
    public int NextPoll(int device, int from)
    {
        var poll = (int)Math.Max(1, world.Poll.TotalSeconds);
        var at = from + ((pollAt[device] - from) % poll + poll) % poll;
        return IsOn(device, at) ? at : NextOn(device, at) + pollAt[device] % 60;
    }

    public int NextOn(int device, int from)
    {
        var at = from;
        for (var hours = 0; hours < 24 * 14 && !IsOn(device, at); hours++)
            at = EndOfHour(device, at);
        return at;
    }

    /// <summary>When it has been on for so many seconds more.</summary>
    public int After(int device, int from, int seconds)
    {
        var at = from;
        for (var hours = 0; seconds > 0 && hours < 24 * 90; hours++)
        {
            at = NextOn(device, at);
            var end = EndOfHour(device, at);
            var takes = Math.Min(seconds, end - at);
            (at, seconds) = (at + takes, seconds - takes);
        }

        return at;
    }

    public bool IsOn(int device, int second)
    {
        if (presence[device] == 0)
            return true;
        var hour = Local(device, second) / Hour;
        return IsOn(presence[device], device, hour);
    }

    /// <summary>Devices that are on at a second, by groups: exact but for those that are on at random.</summary>
    public double[] OnPerHour(int hours)
    {
        var groups = new double[4, sbyte.MaxValue];
        for (var i = 0; i < presence.Length; i++)
            groups[presence[i], zone[i]]++;
        var on = new double[hours];
        var start = StartHour();
        for (var hour = 0; hour < hours; hour++)
        {
            for (var zoneHours = 0; zoneHours < Math.Max(1, world.Presence.Zones); zoneHours++)
            {
                on[hour] += groups[0, zoneHours] + groups[3, zoneHours] / 2;
                on[hour] += IsOn(1, 0, start + hour + zoneHours) ? groups[1, zoneHours] : 0;
                on[hour] += IsOn(2, 0, start + hour + zoneHours) ? groups[2, zoneHours] : 0;
            }
        }

        return on;
    }

    static bool IsOn(byte presence, int device, int hour)
    {
        switch (presence)
        {
            case 1:
                return hour % 24 is >= 8 and < 18 && hour / 24 % 7 < 5;
            case 2:
                return hour % 24 is >= 17 and < 23;
            case 3:
                var mixed = (uint)device * 2654435761u ^ (uint)hour * 2246822519u;
                mixed = (mixed ^ mixed >> 15) * 3266489917u;
                return (mixed >> 16 & 1) == 0;
            default:
                return true;
        }
    }

    /// <summary>Seconds since a Monday's midnight, by the device's own clock and shifted by its own part of an hour.</summary>
    int Local(int device, int second) => (StartHour() + zone[device]) * Hour + shift[device] + second;

    int EndOfHour(int device, int second) => second + Hour - Local(device, second) % Hour;

    int StartHour() => (((int)world.Start.UtcDateTime.DayOfWeek + 6) % 7 * 24) + world.Start.UtcDateTime.Hour;
}

enum DeviceState : byte
{
    Before,
    Underway,
    Silent,
    Settled,
    Refused,
    TakenBack,
    Crashed,
    Back,
}
