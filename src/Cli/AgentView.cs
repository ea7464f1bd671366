using System.Globalization;
using Coppice.Agent;
using Coppice.Agent.Updates;

namespace Coppice.Cli;

/// <summary>What a data folder tells, on one screen.</summary>
static class AgentView
{
    public static string Event(AgentEvent happened)
    {
        var about = happened.Model is { } model ? $" {model}" : "";
        return string.Create(CultureInfo.InvariantCulture, $"{happened.At.ToLocalTime():yyyy-MM-dd HH:mm:ss}{about} {Word(happened.Kind.ToString())}: {happened.Text}");
    }

    public static IEnumerable<string> Status(AgentStatus status, DateTimeOffset now)
    {
        yield return $"device   {status.Device ?? "none: no agent has run here"}{(status.Server is { } server ? $", known to {server}" : "")}";
        if (status.Key is { } key)
            yield return $"key      {key}{(status.CertificateExpires is { } until ? $", certified until {Output.Time(until)}" : "")}";
        yield return $"agent    {(status.Running ? "running" : "not running")}{(status.ReportsWaiting > 0 ? $", {status.ReportsWaiting} reports wait for the server" : "")}";
        if (status.Trouble is { } trouble)
            yield return $"trouble  {trouble}";
        foreach (var model in status.Models)
        {
            yield return "";
            foreach (var line in Model(model, now))
                yield return line;
        }
    }

    public static IEnumerable<string> Explain(AgentStatus status, DateTimeOffset now)
    {
        foreach (var line in Status(status, now))
            yield return line;
        foreach (var model in status.Models)
        {
            yield return "";
            yield return $"why {model.State.Model} is where it is";
            if (model.Live is null)
                yield return "  the agent does not run; its reasons are in the history";
            foreach (var why in model.Live?.Why ?? [])
                yield return $"  {why}";
        }
    }

    static IEnumerable<string> Model(ModelStatus model, DateTimeOffset now)
    {
        var state = model.State;
        yield return $"{state.Model}";
        yield return $"  serves   {state.Serving?.ToString() ?? "nothing"}{(state.Serving is { Settled: false } ? ", on probation" : "")}{(state.Serving is { } serving ? $", by {serving.Rollout}" : "")}";
        if (state.Previous is { } previous)
            yield return $"  before   {previous}, kept to go back to";
        if (state.Shadow is { } shadow)
            yield return $"  beside   {shadow.Slot}, answers nobody{(shadow.Slot.Settled ? "" : ", on probation")}, by {shadow.Slot.Rollout} (arm {shadow.Terms.Arm})";
        if (state.Target is { } target && target.Slot.Folder != state.Serving?.Folder)
            yield return $"  brings   {target.Slot}{(target.Shadow is null ? "" : " to run beside it")}, by {target.Slot.Rollout}{Progress(model.Live)}";
        if (state.Question is { } question)
            yield return $"  asks     {question.Text} ({question.Release} by {question.Rollout}; answer with 'coppice agent consent')";
        foreach (var refusal in state.Refusals)
            yield return $"  refused  {refusal.Release} of {refusal.Rollout}, attempt {refusal.Attempt}: {refusal.Why}";
        yield return $"  next     {Next(model, now)}";
    }

    static string Progress(LiveModel? live) => live is { Step: UpdateStep.Fetch, Total: > 0 }
        ? $", {ByteSize.Format(live.Fetched)} of {ByteSize.Format(live.Total)}"
        : "";

    static string Next(ModelStatus model, DateTimeOffset now)
    {
        var step = model.Live?.Step ?? model.State.Step;
        var what = step switch
        {
            UpdateStep.Idle or UpdateStep.Decide => "looks for a new plan",
            UpdateStep.Fetch => "fetches what is missing",
            UpdateStep.Verify => "reads the files back",
            UpdateStep.Stage => "lays the files out",
            UpdateStep.Trial => "tries it on this device",
            UpdateStep.Switch => "switches to it",
            UpdateStep.Probation => "watches it serve",
            UpdateStep.Settle => "keeps it",
            UpdateStep.TakeBack => "goes back to the release before",
            UpdateStep.Withdraw => "stops serving",
            _ => "reports what happened",
        };
        if (model.Live is null)
            return $"{what}, when the agent runs again";
        return model.Live.Next is { } next && next > now ? $"{what} in {Span(next - now)}" : $"{what} now";
    }

    static string Span(TimeSpan span) => Duration.Format(TimeSpan.FromSeconds(Math.Ceiling(span.TotalSeconds)));

    /// <summary>TakenBack as taken back.</summary>
    static string Word(string name) => string.Concat(name.Select((c, i) => i > 0 && char.IsUpper(c) ? $" {char.ToLowerInvariant(c)}" : $"{char.ToLowerInvariant(c)}"));
}
