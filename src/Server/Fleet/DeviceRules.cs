using System.Buffers.Text;
using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;

namespace Coppice.Server.Fleet;

/// <summary>What devices and operators may say about a device.</summary>
static class DeviceRules
{
    /// <summary>Ways by which bytes come; an agent that is newer than its server may know some more.</summary>
    const int MaxWays = 16;

    const int MaxWay = 32;

    const int KeyBytes = 32;

    /// <summary>Everything that is wrong with an enrolment, but for its token.</summary>
    public static IEnumerable<Problem> Check(EnrolRequest request)
    {
        if (request.Device.Length is 0 or > 64 || request.Device is "." or ".."
            || !request.Device.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.'))
            yield return new("device", $"'{Shown(request.Device)}' is not a device id; give 1 to 64 of a-z, 0-9, '-', '_', '.'.");
        var key = new byte[KeyBytes];
        if (request.Key.Length != Base64Url.GetEncodedLength(KeyBytes) || !Base64Url.TryDecodeFromChars(request.Key, key, out var decoded) || decoded != KeyBytes)
            yield return new("key", $"is not a key; give {KeyBytes} random bytes as base64url without padding.");
        foreach (var problem in CheckFacts(request.Facts))
            yield return problem;
    }

    /// <summary>Everything that is wrong with a device's facts.</summary>
    public static IEnumerable<Problem> CheckFacts(ImmutableDictionary<string, string> facts) =>
        // A device that could label itself could join any group.
        Check("facts", facts).Concat(facts.Keys.Where(name => name.StartsWith("label.", StringComparison.Ordinal))
            .Select(name => new Problem($"facts.{Shown(name)}", "is a label; labels are given by the operator.")));

    /// <summary>Everything that is wrong with labels.</summary>
    public static IEnumerable<Problem> CheckLabels(ImmutableDictionary<string, string> labels) =>
        Check("labels", labels).Concat(labels.Keys.Where(name => name.StartsWith("label.", StringComparison.Ordinal))
            .Select(name => new Problem($"labels.{Shown(name)}", "give the label without the prefix 'label.'; selectors know it by both names.")));

    /// <summary>Everything that is wrong with a batch's reports.</summary>
    public static IEnumerable<Problem> CheckReports(ReportBatch batch)
    {
        if (batch.Reports.IsDefault || batch.Reports.Length > ReportBatch.MaxReports)
        {
            yield return new("reports", $"{(batch.Reports.IsDefault ? "none" : batch.Reports.Length)}; give an array of at most {ReportBatch.MaxReports}.");
            yield break;
        }

        var last = 0L;
        for (var i = 0; i < batch.Reports.Length; i++)
        {
            var report = batch.Reports[i];
            if (report.Sequence <= last)
                yield return new($"reports[{i}].sequence", $"{report.Sequence} does not follow {last}; send reports oldest first, numbered from 1.");
            if (report.Attempt < 0)
                yield return new($"reports[{i}].attempt", $"{report.Attempt} is negative; give the rollout's attempt.");
            if (report.BytesFetched < 0 || report.BytesTotal < 0)
                yield return new($"reports[{i}]", "counts bytes below zero; give zero or more.");
            if (report.BytesByWay is { } ways && (ways.Count > MaxWays || ways.Any(way => way.Value < 0 || way.Key.Length is 0 or > MaxWay || !way.Key.All(char.IsAsciiLetterLower))))
                yield return new($"reports[{i}].bytesByWay", $"is not bytes by way; give at most {MaxWays} names of a-z with zero or more bytes, as {{\"patch\": 1200}}.");
            if (report.Rollout?.Length > 64)
                yield return new($"reports[{i}].rollout", $"has {report.Rollout.Length} characters; give the rollout's id as the plan writes it.");
            if (report.Variant?.Length > 64)
                yield return new($"reports[{i}].variant", $"has {report.Variant.Length} characters; give the variant's name as the manifest writes it.");
            last = Math.Max(last, report.Sequence);
        }
    }

    static IEnumerable<Problem> Check(string where, ImmutableDictionary<string, string> values)
    {
        if (values.Count > FactSet.MaxCount)
            yield return new(where, $"{values.Count} are too many; give at most {FactSet.MaxCount}.");
        foreach (var (name, value) in values)
        {
            if (name.Length is 0 or > FactSet.MaxText || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' or '/' or ':' or '+'))
                yield return new($"{where}.{Shown(name)}", $"is not a name; give 1 to {FactSet.MaxText} letters, digits, '.', '_', '-', '/', ':' or '+'.");
            if (value is null || value.Length > FactSet.MaxText)
                yield return new($"{where}.{Shown(name)}", $"has no value or one of more than {FactSet.MaxText} characters; give a shorter text.");
        }
    }

    static string Shown(string text) => text.Length <= 80 ? text : text[..80] + "…";
}
