using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Server.Fleet;

/// <summary>What devices and operators may say about a device.</summary>
static class DeviceRules
{
    /// <summary>Ways by which bytes come; an agent that is newer than its server may know some more.</summary>
    const int MaxWays = 16;

    const int MaxWay = 32;

    /// <summary>Everything that is wrong with an enrolment, but for its token.</summary>
    /// <param name="request">As it came.</param>
    /// <param name="key">The key by which the request for a certificate is signed; null when that is wrong.</param>
    public static List<Problem> Check(EnrolRequest request, out DevicePublicKey? key)
    {
        var problems = new List<Problem>();
        key = null;
        if (!DeviceRequest.IsDevice(request.Device))
            problems.Add(new("device", $"'{Shown(request.Device)}' is not a device id; give 1 to {DeviceRequest.MaxDevice} of a-z, 0-9, '-', '_', '.'."));
        if (ReadRequest(request.Request, request.Device, out var certified, out var problem))
            key = certified.Key;
        else
            problems.Add(problem);
        if (!DevicePublicKey.TryParse(request.SealingKey, out var sealing))
            problems.Add(new("sealingKey", "is not a key; give a SubjectPublicKeyInfo of P-256 in base64."));
        else if (sealing.Equals(key))
            problems.Add(new("sealingKey", "is the signing key; make another for sealing."));
        problems.AddRange(CheckFacts(request.Facts));
        return problems;
    }

    /// <summary>Reads a device's request for a certificate.</summary>
    public static bool ReadRequest(string base64, string device, [NotNullWhen(true)] out DeviceRequest? request, out Problem problem)
    {
        request = null;
        var der = new byte[DeviceRequest.MaxBytes];
        if (base64.Length > DeviceRequest.MaxBytes * 4 / 3 || !Convert.TryFromBase64String(base64, der, out var length))
            problem = new("request", $"is not base64 of at most {DeviceRequest.MaxBytes} bytes; give a PKCS#10 request, DER in base64.");
        else if (!DeviceRequest.TryRead(der.AsSpan(0, length), out request, out var what))
            problem = new("request", what);
        else if (request.Device != device)
        {
            problem = new("request", $"asks for '{request.Device}' where this is '{Shown(device)}'; make one with the device's own id as common name.");
            request = null;
        }
        else
            problem = default;
        return request is not null;
    }

    /// <summary>Everything that is wrong with a device's facts.</summary>
    public static IEnumerable<Problem> CheckFacts(ImmutableDictionary<string, string> facts) =>
        // A device that could label itself could join any group.
        Check("facts", facts).Concat(facts.Keys.Where(name => name.StartsWith(FactSet.LabelPrefix, StringComparison.Ordinal) || DeviceGroup.IsLabel(name))
            .Select(name => new Problem($"facts.{Shown(name)}", "is a label or a group; those are given by the operator.")));

    /// <summary>Everything that is wrong with labels.</summary>
    public static IEnumerable<Problem> CheckLabels(ImmutableDictionary<string, string> labels, string where = "labels") =>
        Check(where, labels).Concat(labels.Keys.Where(name => name.StartsWith(FactSet.LabelPrefix, StringComparison.Ordinal))
            .Select(name => new Problem($"{where}.{Shown(name)}", "give the label without the prefix 'label.'; selectors know it by both names.")))
            .Concat(labels.Keys.Where(DeviceGroup.IsLabel).Select(name => new Problem($"{where}.{Shown(name)}", "is a group; put the device in with 'coppice group add'.")));

    /// <summary>Everything that is wrong with a batch's reports.</summary>
    public static IEnumerable<Problem> CheckReports(ReportBatch batch)
    {
        if (batch.Reports.IsDefault || batch.Reports.Length > ReportBatch.MaxReports)
        {
            yield return new("reports", $"{(batch.Reports.IsDefault ? "none" : batch.Reports.Length)}; give an array of at most {ReportBatch.MaxReports}.");
            yield break;
        }

        if (batch.Sending is { } sending && (sending.Number < 1 || sending.Nonce.Length != Sending.NonceLength || !sending.Nonce.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_')))
            yield return new("sending", $"number the sendings from 1, each with {Sending.NonceLength} random characters of base64url.");
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

    internal static string Shown(string text) => text.Length <= 80 ? text : text[..80] + "…";
}
