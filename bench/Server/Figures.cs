using System.Collections.Concurrent;
using System.Globalization;

namespace Coppice.Bench.Server;

/// <summary>Counts answers and how long they took, by what was asked, from many threads.</summary>
sealed class Figures
{
    const double Step = 1.02; // a bucket's width: quantiles are right to 2 %
    const int Buckets = 900; // to about 50 minutes
    const double Least = 0.05; // ms

    readonly ConcurrentDictionary<string, long[]> counts = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, (int Count, string First)> errors = new(StringComparer.Ordinal);

    public int Errors => errors.Values.Sum(error => error.Count);

    public void Took(string what, TimeSpan time)
    {
        var bucket = (int)Math.Clamp(Math.Log(time.TotalMilliseconds / Least) / Math.Log(Step), 0, Buckets - 1);
        Interlocked.Increment(ref counts.GetOrAdd(what, _ => new long[Buckets])[bucket]);
    }

    public void Failed(string what, string how) => errors.AddOrUpdate(what, (1, how), (_, before) => (before.Count + 1, before.First));

    public void Say(double seconds)
    {
        Console.WriteLine("| what | answers | a second | median ms | p99 ms | p99.9 ms | slowest ms |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (var (what, buckets) in counts.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            var all = buckets.Sum();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {what} | {all:N0} | {all / seconds:N0} | {Quantile(0.5):0.0} | {Quantile(0.99):0.0} | {Quantile(0.999):0.0} | {Quantile(1):0.0} |"));

            double Quantile(double share)
            {
                var (left, i) = ((long)Math.Ceiling(share * all), 0);
                while ((left -= buckets[i]) > 0)
                    i++;
                return Least * Math.Pow(Step, i + 1);
            }
        }

        foreach (var (what, (count, first)) in errors.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            Console.WriteLine($"{count} failed: {what}, first with {first}");
    }
}
