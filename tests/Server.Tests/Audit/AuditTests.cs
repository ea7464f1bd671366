using System.Text.Json;
using Coppice.Access;
using Coppice.Audit;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Server.Audit;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Audit;

public sealed class AuditTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    static async Task<(AuditChain Chain, List<AuditLine> Lines)> VerifyAsync(CoppiceClient client, params AuditCheckpointRecord[] held)
    {
        var key = new PublicKey("ecdsa", "ecdsa-sha2-nistp256", (await client.ListAuditAsync(0, 1)).Key);
        var chain = new AuditChain(key, held.Select(checkpoint => checkpoint.Checkpoint()));
        var lines = new List<AuditLine>();
        await foreach (var line in client.ExportAuditAsync())
        {
            // Through text, as a file would carry it.
            var read = JsonSerializer.Deserialize(JsonSerializer.Serialize(line, ControlContext.Default.AuditLine), ControlContext.Default.AuditLine)!;
            lines.Add(read);
            if (read.Entry is { } entry)
                chain.Take(entry.Entry(), Sha256Digest.Parse(entry.Previous), Sha256Digest.Parse(entry.Hash));
            else
                chain.Take(read.Checkpoint!.Checkpoint());
        }

        chain.End();
        return (chain, lines);
    }

    [Fact]
    public async Task Every_act_is_in_the_log_with_who_by_what_from_where_and_what_changed()
    {
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0");
        await server.Client.HoldAsync("r-1", "wait – ½ € \"quoted\"");

        var checkpoint = await server.Client.GetAuditCheckpointAsync();
        var (chain, lines) = await VerifyAsync(server.Client, checkpoint);

        Assert.Empty(chain.Problems);
        Assert.Equal(chain.Last, chain.Signed);
        var held = lines.Single(line => line.Entry?.Kind == "rolloutHeld").Entry!;
        Assert.Equal(("admin", "operator:admin", "127.0.0.1", "r-1", "plant/bearing"), (held.By, held.Subject, held.Origin, held.Rollout, held.Model));
        Assert.StartsWith("token ", held.Credential);
        Assert.Contains(held.Changes!.Value, change => change is { What: "Rollouts/1/State", Before: "Running", After: "Held" });
        Assert.Equal(lines.Where(line => line.Entry is not null).Select((_, i) => (long)i + 1), lines.Where(line => line.Entry is not null).Select(line => line.Entry!.Id));
        var first = lines[0].Entry!;
        Assert.Equal(("tokenCreated", "coppice", null), (first.Kind, first.By, first.Subject));
    }

    [Fact]
    public async Task No_secret_of_a_token_is_in_the_log()
    {
        await server.Client.PutOperatorAsync("alice", new([new(Role.Viewer)]));
        var token = await server.Client.CreateTokenAsync(new("t", TimeSpan.FromDays(1)) { Operator = "alice" });
        await server.Client.RevokeTokenAsync(token.View.Id);
        Assert.True(ApiToken.TryParse(token.Token, out var parsed));

        var (_, lines) = await VerifyAsync(server.Client);
        var text = string.Join("\n", lines.Select(line => JsonSerializer.Serialize(line, ControlContext.Default.AuditLine)));
        Assert.DoesNotContain(parsed.Secret, text);
        Assert.DoesNotContain(Coppice.Server.Access.Secret.Hash(parsed.Secret), text);
        Assert.Contains(token.View.Id, text);
    }

    [Fact]
    public async Task Many_writers_at_once_make_one_chain()
    {
        await Task.WhenAll(Enumerable.Range(0, 40).Select(i => server.Client.PutOperatorAsync($"op-{i}", new([new(Role.Viewer)]))));

        var (chain, lines) = await VerifyAsync(server.Client);
        Assert.Empty(chain.Problems);
        Assert.Equal(40, lines.Count(line => line.Entry?.Kind == "operatorChanged"));
    }

    [Fact]
    public async Task Attack_whoever_edits_deletes_or_cuts_the_log_in_the_database_is_found_out()
    {
        for (var i = 0; i < 5; i++)
            await server.Client.PutOperatorAsync($"op-{i}", new([new(Role.Viewer)]));
        var held = await server.Client.GetAuditCheckpointAsync();
        var database = server.Get<Database>();

        Task<int> EditAsync(Func<CoppiceDb, Task<int>> edit) => database.WriteAsync(edit, CancellationToken.None);
        await EditAsync(db => db.Events.Where(row => row.Id == 4).ExecuteUpdateAsync(set => set.SetProperty(row => row.By, "nobody")));
        Assert.Contains("entry 4", Assert.Single((await VerifyAsync(server.Client, held)).Chain.Problems).Where);
        await EditAsync(db => db.Events.Where(row => row.Id == 4).ExecuteUpdateAsync(set => set.SetProperty(row => row.By, "admin")));
        Assert.Empty((await VerifyAsync(server.Client, held)).Chain.Problems);

        await EditAsync(db => db.Events.Where(row => row.Id >= 5).ExecuteDeleteAsync());
        await EditAsync(db => db.AuditCheckpoints.ExecuteDeleteAsync());
        Assert.Contains("cut off", Assert.Single((await VerifyAsync(server.Client, held)).Chain.Problems).What);
    }

    [Fact]
    public async Task A_log_that_is_shorter_than_what_was_signed_is_signed_no_more()
    {
        for (var i = 0; i < 3; i++)
            await server.Client.PutOperatorAsync($"op-{i}", new([new(Role.Viewer)]));
        await server.Client.GetAuditCheckpointAsync();
        await server.Get<Database>().WriteAsync(db => db.Events.Where(row => row.Id >= 3).ExecuteDeleteAsync(), CancellationToken.None);

        var refused = await Assert.ThrowsAsync<InvalidDataException>(() => server.Get<AuditStore>().CheckpointAsync(server.Time.GetUtcNow(), CancellationToken.None));
        Assert.Contains("the end was cut off", refused.Message);
    }

    [Fact]
    public async Task The_end_of_the_log_is_signed_when_the_server_stops()
    {
        var data = NewFolder();
        await using (var first = await StartAsync(data: data))
            await first.Client.PutOperatorAsync("alice", new([new(Role.Viewer)]));
        using (var database = await Database.OpenAsync(Path.Combine(data, "coppice.db"), CancellationToken.None))
        {
            var (last, signed) = await database.ReadAsync(async db => (await db.Events.MaxAsync(row => row.Id), await db.AuditCheckpoints.MaxAsync(row => row.Entry)), CancellationToken.None);
            Assert.Equal(last, signed);
        }

        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task Entries_of_before_the_log_was_chained_are_linked_at_the_next_start_and_one_from_outside_stops_it()
    {
        var data = NewFolder();
        await using (await StartAsync(data: data))
        {
        }

        async Task EditAsync(Func<CoppiceDb, Task<int>> edit)
        {
            using var database = await Database.OpenAsync(Path.Combine(data, "coppice.db"), CancellationToken.None);
            await database.WriteAsync(edit, CancellationToken.None);
        }

        await EditAsync(db => db.AuditCheckpoints.ExecuteDeleteAsync());
        await EditAsync(db => db.Events.ExecuteUpdateAsync(set => set.SetProperty(row => row.Hash, "")));
        await using (var again = await StartAsync(data: data))
            Assert.Empty((await VerifyAsync(again.Client)).Chain.Problems);

        await EditAsync(db => db.Events.Where(row => row.Id == 2).ExecuteUpdateAsync(set => set.SetProperty(row => row.Hash, "")));
        Assert.Contains("put in from outside", (await Assert.ThrowsAsync<InvalidDataException>(() => StartAsync(data: data))).Message);
        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task Attack_a_stolen_backup_of_the_database_holds_no_token_that_opens_anything()
    {
        var token = await server.Client.CreateTokenAsync(new("t", TimeSpan.FromDays(1)) { Operator = "admin" });
        var join = await server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1));
        Assert.True(ApiToken.TryParse(token.Token, out var parsed) && ApiToken.TryParse(server.Token, out _));
        Assert.True(JoinToken.TryParse(join.Token, out var joins));
        var bytes = new List<byte>();
        foreach (var file in Directory.GetFiles(server.Plane.Data, "coppice.db*"))
        {
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var copy = new MemoryStream();
            await stream.CopyToAsync(copy);
            bytes.AddRange(copy.ToArray());
        }

        var stolen = System.Text.Encoding.Latin1.GetString([.. bytes]);
        Assert.Contains(parsed!.Id, stolen); // it is the right file
        foreach (var secret in new[] { parsed.Secret, server.Token[14..57], joins.Secret })
            Assert.DoesNotContain(secret, stolen);
    }
}
