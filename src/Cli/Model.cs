using System.CommandLine;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Cli;

/// <summary><c>coppice model</c>: lines of releases.</summary>
public static class ModelCommand
{
    static readonly Option<bool> Json = Output.JsonOption();

    public static Command Build()
    {
        var server = new ServerOptions();
        var command = new Command("model", "Models and what is known of them.") { Json, List(server), Show(server), Seal(server) };
        server.AddTo(command);
        return command;
    }

    /// <summary>Reads a model's name from the command line.</summary>
    internal static ModelName Name(string text) => ModelName.TryParse(text, out var name)
        ? name
        : throw new UsageException($"'{text}' is not a model name; write owner/name in lower case, as plant/bearing.");

    /// <summary>Reads a version from the command line.</summary>
    internal static SemanticVersion Version(string text) => SemanticVersion.TryParse(text, out var version)
        ? version
        : throw new UsageException($"'{text}' is not a version; write it as 1.4.0.");

    internal static Argument<string> Argument() => new("model") { Description = "The model: owner/name." };

    static Command List(ServerOptions server)
    {
        var command = new Command("list", "Lists models.");
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            using var client = server.Connect(parsed);
            var models = await client.ListModelsAsync(cancel);
            if (parsed.GetValue(Json))
                Output.Json(models, ControlContext.Default.ImmutableArrayModelView);
            else
                Output.Table(["MODEL", "LATEST", "RELEASES", "DEVICES", "ROLLOUT"],
                    [.. models.Select(model => new[] { model.Name.ToString(), model.Latest?.ToString() ?? "-", $"{model.Releases}", $"{model.Serving}", model.Running ?? "-" })],
                    "No model; publish a release with 'coppice publish'.");
        }));
        return command;
    }

    static string Told(SealedModel policy) =>
        $"for {(policy.Selector.Length == 0 ? "every device" : policy.Selector)}; {policy.Keys} keys here, {policy.Devices} devices were given some";

    static Command Seal(ServerOptions server)
    {
        var name = Argument();
        var only = new Option<string?>("--for") { Description = "Which devices are given the keys, by their labels: 'site = oslo and not frozen'." };
        var all = new Option<bool>("--for-all") { Description = "Every device that has joined is given the keys." };
        var off = new Option<bool>("--off") { Description = "Releases may be published in the clear again, and no device is given keys." };
        var command = new Command("seal", "Says that releases of a model must be encrypted, and which devices can read them.") { name, only, all, off };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var model = Name(parsed.GetRequiredValue(name));
            var selector = parsed.GetValue(only);
            if ((selector is null ? 0 : 1) + (parsed.GetValue(all) ? 1 : 0) + (parsed.GetValue(off) ? 1 : 0) != 1)
                throw new UsageException("For whom? Give one of --for SELECTOR, --for-all and --off.");
            if (selector is { } text && text.Trim().Length == 0)
                throw new UsageException("--for: an empty selector is every device; say --for-all.");
            using var client = server.Connect(parsed);
            if (parsed.GetValue(off))
            {
                await client.UnsealModelAsync(model, cancel);
                return;
            }

            var policy = await client.SealModelAsync(model, selector ?? "", cancel);
            if (parsed.GetValue(Json))
                Output.Json(policy, ControlContext.Default.SealedModel);
            else
                Console.Out.WriteLine($"{model} is sealed {Told(policy)}.");
        }));
        return command;
    }

    static Command Show(ServerOptions server)
    {
        var name = Argument();
        var command = new Command("show", "Shows a model with its releases and rollouts.") { name };
        command.SetAction((parsed, cancel) => Output.RunAsync(async () =>
        {
            var model = Name(parsed.GetRequiredValue(name));
            using var client = server.Connect(parsed);
            var detail = await client.GetModelAsync(model, cancel);
            if (parsed.GetValue(Json))
            {
                Output.Json(detail, ControlContext.Default.ModelDetail);
                return;
            }

            var policy = await client.FindSealedModelAsync(model, cancel);
            Output.Fields(
                ("model", detail.Model.Name.ToString()), ("latest", detail.Model.Latest?.ToString() ?? "-"), ("devices", $"{detail.Model.Serving}"), ("plan", $"serial {detail.PlanSerial}"),
                ("sealed", policy is null ? null : Told(policy)));
            ReleaseCommand.Table(detail.Releases);
            RolloutCommand.Table(detail.Rollouts);
        }));
        return command;
    }
}
