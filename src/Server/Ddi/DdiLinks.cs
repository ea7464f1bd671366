using System.Collections.Immutable;
using System.Globalization;
using Coppice.Rollouts;
using Coppice.Server.Access;
using Coppice.Server.Registry;
using Coppice.Trust;

namespace Coppice.Server.Ddi;

/// <summary>Absolute links as the device reaches this server, and what it is to fetch by them.</summary>
sealed class DdiLinks(Repository repository, DdiDigests digests, CallerAddresses callers)
{
    /// <summary>A link below the device's own part of the API.</summary>
    public DdiLink To(HttpContext context, DdiCaller caller, string path) =>
        new($"{Base(context)}/{context.GetRouteValue("tenant")}/controller/v1/{Uri.EscapeDataString(caller.Controller)}/{path}");

    /// <summary>What an action brings.</summary>
    /// <param name="context">The request.</param>
    /// <param name="action">The action.</param>
    /// <param name="need">Whether it is installed now, or fetched first.</param>
    /// <param name="rollout">What it comes by; null when it is over.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <returns>Null when the release is not in the repository any more.</returns>
    public async Task<DdiPlan?> PlanAsync(HttpContext context, DdiActionRow action, DdiNeed need, Rollout? rollout, CancellationToken cancel)
    {
        if (repository.Manifest(action.Model, action.Release)?.Variants.FirstOrDefault(variant => variant.Name == action.Variant) is not { } variant)
            return null;
        var artifacts = ImmutableArray.CreateBuilder<DdiArtifact>(variant.Files.Length);
        foreach (var file in variant.Files)
        {
            var link = new DdiLink($"{Base(context)}/repository/{RepositoryLayout.BlobFile(file.Digest)}");
            artifacts.Add(new(file.Name.Replace('/', '_'), await digests.OfAsync(file.Digest, cancel), file.Length, ImmutableSortedDictionary<string, DdiLink>.Empty.Add("download", link).Add("download-http", link)));
        }

        // hawkBit's own types: 'bApp' is an application.
        var chunk = new DdiChunk("bApp", action.Release.ToString(), action.Model.ToString(), artifacts.ToImmutable());
        return new("forced", need == DdiNeed.Prepare ? "skip" : "forced", [chunk], rollout is null || rollout.Windows.IsEmpty ? null : need == DdiNeed.Prepare ? "unavailable" : "available");
    }

    /// <summary>The server as the caller reached it; a trusted proxy says by which scheme.</summary>
    string Base(HttpContext context)
    {
        var scheme = callers.IsProxy(context) && context.Request.Headers["X-Forwarded-Proto"].ToString() is "https" ? "https" : context.Request.Scheme;
        return string.Create(CultureInfo.InvariantCulture, $"{scheme}://{context.Request.Host}");
    }
}
