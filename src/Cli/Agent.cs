using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using Coppice.Agent;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Agent.Updates;
using Coppice.Inference;

namespace Coppice.Cli;

/// <summary><c>coppice agent</c>: the agent as a daemon beside an app in any language, and what its data folder tells.</summary>
public static class AgentCommand
{
    static readonly Option<DirectoryInfo> Data = new("--data")
    {
        Description = "Folder for everything the agent keeps.",
        Required = true,
        Recursive = true,
    };

    static readonly Option<bool> Json = new("--json") { Description = "JSON for scripts; one object a line.", Recursive = true };

    public static Command Build()
    {
        var run = new AgentRunOptions();
        var command = new Command("agent", "Keeps the models of this device current, until it is told to end (SIGTERM, Ctrl-C).") { Data, Json };
        run.AddTo(command);
        command.SetAction((parsed, cancel) => RunAsync(parsed, run, cancel));

        var status = new Command("status", "What runs, what was refused and why, what happens next and when.");
        status.SetAction(parsed => Told(parsed, AgentView.Status, AgentJson.Status));
        var history = new Command("history", "What happened on this device, oldest first.");
        history.SetAction(parsed => Told(parsed, data =>
        {
            foreach (var happened in AgentStatus.History(data))
                Console.Out.WriteLine(parsed.GetValue(Json) ? AgentJson.Event(happened) : AgentView.Event(happened));
        }));
        var explain = new Command("explain", "Why each model runs what it runs: every rollout and variant that was looked at.");
        explain.SetAction(parsed => Told(parsed, AgentView.Explain, AgentJson.Status));
        command.Subcommands.Add(Consent());
        command.Subcommands.Add(status);
        command.Subcommands.Add(history);
        command.Subcommands.Add(explain);
        var name = new Option<string>("--name") { Description = "The device's id, where it has none yet." };
        var sealingKey = new Command("sealing-key", "The public key that publishers grant this device sealed releases by, in PEM; the device's id and keys are made when there are none.") { name };
        sealingKey.SetAction(parsed => Told(parsed, data =>
        {
            FolderDisk.MakePrivate(data);
            using var identity = DeviceIdentity.OpenOrMake(new FolderDisk(data), parsed.GetValue(name));
            Console.Out.Write(identity.Sealing.Public.ToPem());
        }));
        command.Subcommands.Add(sealingKey);
        return command;
    }

    static Command Consent()
    {
        var model = ModelCommand.Argument();
        var no = new Option<bool>("--no") { Description = "The release may not serve; it is not asked again before the rollout's next attempt." };
        var command = new Command("consent", "Answers for the user of this device what a rollout asks before its release serves.") { model, no };
        command.SetAction(parsed => Told(parsed, data =>
        {
            var name = ModelCommand.Name(parsed.GetRequiredValue(model));
            var answered = UserConsent.Answer(data, name, !parsed.GetValue(no)) ?? throw new IOException($"nothing is asked about {name}; 'coppice agent status' shows what is.");
            Console.Out.WriteLine($"{(parsed.GetValue(no) ? "no" : "yes")} to {answered.Release} by {answered.Rollout}: {answered.Text}");
        }));
        return command;
    }

    static int Told(ParseResult parsed, Func<AgentStatus, DateTimeOffset, IEnumerable<string>> lines, Func<AgentStatus, string> json) => Told(parsed, data =>
    {
        var status = AgentStatus.Read(data);
        foreach (var line in parsed.GetValue(Json) ? [json(status)] : lines(status, DateTimeOffset.UtcNow))
            Console.Out.WriteLine(line);
    });

    static int Told(ParseResult parsed, Action<string> tell)
    {
        try
        {
            tell(parsed.GetRequiredValue(Data).FullName);
            return ExitCode.Done;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine(e.Message);
            return ExitCode.Failed;
        }
    }

    static async Task<int> RunAsync(ParseResult parsed, AgentRunOptions run, CancellationToken cancel)
    {
        var json = parsed.GetValue(Json);
        var gate = new Lock();
        void Show(AgentEvent happened)
        {
            lock (gate)
            {
                Console.Out.WriteLine(json ? AgentJson.Event(happened) : AgentView.Event(happened));
                Console.Out.Flush();
            }
        }

        AgentOptions options;
        try
        {
            options = run.Read(parsed, parsed.GetRequiredValue(Data).FullName) with { OnEvent = Show };
        }
        catch (FormatException e)
        {
            Console.Error.WriteLine(e.Message);
            return ExitCode.Usage;
        }

        // The signals are taken here, so that the agent ends in order and no release is blamed for it.
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        void End(PosixSignalContext signal)
        {
            signal.Cancel = true;
            ending.Cancel();
        }

        using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
        try
        {
            await using var agent = await CoppiceAgent.OpenAsync(options, ending.Token);
            await Task.Delay(Timeout.Infinite, ending.Token).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or InferenceException)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return e is ArgumentException ? ExitCode.Usage : ExitCode.Failed;
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested) // told to end while it began
        {
        }

        return ExitCode.Done;
    }
}

/// <summary>The options of the daemon.</summary>
sealed class AgentRunOptions
{
    readonly Option<string> server = new("--server") { Description = "Address of the server." };
    readonly Option<string> join = new("--join") { Description = "Join token; needed at the first start only, and not by a device that the server's list has or an operator accepts." };
    readonly Option<string> repository = new("--repository") { Description = "Folder or address of a repository, in place of the server's own. A USB stick is one." };
    readonly Option<string> root = new("--root") { Description = "SHA-256 of the repository's root metadata, where there is no join token." };
    readonly Option<string> authority = new("--authority") { Description = "SHA-256 of the public key of the authority of the server's TLS ('coppice ca list'), where there is no join token." };
    readonly Option<string> grace = new("--offline-grace") { Description = "How long the repository is believed after its timestamp expired; for sites that get bundles.", DefaultValueFactory = _ => "0s" };
    readonly Option<string[]> models = new("--model") { Description = "Model to keep, as plant/bearing; may be repeated." };
    readonly Option<string> name = new("--name") { Description = "The device's id at its first start." };
    readonly Option<string> app = new("--app") { Description = "Version of the app beside the agent, as releases may ask for it." };
    readonly Option<string[]> facts = new("--label", "--fact") { Description = "A fact of this device as k=v; may be repeated." };
    readonly Option<string[]> withheld = new("--withhold") { Description = "A fact that the server is not told, as disk.free or 'ram*'; the device goes by it all the same. May be repeated." };
    readonly Option<string[]> trialData = new("--trial-data") { Description = "Labelled samples of this device as MODEL=FILE; read in trials, and never sent." };
    readonly Option<string> poll = new("--poll") { Description = "Between two looks at the repository.", DefaultValueFactory = _ => "1h" };
    readonly Option<string> checkIn = new("--check-in") { Description = "How often the server hears of this device when nothing happens; ten polls if not given." };
    readonly Option<string> probation = new("--probation") { Description = "How long a new release is watched.", DefaultValueFactory = _ => "10m" };
    readonly Option<string> quota = new("--quota") { Description = "Most bytes of all releases together.", DefaultValueFactory = _ => "16GiB" };
    readonly Option<string> rate = new("--rate") { Description = "Most bytes to fetch each second.", DefaultValueFactory = _ => "0" };

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[server, join, repository, root, grace, authority, models, name, app, facts, withheld, trialData, poll, checkIn, probation, quota, rate])
            command.Options.Add(option);
    }

    /// <exception cref="FormatException">An option is wrong; says which.</exception>
    public AgentOptions Read(ParseResult parsed, string data)
    {
        if (parsed.GetValue(models) is not { Length: > 0 } names)
            throw new FormatException("--model: give at least one, as --model plant/bearing.");
        var pace = Span(parsed, poll);
        if (pace <= TimeSpan.Zero)
            throw new FormatException($"{poll.Name}: give more than nothing, as 30s or 1h.");
        return new()
        {
            Data = data,
            Models = names,
            Server = parsed.GetValue(server),
            JoinToken = parsed.GetValue(join),
            Repository = parsed.GetValue(repository),
            Root = parsed.GetValue(root),
            Authority = parsed.GetValue(authority),
            OfflineGrace = Span(parsed, grace) is var most && most <= TimeSpan.FromDays(3650) ? most : throw new FormatException($"{grace.Name}: give at most 3650d."),
            Device = parsed.GetValue(name),
            App = parsed.GetValue(app),
            Facts = Pairs(parsed, facts),
            WithheldFacts = parsed.GetValue(withheld) ?? [],
            TrialData = Pairs(parsed, trialData),
            CheckIn = parsed.GetValue(checkIn) is null ? null : Span(parsed, checkIn),
            Quota = Bytes(parsed, quota),
            RatePerSecond = Bytes(parsed, rate),
            Policy = new()
            {
                Poll = pace,
                Retry = pace < TimeSpan.FromSeconds(5) ? pace : TimeSpan.FromSeconds(5),
                Probation = new() { Time = Span(parsed, probation) },
            },
        };
    }

    static TimeSpan Span(ParseResult parsed, Option<string> option) => Duration.TryParse(parsed.GetValue(option), out var span)
        ? span
        : throw new FormatException($"{option.Name}: '{parsed.GetValue(option)}' is not a duration; write it as 250ms, 30s, 10m or 24h.");

    static long Bytes(ParseResult parsed, Option<string> option) => ByteSize.TryParse(parsed.GetValue(option), out var bytes)
        ? (long)bytes
        : throw new FormatException($"{option.Name}: '{parsed.GetValue(option)}' is not an amount; write it as 500MB or 2GiB.");

    static Dictionary<string, string> Pairs(ParseResult parsed, Option<string[]> option)
    {
        var pairs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var text in parsed.GetValue(option) ?? [])
        {
            var at = text.IndexOf('=', StringComparison.Ordinal);
            if (at <= 0)
                throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"{option.Name}: '{text}' is not a pair; write it as name=value."));
            pairs[text[..at]] = text[(at + 1)..];
        }

        return pairs;
    }
}
