using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>Which repository a publisher has met at which address, as SSH remembers hosts: <c>coppice/known-roots</c> in the user's configuration folder.</summary>
static class KnownRoots
{
    /// <summary>The root that is remembered of an address; null when there is none.</summary>
    public static Sha256Digest? Of(Uri server) =>
        Remembered(FilePath(), server) is { } known && Sha256Digest.TryParse(known[1], out var digest) ? digest : null;

    static string FilePath() =>
        Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData, Environment.SpecialFolderOption.Create), "coppice", "known-roots");

    static string[]? Remembered(string file, Uri server) =>
        File.Exists(file) ? File.ReadAllLines(file).Select(line => line.Split(' ')).FirstOrDefault(parts => parts is [var address, _] && address == server.ToString()) : null;

    /// <summary>Remembers an address at the first visit, and refuses another repository there later.</summary>
    /// <exception cref="PublicationException">Another repository answers than before.</exception>
    public static void Check(Uri server, Sha256Digest root)
    {
        var file = FilePath();
        var known = Remembered(file, server);
        if (known is null)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.AppendAllText(file, $"{server} {root}{Environment.NewLine}");
            return;
        }

        if (known[1] != root.ToString())
            throw new PublicationException(
                $"{server} has another repository than before (root {root.ToString()[..12]}, remembered {known[1][..Math.Min(12, known[1].Length)]}). If it was set up anew, take its line out of {file}.");
    }
}
