using System.CommandLine;
using System.Security.Cryptography;
using Coppice.Cli.Publishing;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary>What the verbs of a key ceremony share: request files, the repository they are about, and how they end.</summary>
static class Ceremony
{
    /// <summary>Runs a verb; what the repository, a key or a request refuses becomes a line on standard error.</summary>
    public static Task<int> RunAsync(Func<Task> verb) => Output.RunAsync(async () =>
    {
        try
        {
            await verb();
        }
        catch (Exception e) when (e is PublicationException or RepositoryConflictException or UntrustedMetadataException or CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new ControlException(new(Title: e.Message), e);
        }
    });

    /// <inheritdoc cref="RunAsync(Func{Task})"/>
    public static Task<int> RunAsync(Action verb) => RunAsync(() =>
    {
        verb();
        return Task.CompletedTask;
    });

    /// <summary>Where a repository is: <c>--repo</c>, else COPPICE_SERVER.</summary>
    public static Option<string?> Repo(string what = "The repository: a folder, or a server's URL.") =>
        new("--repo") { Description = $"{what} Default: {ServerOptions.ServerVariable}." };

    /// <summary>The online keys of a folder repository.</summary>
    public static Option<string?> Keys() => new("--keys") { Description = "Folder or file of the online keys, where the repository is a folder. Default: COPPICE_KEYS." };

    /// <summary>An operator's token, for a server.</summary>
    public static Option<string?> Token() => new("--token") { Description = $"The operator's token for a server, or @FILE that holds it. Default: {ServerOptions.TokenVariable}." };

    /// <summary>Opens the repository that the options name.</summary>
    /// <param name="repo">What <c>--repo</c> says.</param>
    /// <param name="keys">Online keys; null to read only.</param>
    /// <param name="token">What <c>--token</c> says.</param>
    /// <exception cref="UsageException">No repository is named.</exception>
    public static ISigningRepository Open(string? repo, string? keys, string? token)
    {
        if ((repo ?? Environment.GetEnvironmentVariable(ServerOptions.ServerVariable)) is not { Length: > 0 } where)
            throw new UsageException($"Which repository? Give --repo FOLDER or URL, or set {ServerOptions.ServerVariable}.");
        return Uri.TryCreate(where, UriKind.Absolute, out var url) && url.Scheme is "http" or "https"
            ? new SigningServer(url, token, TimeProvider.System)
            : new SigningFolder(where, keys ?? Environment.GetEnvironmentVariable("COPPICE_KEYS"), TimeProvider.System);
    }

    /// <summary>Reads a request.</summary>
    /// <exception cref="PublicationException">It cannot be read.</exception>
    public static SigningRequest Read(string file)
    {
        try
        {
            if (new FileInfo(file) is { Exists: true, Length: > SigningRequest.MaxBytes })
                throw new PublicationException($"{file} has more than {SigningRequest.MaxBytes >> 20} MiB; it is no signing request.");
            return SigningRequest.Read(File.ReadAllBytes(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PublicationException($"The request {file} cannot be read ({e.Message})", e);
        }
        catch (UntrustedMetadataException e)
        {
            throw new PublicationException($"{file}: {e.Message}", e);
        }
    }

    /// <summary>Reads a request and copies of it that others signed.</summary>
    public static SigningRequest Read(IReadOnlyList<string> files) => files.Skip(1).Select(Read).Aggregate(Read(files[0]), (all, copy) => all.Merge(copy));

    /// <summary>Writes a new request and says what is to be done with it.</summary>
    /// <exception cref="PublicationException">A file is there already.</exception>
    public static void WriteNew(string file, SigningRequest request)
    {
        if (File.Exists(file))
            throw new PublicationException($"{file} is there already; nothing was changed. Choose another name, or apply and delete that one.");
        File.WriteAllBytes(file, request.Write());
        Tell(request);
        Console.Out.WriteLine();
        Console.Out.WriteLine($"Wrote {file}. Bring it to who signs: coppice sign {file} --key KEY");
    }

    /// <summary>Says what a request would change, and who has signed it.</summary>
    public static void Tell(SigningRequest request)
    {
        Console.Out.WriteLine($"Purpose, as its maker wrote it: {SigningSummary.Printable(request.Purpose)}");
        Console.Out.WriteLine("What it does:");
        foreach (var line in SigningSummary.Of(request))
            Console.Out.WriteLine("  " + line);
        foreach (var (path, bytes) in request.Manifests)
            TellManifest(path, bytes.Span);
        Console.Out.WriteLine("Signatures:");
        foreach (var line in SigningSummary.Signatures(request))
            Console.Out.WriteLine("  " + line);
    }

    static void TellManifest(string path, ReadOnlySpan<byte> bytes)
    {
        if (!DocumentJson.TryRead(bytes, out ReleaseManifest? manifest, out var problems))
        {
            Console.Out.WriteLine($"  ! the manifest {SigningSummary.Printable(path)} cannot be read: {SigningSummary.Printable(problems[0].ToString())}");
            return;
        }

        Console.Out.WriteLine($"  {manifest.Model} {manifest.Version}{(manifest.Notes is { } notes ? $": {SigningSummary.Printable(notes)}" : "")}");
        if (RepositoryLayout.ReleaseTarget(manifest.Model.ToString(), manifest.Version.ToString()) != path)
            Console.Out.WriteLine($"  ! the manifest is of another release than its path {SigningSummary.Printable(path)} says");
        foreach (var variant in manifest.Variants)
        {
            foreach (var file in variant.Files)
                Console.Out.WriteLine($"    {SigningSummary.Printable(variant.Name)}: {SigningSummary.Printable(file.Name)}, {ByteSize.Format(file.Length)}, sha256 {file.Digest}");
        }
    }
}
