using System.Globalization;
using System.Text;

namespace Coppice.Fleet;

/// <summary>Numbers of the reports that a device has had kept: by them a report is kept once, however often and however late it comes, also when what it said was forgotten long ago.</summary>
/// <remarks>
/// Runs without a gap, in their order; a device whose reports all arrive has one. Of more than <see cref="MaxRuns"/> the two lowest become one: what is missing between them is not taken any more.
/// </remarks>
public sealed class ReportNumbers
{
    /// <summary>Most runs that are remembered.</summary>
    public const int MaxRuns = 32;

    readonly List<(long First, long Last)> runs = [];

    /// <summary>Reads what <see cref="ToString"/> wrote; of an empty text, none.</summary>
    /// <exception cref="FormatException">It did not.</exception>
    public static ReportNumbers Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var numbers = new ReportNumbers();
        foreach (var part in text.AsSpan().Split(' '))
        {
            var run = text.AsSpan()[part];
            if (run.IsEmpty)
                continue;
            var dash = run.IndexOf('-');
            if (dash < 0)
                throw new FormatException($"'{run}' is no run of numbers; FIRST-LAST is.");
            numbers.runs.Add((long.Parse(run[..dash], NumberStyles.None, CultureInfo.InvariantCulture), long.Parse(run[(dash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture)));
        }

        return numbers;
    }

    /// <summary>Takes a number in.</summary>
    /// <param name="number">Above 0.</param>
    /// <returns>Whether it was not there.</returns>
    public bool Add(long number)
    {
        var at = runs.Count - 1;
        while (at >= 0 && runs[at].First > number)
            at--;
        if (at >= 0 && number <= runs[at].Last)
            return false;
        var follows = at >= 0 && runs[at].Last == number - 1;
        var leads = at + 1 < runs.Count && runs[at + 1].First - 1 == number;
        if (follows && leads)
        {
            runs[at] = (runs[at].First, runs[at + 1].Last);
            runs.RemoveAt(at + 1);
        }
        else if (follows)
            runs[at] = (runs[at].First, number);
        else if (leads)
            runs[at + 1] = (number, runs[at + 1].Last);
        else
            runs.Insert(at + 1, (number, number));
        while (runs.Count > MaxRuns)
        {
            runs[0] = (runs[0].First, runs[1].Last);
            runs.RemoveAt(1);
        }

        return true;
    }

    /// <summary>The last number of the run that begins after this one or has it; the number itself when the next one is missing.</summary>
    public long Through(long number)
    {
        foreach (var (first, last) in runs)
        {
            if (first - 1 <= number && number < last)
                return last;
        }

        return number;
    }

    /// <summary>The runs: <c>1-400 403-403</c>.</summary>
    public override string ToString()
    {
        if (runs is [var (only, end)])
            return string.Create(CultureInfo.InvariantCulture, $"{only}-{end}");
        var text = new StringBuilder();
        foreach (var (first, last) in runs)
            text.Append(text.Length > 0 ? " " : "").Append(CultureInfo.InvariantCulture, $"{first}-{last}");
        return text.ToString();
    }
}
