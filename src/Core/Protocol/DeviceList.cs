using System.Collections.Immutable;
using System.Text;
using Coppice.Fleet;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>A list of devices that may join, as CSV (RFC 4180): a line of headings, then a device a line.</summary>
/// <remarks>Headings: <c>device</c>, <c>key</c> (SHA-256 of the signing key, hexadecimal), <c>label.NAME</c>. An empty field is as if it were not there.</remarks>
public static class DeviceList
{
    /// <summary>Most characters of a list.</summary>
    public const int MaxBytes = 16 << 20;

    const int MaxFields = 40;
    const int MaxField = 256;
    const int MaxProblems = 20;

    /// <summary>Reads a list, or says everything that is wrong with it, up to a number that a person reads.</summary>
    public static bool TryRead(string text, out ImmutableArray<AuthorisedDevice> devices, out ImmutableArray<Problem> problems)
    {
        ArgumentNullException.ThrowIfNull(text);
        devices = [];
        var (found, wrong) = (ImmutableArray.CreateBuilder<AuthorisedDevice>(), ImmutableArray.CreateBuilder<Problem>());
        if (text.Length > MaxBytes)
            wrong.Add(new("list", $"has {text.Length} characters; give at most {MaxBytes}."));
        string[]? headings = null;
        var (line, at) = (0, text.StartsWith('\uFEFF') ? 1 : 0);
        var (ids, keys) = (new HashSet<string>(StringComparer.Ordinal), new HashSet<Sha256Digest>());
        while (at < text.Length && wrong.Count < MaxProblems && text.Length <= MaxBytes)
        {
            line++;
            if (!TryFields(text, ref at, out var fields, out var problem))
            {
                wrong.Add(new($"line {line}", problem));
                break; // where the next line begins is anybody's guess
            }

            if (fields.All(field => field.Length == 0))
                continue;
            if (headings is null)
            {
                headings = Headings(fields, line, wrong);
                if (wrong.Count > 0)
                    break; // what the fields below mean is not known
            }
            else
                Device(headings, fields, line, ids, keys, found, wrong);
        }

        if (wrong.Count == 0 && found.Count == 0)
            wrong.Add(new("list", "names no device; give a line of headings and a device a line, as 'device,key' and 'till-1,'."));
        problems = wrong.ToImmutable();
        if (problems.IsEmpty)
            devices = found.ToImmutable();
        return problems.IsEmpty;
    }

    /// <summary>Writes a list that <see cref="TryRead"/> reads: a column for each label that some device has.</summary>
    /// <param name="devices">In the order in which they are to be listed.</param>
    /// <param name="text">The list; empty when it cannot be written so.</param>
    /// <returns>False when there are more labels than columns; JSON lines have no such bound.</returns>
    public static bool TryWrite(IReadOnlyCollection<AuthorisedDevice> devices, out string text)
    {
        ArgumentNullException.ThrowIfNull(devices);
        string[] labels = [.. devices.SelectMany(device => device.Labels.Keys).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        text = "";
        if (labels.Length + 2 > MaxFields)
            return false;
        var lines = new StringBuilder().AppendJoin(',', ["device", "key", .. labels.Select(label => Field(FactSet.LabelPrefix + label))]).Append("\r\n");
        foreach (var device in devices)
            lines.AppendJoin(',', [Field(device.Device ?? ""), device.Key?.ToString() ?? "", .. labels.Select(label => Field(device.Labels.GetValueOrDefault(label, "")))]).Append("\r\n");
        text = lines.ToString();
        return true;
    }

    static string Field(string value) => value.AsSpan().IndexOfAny(",\"\r\n") >= 0 ? $"\"{value.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : value;

    static string[] Headings(string[] fields, int line, ImmutableArray<Problem>.Builder wrong)
    {
        foreach (var heading in fields)
        {
            if (heading is not ("device" or "key") && !(heading.StartsWith(FactSet.LabelPrefix, StringComparison.Ordinal) && heading.Length > FactSet.LabelPrefix.Length))
                wrong.Add(new($"line {line}", $"'{heading}' is not a heading; write device, key or label.NAME."));
        }

        if (fields.Distinct(StringComparer.Ordinal).Count() != fields.Length)
            wrong.Add(new($"line {line}", "a heading is there twice; write each once."));
        if (!fields.Contains("device") && !fields.Contains("key"))
            wrong.Add(new($"line {line}", "neither 'device' nor 'key' is among the headings; give one of them, or both."));
        return fields;
    }

    static void Device(
        string[] headings, string[] fields, int line, HashSet<string> ids, HashSet<Sha256Digest> keys, ImmutableArray<AuthorisedDevice>.Builder found, ImmutableArray<Problem>.Builder wrong)
    {
        var before = wrong.Count;
        if (fields.Length != headings.Length)
        {
            wrong.Add(new($"line {line}", $"has {fields.Length} fields where the headings are {headings.Length}."));
            return;
        }

        string? id = null;
        Sha256Digest? key = null;
        var labels = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < fields.Length; i++)
        {
            var field = fields[i];
            if (field.Length == 0)
                continue;
            if (headings[i] == "device")
            {
                if (!DeviceRequest.IsDevice(id = field))
                    wrong.Add(new($"line {line}", $"'{field}' is not a device id; give 1 to {DeviceRequest.MaxDevice} of a-z, 0-9, '-', '_', '.'."));
                else if (!ids.Add(field))
                    wrong.Add(new($"line {line}", $"'{field}' is there twice; name each device once."));
            }
            else if (headings[i] == "key")
            {
                if (!Sha256Digest.TryParse(field, out var digest))
                    wrong.Add(new($"line {line}", $"'{field}' is not a SHA-256; give the 64 hex digits of the signing key's digest."));
                else if (!keys.Add(digest))
                    wrong.Add(new($"line {line}", $"the key {digest} is there twice; name each device once."));
                key = digest;
            }
            else
                labels[headings[i][6..]] = field;
        }

        if (id is null && key is null && wrong.Count == before)
            wrong.Add(new($"line {line}", "names neither an id nor a key; give one of them, or both."));
        if (wrong.Count == before)
            found.Add(new() { Device = id, Key = key, Labels = labels.ToImmutable() });
    }

    /// <summary>One record: fields parted by commas, quoted where they hold a comma, a quote or a line break.</summary>
    static bool TryFields(string text, ref int at, out string[] fields, out string problem)
    {
        var all = new List<string>();
        var field = new StringBuilder();
        (fields, problem) = ([], "");
        var more = true;
        while (more && problem.Length == 0)
        {
            field.Clear();
            if (at < text.Length && text[at] == '"')
                problem = Quoted(text, ref at, field);
            else
            {
                while (at < text.Length && text[at] is not (',' or '\r' or '\n') && field.Length <= MaxField)
                    field.Append(text[at++]);
            }

            if (field.Length > MaxField)
                problem = $"a field has more than {MaxField} characters.";
            else if (all.Count == MaxFields)
                problem = $"there are more than {MaxFields} fields.";
            all.Add(field.ToString().Trim());
            more = at < text.Length && text[at] == ',';
            if (more)
                at++;
        }

        if (problem.Length == 0 && at < text.Length && text[at] is not ('\r' or '\n'))
            problem = "something follows a closing quote; quote the whole field.";
        if (at < text.Length && text[at] == '\r')
            at++;
        if (at < text.Length && text[at] == '\n')
            at++;
        fields = [.. all];
        return problem.Length == 0;
    }

    static string Quoted(string text, ref int at, StringBuilder field)
    {
        at++;
        while (at < text.Length && field.Length <= MaxField)
        {
            if (text[at] == '"' && at + 1 < text.Length && text[at + 1] == '"')
                at++;
            else if (text[at] == '"')
            {
                at++;
                return "";
            }

            field.Append(text[at++]);
        }

        return field.Length > MaxField ? "" : "a quote is not closed.";
    }
}
