using System.Collections.Immutable;
using Coppice.Protocol;

namespace Coppice.Simulation.Agent;

/// <summary>What a server has heard of a device: each number once, without gaps, and always the same under it.</summary>
/// <param name="text">A report in words, its number left out.</param>
sealed class HeardReports(Func<Report, string> text)
{
    readonly SortedDictionary<long, string> heard = [];

    public IReadOnlyCollection<string> Words => heard.Values;

    public void Take(ImmutableArray<Report> reports)
    {
        foreach (var report in reports)
        {
            var said = text(report);
            if (heard.TryGetValue(report.Sequence, out var before))
            {
                Assert.Equal(before, said);
                continue;
            }

            Assert.Equal(heard.Count + 1, report.Sequence);
            heard[report.Sequence] = said;
        }
    }
}
