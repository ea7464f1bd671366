using System.Globalization;
using System.Text.Json;
using Coppice.Delta;

namespace Coppice.Cli;

/// <summary>A patch explained, for people and for programs.</summary>
static class PatchReport
{
    const int TechniqueWidth = 44;
    const int NameWidth = 40;

    public static string Summary(PatchExplanation patch) =>
        string.Create(CultureInfo.InvariantCulture, $"{patch.PatchLength} bytes, {patch.Percent:0.###} % of the {patch.NewLength} that they make.");

    public static void WriteText(TextWriter output, PatchExplanation patch, PatchHeader header)
    {
        foreach (var (i, old) in header.OldFiles.Index())
            output.WriteLine($"old file {i + 1}: {old.Length} bytes, SHA-256 {Convert.ToHexStringLower(old.Digest.AsSpan())}…");
        output.WriteLine($"new file:   {header.NewLength} bytes, SHA-256 {Convert.ToHexStringLower(header.NewDigest.AsSpan())}");
        output.WriteLine();
        output.WriteLine($"{"tensor",-NameWidth}  {"technique",-TechniqueWidth}  {"bytes",12}  {"in the patch",12}  bits each");
        foreach (var part in patch.Parts)
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{part.Name,-NameWidth}  {part.Technique,-TechniqueWidth}  {part.Length,12}  {part.PatchBytes,12}  {part.BitsPerElement,9:0.00}"));
        output.WriteLine();
        output.WriteLine(Summary(patch));
    }

    public static void WriteJson(TextWriter output, PatchExplanation patch, PatchHeader? header = null)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new() { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteNumber("newLength", patch.NewLength);
            json.WriteNumber("patchLength", patch.PatchLength);
            if (header is not null)
            {
                json.WriteString("newSha256", Convert.ToHexStringLower(header.NewDigest.AsSpan()));
                json.WriteStartArray("oldFiles");
                foreach (var old in header.OldFiles)
                {
                    json.WriteStartObject();
                    json.WriteNumber("length", old.Length);
                    json.WriteString("sha256Prefix", Convert.ToHexStringLower(old.Digest.AsSpan()));
                    json.WriteEndObject();
                }
                json.WriteEndArray();
            }
            json.WriteStartArray("parts");
            foreach (var part in patch.Parts)
            {
                json.WriteStartObject();
                json.WriteString("name", part.Name);
                json.WriteString("technique", part.Technique);
                json.WriteNumber("offset", part.Offset);
                json.WriteNumber("length", part.Length);
                json.WriteNumber("patchBytes", part.PatchBytes);
                json.WriteNumber("elements", part.Elements);
                json.WriteNumber("bitsPerElement", Math.Round(part.BitsPerElement, 4));
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        output.WriteLine(System.Text.Encoding.UTF8.GetString(bytes.ToArray()));
    }
}
