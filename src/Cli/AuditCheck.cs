using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Audit;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary>Reads an export of the audit log and says what is wrong with it.</summary>
static class AuditCheck
{
    /// <summary>Longest line taken, in characters: an entry has bounded members.</summary>
    const int MaxLine = 1 << 20;

    public static PublicKey ReadKey(string file) => KeyOf(ReadText(file, "--key"), file);

    public static PublicKey KeyOf(string pem, string where)
    {
        var key = new PublicKey("ecdsa", "ecdsa-sha2-nistp256", pem);
        return key.IsUsable ? key : throw new UsageException($"{where} is no public key on P-256 in PEM; 'coppice audit key' writes one.");
    }

    public static AuditCheckpoint ReadCheckpoint(string file)
    {
        try
        {
            return JsonSerializer.Deserialize(ReadText(file, "--checkpoint"), ControlContext.Default.AuditLine)?.Checkpoint?.Checkpoint()
                ?? throw new UsageException($"--checkpoint: {file} holds no checkpoint; 'coppice audit checkpoint' writes one.");
        }
        catch (JsonException e)
        {
            throw new UsageException($"--checkpoint: {file} cannot be read ({e.Message}); 'coppice audit checkpoint' writes one.");
        }
    }

    public static async Task ReadAsync(AuditChain chain, string file, CancellationToken cancel)
    {
        using var reader = Open(file);
        var text = new StringBuilder();
        var buffer = new char[1 << 16];
        for (int read; (read = await reader.ReadAsync(buffer, cancel)) > 0;)
        {
            foreach (var c in buffer.AsMemory(0, read).Span)
            {
                if (c != '\n')
                {
                    if (text.Length <= MaxLine)
                        text.Append(c);
                    continue;
                }

                TakeLine(chain, text);
            }
        }

        if (text.Length > 0)
            TakeLine(chain, text);
        chain.End();
    }

    public static void Take(AuditChain chain, AuditLine line)
    {
        switch (line)
        {
            case { Entry: { } record, Checkpoint: null } when Sha256Digest.TryParse(record.Previous, out var previous) && Sha256Digest.TryParse(record.Hash, out var hash):
                chain.Take(record.Entry(), previous, hash);
                break;
            case { Entry: null, Checkpoint: { } checkpoint }:
                chain.Take(checkpoint.Checkpoint());
                break;
            default:
                chain.TakeUnreadable("it has neither an entry with its hashes nor a checkpoint.");
                break;
        }
    }

    /// <exception cref="ControlException">The log is not as it was written.</exception>
    public static void Say(AuditChain chain, bool json)
    {
        if (json)
            Output.Json(new(chain.Problems.IsEmpty, chain.First, chain.Last, chain.Signed, [.. chain.Problems.Select(problem => problem.ToString())]), AuditContext.Default.AuditVerdict);
        else if (chain.Problems.IsEmpty)
        {
            Console.Out.WriteLine(chain.Last == 0 ? "The log is empty." : $"Good: entries {chain.First} to {chain.Last} are as they were written.");
            if (chain.First > 1)
                Console.Out.WriteLine($"What stands before entry {chain.First} is not in it, and nothing is said about that.");
            if (chain.Signed < chain.Last)
                Console.Out.WriteLine(chain.Signed == 0
                    ? "No checkpoint is about any of them: who could write the whole log anew could have done so."
                    : $"A signed checkpoint vouches for them up to {chain.Signed}; what comes after could have been cut off or written anew.");
            else if (chain.Last > 0)
                Console.Out.WriteLine("A signed checkpoint vouches for all of them.");
        }

        if (!chain.Problems.IsEmpty)
            throw new ControlException(new(Title: "The audit log is not as it was written.", Detail: string.Join("\n  ", chain.Problems)));
    }

    static void TakeLine(AuditChain chain, StringBuilder text)
    {
        var line = text.ToString().TrimEnd('\r');
        text.Clear();
        if (line.Length > MaxLine)
        {
            chain.TakeUnreadable($"it is longer than {MaxLine} characters.");
            return;
        }

        try
        {
            Take(chain, JsonSerializer.Deserialize(line, ControlContext.Default.AuditLine) ?? throw new JsonException("null"));
        }
        catch (JsonException e)
        {
            chain.TakeUnreadable(e.Message);
        }
    }

    static StreamReader Open(string file)
    {
        try
        {
            return new(file, new UTF8Encoding(false, throwOnInvalidBytes: false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{file} cannot be read ({e.Message}).");
        }
    }

    static string ReadText(string file, string option)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{option}: {file} cannot be read ({e.Message}).");
        }
    }
}

/// <summary>What was seen of a server's audit log at the last visit: <c>coppice/known-audits</c> in the user's configuration folder.</summary>
sealed record KnownAudit(string File, string? Key = null, AuditCheckpointRecord? Checkpoint = null)
{
    public static KnownAudit Of(Uri server)
    {
        var folder = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData, Environment.SpecialFolderOption.Create), "coppice", "known-audits");
        var file = Path.Combine(folder, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(server.ToString())))[..16] + ".json");
        if (!System.IO.File.Exists(file))
            return new(file);
        var kept = JsonSerializer.Deserialize(System.IO.File.ReadAllText(file), AuditContext.Default.KeptAudit);
        return new(file, kept?.Key, kept?.Checkpoint);
    }

    public void Keep(string key, AuditCheckpointRecord checkpoint)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(File)!);
        System.IO.File.WriteAllText(File + ".part", JsonSerializer.Serialize(new(key, checkpoint), AuditContext.Default.KeptAudit));
        System.IO.File.Move(File + ".part", File, overwrite: true);
    }
}

/// <summary>As <see cref="KnownAudit"/> keeps it.</summary>
sealed record KeptAudit(string Key, AuditCheckpointRecord Checkpoint);

/// <summary>What <c>coppice audit verify --json</c> tells.</summary>
sealed record AuditVerdict(bool Good, long First, long Last, long Signed, ImmutableArray<string> Problems);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, Converters = [typeof(Sha256DigestConverter)])]
[JsonSerializable(typeof(AuditVerdict))]
[JsonSerializable(typeof(KeptAudit))]
sealed partial class AuditContext : JsonSerializerContext;
