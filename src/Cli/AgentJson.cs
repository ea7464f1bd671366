using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Agent;

namespace Coppice.Cli;

/// <summary>The same for scripts: flat names that do not change with the agent's own files.</summary>
static class AgentJson
{
    public static string Event(AgentEvent happened) => JsonSerializer.Serialize(
        new EventLine(happened.At, Camel(happened.Kind.ToString()), happened.Model?.ToString(), happened.Release?.ToString(), happened.Text), AgentJsonContext.Default.EventLine);

    public static string Status(AgentStatus status) => JsonSerializer.Serialize(
        new StatusLine(
            status.Device, status.Key?.ToString(), status.Server, status.Running, status.Trouble, status.ReportsWaiting,
            [.. status.Models.Select(Model)]),
        AgentJsonContext.Default.StatusLine);

    static ModelLine Model(ModelStatus model)
    {
        var state = model.State;
        return new(
            state.Model.ToString(), Camel((model.Live?.Step ?? state.Step).ToString()),
            state.Serving?.Release.ToString(), state.Serving?.Variant, state.Serving?.Rollout, state.Serving is { Settled: false },
            state.Previous?.Release.ToString(), state.Shadow?.Slot.Release.ToString(), state.Target?.Slot.Release.ToString(),
            [.. state.Refusals.Select(refusal => new RefusalLine(refusal.Release.ToString(), refusal.Rollout, refusal.Attempt, refusal.Why))],
            model.Live?.Next, [.. model.Live?.Why ?? []]);
    }

    static string Camel(string name) => JsonNamingPolicy.CamelCase.ConvertName(name);
}

sealed record EventLine(DateTimeOffset At, string Kind, string? Model, string? Release, string Text);

sealed record StatusLine(string? Device, string? Key, string? Server, bool Running, string? Trouble, int ReportsWaiting, IReadOnlyList<ModelLine> Models);

sealed record ModelLine(
    string Model, string Step, string? Release, string? Variant, string? Rollout, bool Probation, string? Previous, string? Shadow, string? Target,
    IReadOnlyList<RefusalLine> Refusals, DateTimeOffset? Next, IReadOnlyList<string> Why);

sealed record RefusalLine(string Release, string Rollout, int Attempt, string Why);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(EventLine))]
[JsonSerializable(typeof(StatusLine))]
sealed partial class AgentJsonContext : JsonSerializerContext;
