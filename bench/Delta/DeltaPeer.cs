using System.Diagnostics;

namespace Coppice.Bench.Delta;

/// <summary>Another delta tool, run as a process.</summary>
/// <param name="Name">As the table calls it.</param>
/// <param name="Program">The program that makes patches.</param>
/// <param name="Make">Its arguments; {old}, {new}, {patch} and {out} stand for paths.</param>
/// <param name="Applier">The program that applies them.</param>
/// <param name="Apply">Its arguments.</param>
sealed record DeltaPeer(string Name, string Program, string Make, string Applier, string Apply)
{
    static readonly DeltaPeer[] Known =
    [
        new("bsdiff", "bsdiff", "{old} {new} {patch}", "bspatch", "{old} {out} {patch}"),
        new("xdelta3", "xdelta3", "-e -f -9 -S djw -B {size} -s {old} {new} {patch}", "xdelta3", "-d -f -B {size} -s {old} {patch} {out}"),
        new("zstd patch", "zstd", "-q -f -T1 -19 --ultra --long=31 --patch-from={old} {new} -o {patch}", "zstd", "-q -f -d --long=31 --patch-from={old} {patch} -o {out}"),
        new("HDiffPatch", "hdiffz", "-f -m-1 -SD -c-lzma2-9-64m {old} {new} {patch}", "hpatchz", "-f {old} {patch} {out}"),
        new("zstd", "zstd", "-q -f -T1 -19 --long=27 {new} -o {patch}", "zstd", "-q -f -d --long=27 {patch} -o {out}"),
        new("brotli", "brotli", "-f -q 11 --lgwin=24 {new} -o {patch}", "brotli", "-f -d {patch} -o {out}"),
    ];

    /// <summary>Those on PATH.</summary>
    public static List<DeltaPeer> Installed() => [.. Known.Where(peer => IsOnPath(peer.Program) && IsOnPath(peer.Applier))];

    static bool IsOnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));

    /// <summary>Bytes of its patch; null when it fails or makes another file.</summary>
    public long? Measure(string old, string made, string work)
    {
        var (patch, result) = (Path.Combine(work, "peer.patch"), Path.Combine(work, "peer.out"));
        File.Delete(result);
        string[] Arguments(string text) => [.. text.Split(' ').Select(word => word
            .Replace("{old}", old, StringComparison.Ordinal).Replace("{new}", made, StringComparison.Ordinal).Replace("{patch}", patch, StringComparison.Ordinal)
            .Replace("{out}", result, StringComparison.Ordinal)
            .Replace("{size}", Math.Max(1 << 20, new FileInfo(old).Length).ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal))];
        return Runs(Program, Arguments(Make)) && Runs(Applier, Arguments(Apply)) && Same(made, result) ? new FileInfo(patch).Length : null;
    }

    static bool Runs(string program, string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        process.StandardOutput.ReadToEndAsync();
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }

    public static bool Same(string made, string result) =>
        File.Exists(result) && File.ReadAllBytes(made).AsSpan().SequenceEqual(File.ReadAllBytes(result));
}
