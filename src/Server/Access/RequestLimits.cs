using System.Collections.Frozen;
using System.Net;
using System.Net.Sockets;

namespace Coppice.Server.Access;

/// <summary>How many requests are taken of callers who have not proved who they are.</summary>
/// <param name="OfAddress">In a minute, of one address; IPv6 by its network of 64 bits.</param>
/// <param name="OfAll">In a minute, of all together.</param>
public readonly record struct RequestLimit(int OfAddress, int OfAll);

/// <summary>Counts requests by address. Memory is bounded by <see cref="MaxAddresses"/>, whatever number of addresses calls.</summary>
/// <remarks>
/// A bucket for each address holds a minute's worth and fills evenly. When the table is full, buckets that are full again go; if none
/// is, addresses that are not in it share one bucket until there is room: a flood from everywhere limits itself, not those who were there.
/// </remarks>
sealed class RequestLimits(ControlPlaneOptions options)
{
    /// <summary>Most addresses of one kind that are counted apart.</summary>
    public const int MaxAddresses = 20_000;

    readonly FrozenDictionary<string, Counter> counters = new Dictionary<string, Counter>
    {
        [RequestKind.Enrolment.Name] = new(options.EnrolmentLimit),
        [RequestKind.Reading.Name] = new(options.ReadingLimit),
        [RequestKind.Failing.Name] = new(options.FailingLimit),
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Counts a request.</summary>
    /// <returns>How long to wait; null when the request is taken.</returns>
    public TimeSpan? Take(RequestKind kind, IPAddress address) => counters[kind.Name].Take(KeyOf(address), options.Time.GetUtcNow(), 1);

    /// <summary>Whether a request would be taken; counts nothing.</summary>
    public TimeSpan? Look(RequestKind kind, IPAddress address) => counters[kind.Name].Take(KeyOf(address), options.Time.GetUtcNow(), 0);

    /// <summary>The address, or the network that an IPv6 address is of: one caller may have all of it.</summary>
    static (ulong High, ulong Low) KeyOf(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        bytes.Clear();
        address.TryWriteBytes(bytes, out var written);
        return address.AddressFamily == AddressFamily.InterNetworkV6
            ? (BitConverter.ToUInt64(bytes), 1UL)
            : (BitConverter.ToUInt32(bytes), 0UL);
    }

    sealed class Counter(RequestLimit limit)
    {
        readonly Dictionary<(ulong, ulong), Bucket> buckets = [];
        readonly Lock gate = new();
        Bucket all = new(limit.OfAll, default);
        Bucket others = new(limit.OfAddress, default);

        public TimeSpan? Take((ulong, ulong) key, DateTimeOffset now, int count)
        {
            lock (gate)
            {
                var apart = buckets.TryGetValue(key, out var bucket) || MakeRoom(now);
                if (!apart)
                    bucket = others;
                else if (bucket.Since == default)
                    bucket = new(limit.OfAddress, now);
                bucket = bucket.At(now, limit.OfAddress);
                all = all.At(now, limit.OfAll);
                var wait = Wait(bucket, limit.OfAddress) ?? Wait(all, limit.OfAll);
                if (wait is null && count > 0)
                {
                    bucket = bucket with { Left = bucket.Left - count };
                    all = all with { Left = all.Left - count };
                }

                if (!apart)
                    others = bucket;
                else if (count > 0 || buckets.ContainsKey(key))
                    buckets[key] = bucket;
                return wait;
            }
        }

        /// <summary>Whether an address more can be counted apart.</summary>
        bool MakeRoom(DateTimeOffset now)
        {
            if (buckets.Count < MaxAddresses)
                return true;
            if (now - swept < TimeSpan.FromSeconds(1)) // a sweep costs; a flood must not buy one with each request
                return false;
            swept = now;
            foreach (var (key, bucket) in buckets)
            {
                if (bucket.At(now, limit.OfAddress).Left >= limit.OfAddress)
                    buckets.Remove(key);
            }

            return buckets.Count < MaxAddresses;
        }

        DateTimeOffset swept;

        static TimeSpan? Wait(Bucket bucket, int perMinute) => bucket.Left >= 1 ? null : TimeSpan.FromMinutes((1 - bucket.Left) / perMinute);
    }

    readonly record struct Bucket(double Left, DateTimeOffset Since)
    {
        public Bucket At(DateTimeOffset now, int perMinute)
        {
            var passed = (now - Since).TotalMinutes;
            return passed <= 0 ? this : new(Math.Min(perMinute, Left + (passed * perMinute)), now);
        }
    }
}
