using System.CommandLine;
using System.Globalization;
using Coppice.Delivery;
using Coppice.Protocol;

namespace Coppice.Cli;

/// <summary><c>coppice release</c>: versions of a model.</summary>
public static class ReleaseCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("release", "Releases of a model.") { Json, List(server), Show(server), Revoke(server) };
        server.AddTo(command);
        return command;
    }

    internal static void Table(IEnumerable<ReleaseView> releases) => Output.Table(["RELEASE", "PUBLISHED", "BY", "SIZE", "VARIANTS", "DEVICES", "STATE"], [.. releases.Select(release => new[]
    {
        release.Version.ToString(), Output.Time(release.PublishedAt), release.PublishedBy, ByteSize.Format(release.Length), string.Join(",", release.Variants),
        $"{release.Serving}", release.Revoked is { } revoked ? $"revoked: {revoked.Why}" : "",
    })], "No release; publish one with 'coppice publish'.");

    static Command List(ServerOptions server)
    {
        var model = ModelCommand.Argument();
        var command = new Command("list", "Lists the releases of a model, highest first.") { model };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var name = ModelCommand.Name(parsed.GetRequiredValue(model));
            using var client = server.Connect(parsed);
            var detail = await client.GetModelAsync(name, cancel);
            if (parsed.GetValue(Json))
                Output.Json(detail.Releases, ControlContext.Default.ImmutableArrayReleaseView);
            else
                Table(detail.Releases);
        }));
        return command;
    }

    static Command Show(ServerOptions server)
    {
        var (model, version) = (ModelCommand.Argument(), Version());
        var command = new Command("show", "Shows a release: its files and where it runs.") { model, version };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var (name, wanted) = (ModelCommand.Name(parsed.GetRequiredValue(model)), ModelCommand.Version(parsed.GetRequiredValue(version)));
            using var client = server.Connect(parsed);
            var detail = await client.GetReleaseAsync(name, wanted, cancel);
            if (parsed.GetValue(Json))
            {
                Output.Json(detail, ControlContext.Default.ReleaseDetail);
                return;
            }

            var release = detail.Release;
            Output.Fields(("release", $"{release.Model} {release.Version}"), ("manifest", $"sha256 {release.Digest}"), ("published", $"{Output.Time(release.PublishedAt)} by {release.PublishedBy}"),
                ("size", ByteSize.Format(release.Length)), ("sealed", detail.Manifest.IsSealed ? "yes" : "no"), ("notes", detail.Manifest.Notes), ("licence", detail.Manifest.Licence),
                ("revoked", release.Revoked is { } revoked ? $"{Output.Time(revoked.At)} by {revoked.By}: {revoked.Why}" : null),
                ("fetched", DeliveryWays.Format(detail.BytesByWay) is { Length: > 0 } ways ? ways : null),
                ("patches", detail.Patches.IsEmpty ? null : string.Join(", ", detail.Patches.Select(patch => $"{patch.File} {(patch.From.IsEmpty ? "compressed" : $"from {string.Join(" and ", patch.From.Select(from => from.ToString()[..12]))}")} {ByteSize.Format(patch.Length)}"))),
                ("devices", string.Create(CultureInfo.InvariantCulture, $"{release.Serving}{(detail.Devices.IsEmpty ? "" : ": ")}{string.Join(" ", detail.Devices.Take(10))}{(release.Serving > 10 ? " …" : "")}")));
            Output.Table(["VARIANT", "FORMAT", "RUNTIME", "FILE", "SIZE", "SHA-256"], [.. detail.Manifest.Variants.SelectMany(variant => variant.Files.Select(file => new[]
            {
                variant.Name, Output.Words(variant.Format), variant.Runtime ?? "-", file.Name, ByteSize.Format(file.Length), file.Digest.ToString()[..16],
            }))], "No variant.");
        }));
        return command;
    }

    static Command Revoke(ServerOptions server)
    {
        var (model, version) = (ModelCommand.Argument(), Version());
        var why = new Option<string>("--why") { Description = "The reason; kept for good.", Required = true };
        var command = new Command("revoke", "Bars a release from serving anywhere, for ever.") { model, version, why };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var (name, wanted) = (ModelCommand.Name(parsed.GetRequiredValue(model)), ModelCommand.Version(parsed.GetRequiredValue(version)));
            using var client = server.Connect(parsed);
            var release = await client.RevokeAsync(name, wanted, parsed.GetRequiredValue(why), cancel);
            if (parsed.GetValue(Json))
                Output.Json(release, ControlContext.Default.ReleaseView);
            else
                Console.Out.WriteLine($"{release.Model} {release.Version} is revoked; {release.Serving} devices that serve it leave it with their next poll.");
        }));
        return command;
    }

    static Argument<string> Version() => new("version") { Description = "The release: 1.4.0." };
}
