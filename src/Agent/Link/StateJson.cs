using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Coppice.Agent.Updates;
using Coppice.Protocol;

namespace Coppice.Agent.Link;

/// <summary>The agent's own small files as JSON. The only place in the agent that knows it, beside the link.</summary>
static class StateJson
{
    /// <summary>Largest state, identity or queue file.</summary>
    public const int MaxBytes = 4 << 20;

    public static byte[] Write(UpdateState state) => JsonSerializer.SerializeToUtf8Bytes(state, StateContext.Default.UpdateState);

    public static byte[] Write(SetRecord record) => JsonSerializer.SerializeToUtf8Bytes(record, StateContext.Default.SetRecord);

    public static bool TryRead(byte[] bytes, [NotNullWhen(true)] out SetRecord? record) => TryRead(bytes, StateContext.Default.SetRecord, out record);

    public static byte[] Write(IdentityFile identity) => JsonSerializer.SerializeToUtf8Bytes(identity, StateContext.Default.IdentityFile);

    public static byte[] Write(AnswerBox box) => JsonSerializer.SerializeToUtf8Bytes(box, StateContext.Default.AnswerBox);

    public static bool TryRead(byte[] bytes, [NotNullWhen(true)] out AnswerBox? box) => TryRead(bytes, StateContext.Default.AnswerBox, out box);

    public static byte[] Write(ReportBox box) => JsonSerializer.SerializeToUtf8Bytes(box, StateContext.Default.ReportBox);

    public static byte[] Write(LiveView live) => JsonSerializer.SerializeToUtf8Bytes(live, StateContext.Default.LiveView);

    public static string Write(AgentEvent happened) => JsonSerializer.Serialize(happened, StateContext.Default.AgentEvent);

    public static bool TryRead(byte[] bytes, [NotNullWhen(true)] out UpdateState? state) => TryRead(bytes, StateContext.Default.UpdateState, out state);

    public static bool TryRead(byte[] bytes, [NotNullWhen(true)] out IdentityFile? identity) => TryRead(bytes, StateContext.Default.IdentityFile, out identity);

    public static bool TryRead(byte[] bytes, [NotNullWhen(true)] out ReportBox? box) => TryRead(bytes, StateContext.Default.ReportBox, out box);

    public static bool TryRead(byte[] bytes, [NotNullWhen(true)] out LiveView? live) => TryRead(bytes, StateContext.Default.LiveView, out live);

    public static AgentEvent? ReadEvent(string line) => TryRead(System.Text.Encoding.UTF8.GetBytes(line), StateContext.Default.AgentEvent, out var happened) ? happened : null;

    static bool TryRead<T>(byte[] bytes, JsonTypeInfo<T> type, [NotNullWhen(true)] out T? value)
        where T : class
    {
        try
        {
            value = JsonSerializer.Deserialize(bytes, type);
        }
        catch (JsonException) // damaged, or of another version: the caller says which file and goes on without it
        {
            value = null;
        }

        return value is not null;
    }
}

[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    NumberHandling = JsonNumberHandling.Strict,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    IgnoreReadOnlyProperties = true,
    MaxDepth = 32,
    Converters =
    [
        typeof(SemanticVersionConverter), typeof(ModelNameConverter), typeof(Sha256DigestConverter), typeof(DurationConverter),
        typeof(NamedEnum<UpdateStep>), typeof(NamedEnum<ReportKind>), typeof(NamedEnum<AgentEventKind>),
    ])]
[JsonSerializable(typeof(UpdateState))]
[JsonSerializable(typeof(SetRecord))]
[JsonSerializable(typeof(IdentityFile))]
[JsonSerializable(typeof(ReportBox))]
[JsonSerializable(typeof(AnswerBox))]
[JsonSerializable(typeof(LiveView))]
[JsonSerializable(typeof(AgentEvent))]
sealed partial class StateContext : JsonSerializerContext;
