using System.CommandLine;
using Coppice.Cli.Publishing;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary><c>coppice publish --request</c> and <c>--signed</c>: a release that people elsewhere sign.</summary>
static class PublishSigned
{
    public static readonly Option<string?> RequestOption = new("--request") { Description = "Do not sign here: check the release, bring its files, and write this request for the people who sign." };
    public static readonly Option<string[]> SignedOption = new("--signed") { Description = "Hand in the release of a request that enough people have signed; repeat it for copies that others signed.", AllowMultipleArgumentsPerToken = true };

    /// <summary>Writes the request.</summary>
    public static void Write(string file, SigningRequest request) => Ceremony.WriteNew(file, request);

    /// <summary>Hands in what a complete request holds.</summary>
    /// <exception cref="PublicationException">Signatures are missing, it publishes no release, or the repository refuses.</exception>
    public static async Task RunAsync(IReleaseRepository repository, string[] files, CancellationToken cancel)
    {
        var request = Ceremony.Read(files);
        if (request.Manifests.Count != 1 || request.Next.Count != 1 || request.NextRoot is not null)
            throw new PublicationException("The request publishes no release; put it in force with: coppice root apply FILE");
        if (!request.IsComplete)
            throw new PublicationException($"Signatures are missing; nothing was published.\n  {string.Join("\n  ", SigningSummary.Signatures(request))}");
        var (path, bytes) = request.Manifests.Single();
        if (!DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out var problems))
            throw new PublicationException($"The manifest {path} cannot be read: {problems[0]}");
        var (role, metadata) = request.Next.Single();
        var publication = await repository.PublishSignedAsync(manifest, bytes.ToArray(), role, metadata.Bytes, cancel);
        Console.Out.WriteLine($"Published {manifest.Model} {manifest.Version}, signed by {string.Join(", ", request.Needs.SelectMany(need => need.Keys.Where(key => need.Signed.Contains(key.Id))))}.");
        foreach (var warning in publication.Warnings)
            Console.Error.WriteLine($"warning: {warning}");
        Console.Out.WriteLine($"No device takes it before a rollout says so: coppice rollout start {manifest.Model} {manifest.Version} --share 0.1 --share 1 --soak 24h");
    }
}
