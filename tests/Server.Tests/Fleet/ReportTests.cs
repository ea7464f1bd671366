using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Json;
using Coppice.Protocol;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;
using static Coppice.Protocol.ReportKind;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Fleet;

public class ReportTests : IAsyncLifetime
{
    RunningServer server = null!;
    TestDevice device = null!;

    public async Task InitializeAsync()
    {
        server = await RunningServer.StartAsync();
        device = await server.EnrolAsync("till-1", ("os", "linux"));
    }

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<IEnumerable<long>> KeptAsync() => (long[])[.. (await server.Client.ListReportsAsync("till-1")).Reports.Select(kept => kept.Report.Sequence)];

    [Fact]
    public async Task Reports_are_kept_and_tell_what_serves()
    {
        var answer = await device.SayAsync(Report(1, Started), Report(2, Switched));
        Assert.Equal(2, answer.Through);
        var model = Assert.Single((await server.Client.GetDeviceAsync("till-1")).Models);
        Assert.Equal(("1.0.0", false), (model.Serving!.ToString(), model.Settled));

        await device.SayAsync(Report(3, Settled));
        Assert.True((await server.Client.GetDeviceAsync("till-1")).Models[0].Settled);
        Assert.Equal([3, 2, 1], await KeptAsync());
    }

    [Fact]
    public async Task Devices_that_report_at_once_are_kept_each_once_also_those_out_of_the_ordinary()
    {
        var devices = new List<TestDevice> { device };
        for (var i = 2; i <= 12; i++)
            devices.Add(await server.EnrolAsync($"till-{i}"));
        await server.Client.RetireDeviceAsync("till-12");
        var intake = server.Get<Server.Fleet.ReportIntake>();
        var now = server.Time.GetUtcNow();

        // Each device's reports in two batches and the first of them twice; till-12 is retired, till-11 is a clone: its sending comes from two installations.
        var asked = devices.SelectMany(one => Enumerable.Range(0, 3).Select(turn => (one.Id, Batch: turn switch
        {
            0 => new ReportBatch([Report(1, Started), Report(2, Switched, why: "a NUL \0 in a text")]) { Sending = new(1, "first", now) },
            1 => new([Report(1, Started), Report(2, Switched)]) { Sending = one.Id == "till-11" ? new(1, "other", now) : new(1, "first", now) },
            _ => new([Report(3, Settled)]) { Sending = new(2, "second", now) },
        }))).ToList();
        var kept = await Task.WhenAll(asked.Select(one => intake.KeepAsync(one.Id, one.Batch, now)));

        Assert.All(kept.Zip(asked).Where(pair => pair.Second.Id == "till-12"), pair => Assert.Null(pair.First.Through));
        foreach (var id in devices.Select(one => one.Id).Where(id => id != "till-12"))
        {
            Assert.Equal([3, 2, 1], (await server.Client.ListReportsAsync(id)).Reports.Select(one => one.Report.Sequence));
            Assert.True((await server.Client.GetDeviceAsync(id)).Models[0].Settled);
            Assert.Equal(3L, kept.Zip(asked).Last(pair => pair.Second.Id == id).First.Through);
        }

        Assert.Equal("till-11", Assert.Single((await server.Client.ListEventsAsync(kind: "deviceSuspected")).Events).Device);
    }

    [Fact]
    public async Task What_is_kept_together_is_what_each_device_would_have_kept_by_itself()
    {
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0");
        var (alone, together) = (new List<string>(), new List<string>());
        for (var i = 0; i < 8; i++)
        {
            await server.EnrolAsync($"alone-{i}", ("os", "linux"));
            await server.EnrolAsync($"together-{i}", ("os", "linux"));
            alone.Add($"alone-{i}");
            together.Add($"together-{i}");
        }

        var (store, now) = (server.Get<Server.Fleet.ReportStore>(), server.Time.GetUtcNow());
        ReportBatch[] batches =
        [
            new([Report(1, Started), Report(2, Switched)]) { Sending = new(1, "a", now) },
            new([Report(5, Settled) with { BytesFetched = 7, BytesTotal = 9, BytesByWay = ImmutableSortedDictionary<string, long>.Empty.Add("whole", 7), Measures = ImmutableDictionary<string, double>.Empty.Add("accuracy", 0.1 + 0.2), Variant = "fp32" }]) { Sending = new(2, "b", now) },
            new([Report(3, Started, attempt: 1), Report(4, Started), Report(5, Settled), Report(6, Refused, "1.1.0", "r-99", why: "no \0 such")]) { Facts = new Dictionary<string, string> { ["os"] = "bsd" }.ToImmutableDictionary(), Sending = new(3, "c", now) },
            new([Report(6, Stopped), Report(8, TakenBack, why: "worse")]) { Sending = new(4, "d", now) },
        ];
        foreach (var batch in batches)
        {
            server.Time.Advance(TimeSpan.FromMinutes(1));
            now = server.Time.GetUtcNow();
            foreach (var id in alone)
                await store.KeepAsync(id, batch, now, CancellationToken.None);
            await store.KeepAllAsync([.. together.Select(id => (id, batch, now))], CancellationToken.None);
        }

        for (var i = 0; i < alone.Count; i++)
        {
            var (one, other) = (await StandsAsync(alone[i]), await StandsAsync(together[i]));
            Assert.Equal(one.Select(line => line.Replace(alone[i], "ID", StringComparison.Ordinal)), other.Select(line => line.Replace(together[i], "ID", StringComparison.Ordinal)));
            Assert.Contains(one, line => line.StartsWith("Reports", StringComparison.Ordinal) && line.Contains("0.30000000000000004", StringComparison.Ordinal));
        }

        // Every column of every row that a report touches, but for keys and what it was enrolled with.
        Task<List<string>> StandsAsync(string id) => server.Get<Server.Storage.Database>().ReadAsync(async db =>
        {
            var lines = new List<string>();
            lines.AddRange((await db.Devices.Where(row => row.Id == id).ToListAsync()).Select(row => System.Text.Json.JsonSerializer.Serialize(new { row.LastSeen, row.Sendings, row.Through, row.Kept, row.Facts, row.Labels, row.Suspect })));
            lines.AddRange((await db.DeviceModels.Where(row => row.Device == id).ToListAsync()).Select(row => "DeviceModels " + string.Join('|', row.Values())));
            lines.AddRange((await db.Reports.Where(row => row.Device == id).OrderBy(row => row.Sequence).ToListAsync()).Select(row => "Reports " + string.Join('|', row.Values())));
            lines.AddRange((await db.RolloutDevices.Where(row => row.Device == id).ToListAsync()).Select(row => System.Text.Json.JsonSerializer.Serialize(new { row.Rollout, row.Sequence, row.Kind, row.At, row.Since, row.Measures, row.BytesFetched, row.Why })));
            return lines;
        }, CancellationToken.None);
    }

    [Fact]
    public async Task Old_reports_are_forgotten_by_the_week_and_what_they_came_to_stays()
    {
        await device.SayAsync(Report(1, Started), Report(2, Switched));
        server.Time.Advance(TimeSpan.FromDays(399));
        await device.SayAsync(Report(3, Settled));
        server.Time.Advance(TimeSpan.FromDays(2)); // the first ones are old enough, but their week, which ended on a Thursday, is not
        Assert.Equal(0, await server.Get<Server.Fleet.ReportRetention>().ForgetAsync(CancellationToken.None));
        server.Time.Advance(TimeSpan.FromDays(3));

        Assert.Equal(1, await server.Get<Server.Fleet.ReportRetention>().ForgetAsync(CancellationToken.None));

        Assert.Equal([3], await KeptAsync());
        Assert.True((await server.Client.GetDeviceAsync("till-1")).Models[0].Settled);
        Assert.Equal(4, (await device.SayAsync(Report(4, Started))).Through);
    }

    [Fact]
    public async Task A_report_that_comes_again_is_kept_once_also_in_another_week_and_after_it_was_forgotten()
    {
        await device.SayAsync(Report(1, Started), Report(2, Switched), Report(4, Settled));
        server.Time.Advance(TimeSpan.FromDays(30));
        Assert.Equal(4, (await device.SayAsync(Report(2, Refused), Report(3, Settled), Report(4, Refused))).Through); // of which one is new
        Assert.Equal([4, 3, 2, 1], await KeptAsync());
        server.Time.Advance(TimeSpan.FromDays(400));
        Assert.Equal(1, await server.Get<Server.Fleet.ReportRetention>().ForgetAsync(CancellationToken.None));
        Assert.Equal([3], await KeptAsync());

        Assert.Equal(5, (await device.SayAsync(Report(1, Refused), Report(2, Refused), Report(3, Refused), Report(4, Refused), Report(5, Started))).Through);

        Assert.Equal([5, 3], await KeptAsync());
        Assert.Equal("1.0.0", (await server.Client.GetDeviceAsync("till-1")).Models[0].Serving!.ToString());
    }

    [Fact]
    public async Task Many_old_reports_are_forgotten_piece_by_piece_and_none_that_is_not_old()
    {
        const int Old = 1_700; // some pieces, and more of one device than a piece holds
        var (now, database) = (server.Time.GetUtcNow(), server.Get<Server.Storage.Database>());
        await database.WriteAsync(
            db => database.Engine.InsertAsync(db, Server.Fleet.ReportRow.Table,
                Enumerable.Range(1, Old + 3).Select(i => Server.Fleet.ReportRow.Of(i % 5 == 0 ? "till-0" : "till-1", Report(i, Settled), now.AddDays(i <= 900 ? -429 : i <= Old ? -408 : -399)).Values()), CancellationToken.None),
            CancellationToken.None);

        Assert.Equal(2, await server.Get<Server.Fleet.ReportRetention>().ForgetAsync(CancellationToken.None));
        Assert.Equal([Old + 3, Old + 2, Old + 1], await KeptAsync());
        Assert.Equal(3, await database.ReadAsync(db => db.Reports.CountAsync(), CancellationToken.None));
        Assert.Equal(0, await server.Get<Server.Fleet.ReportRetention>().ForgetAsync(CancellationToken.None));
    }

    [Fact]
    public async Task Pages_of_a_devices_reports_go_on_over_weeks_by_their_numbers()
    {
        await device.SayAsync(Report(3, Switched), Report(4, Settled));
        server.Time.Advance(TimeSpan.FromDays(20));
        await device.SayAsync(Report(1, Started), Report(2, Switched)); // overtaken on their way
        server.Time.Advance(TimeSpan.FromDays(20));
        await device.SayAsync(Report(5, Settled));

        var (pages, before) = (new List<string>(), (long?)null);
        do
        {
            var page = await server.Client.ListReportsAsync("till-1", before, 2);
            pages.Add(string.Join(',', page.Reports.Select(kept => kept.Report.Sequence)));
            before = page.Next;
        }
        while (before is not null);

        Assert.Equal(["5,4", "3,2", "1"], pages);
    }

    [Fact]
    public async Task A_release_taken_back_leaves_the_one_before_serving_and_a_stop_leaves_none()
    {
        await device.SayAsync(Report(1, Settled), Report(2, Switched, "1.1.0"), Report(3, TakenBack, "1.1.0", why: "crashed"));
        var model = (await server.Client.GetDeviceAsync("till-1")).Models[0];
        Assert.Equal(("1.0.0", true, TakenBack, "crashed"), (model.Serving!.ToString(), model.Settled, model.Last, model.Why));

        await device.SayAsync(Report(4, Stopped));
        Assert.Null((await server.Client.GetDeviceAsync("till-1")).Models[0].Serving);
    }

    [Fact]
    public async Task A_batch_sent_again_changes_nothing()
    {
        await device.SayAsync(Report(1, Started), Report(2, Refused, why: "accuracy 70 %"));
        var before = await server.Client.GetDeviceAsync("till-1");

        var again = await device.SayAsync(Report(1, Settled), Report(2, Settled));

        Assert.Equal(2, again.Through);
        Assert.Equal([2, 1], await KeptAsync());
        Assert.Equal(before.Models.AsEnumerable(), (await server.Client.GetDeviceAsync("till-1")).Models.AsEnumerable());
    }

    [Fact]
    public async Task Batches_that_overtake_each_other_end_in_the_same_state()
    {
        await device.SayAsync(Report(3, Switched, "1.1.0"), Report(4, Settled, "1.1.0"));
        var answer = await device.SayAsync(Report(1, Switched), Report(2, Settled));

        Assert.Equal(4, answer.Through);
        Assert.Equal("1.1.0", (await server.Client.GetDeviceAsync("till-1")).Models[0].Serving!.ToString());
        Assert.Equal([4, 3, 2, 1], await KeptAsync());
    }

    [Fact]
    public async Task What_a_device_no_longer_has_before_a_batch_is_not_waited_for_and_a_gap_within_is_answered_up_to_it()
    {
        Assert.Equal(6, (await device.SayAsync(Report(5, Started), Report(6, Switched), Report(8, Settled))).Through);
        Assert.Equal(8, (await device.SayAsync(Report(8, Settled))).Through);
        Assert.Equal([8, 6, 5], await KeptAsync());
    }

    [Fact]
    public async Task The_same_batches_from_many_connections_at_once_are_kept_once()
    {
        var batches = Enumerable.Range(0, 12).Select(i => Enumerable.Range(1 + (i % 4 * 5), 5).Select(n => Report(n, Started)).ToArray());

        await Task.WhenAll(batches.Select(batch => device.SayAsync(batch)));

        Assert.Equal(Enumerable.Range(1, 20).Select(n => (long)n).Reverse(), await KeptAsync());
        Assert.Equal(20, (await device.SayAsync(Report(20, Started))).Through);
    }

    [Fact]
    public async Task An_empty_batch_says_that_the_device_is_there_and_brings_facts()
    {
        server.Time.Advance(TimeSpan.FromMinutes(5));
        using var answer = await device.PostAsync(new([], ImmutableDictionary<string, string>.Empty.Add("os", "windows")));

        var known = await server.Client.GetDeviceAsync("till-1");
        Assert.Equal((server.Time.GetUtcNow(), "windows"), (known.LastSeen, known.Facts["os"]));
    }

    [Fact]
    public async Task A_device_that_goes_by_other_labels_gets_them_signed_with_the_key_that_signs_plans_and_bound_to_its_question()
    {
        var labels = ImmutableDictionary<string, string>.Empty.Add("ring", "canary");
        await server.Client.LabelDeviceAsync("till-1", labels);
        async Task<string?> PassportAsync(long number, Sha256Digest? goesBy)
        {
            using var answer = await device.PostAsync(new([]) { Sending = new(number, "AAAAAAA" + number, server.Time.GetUtcNow()), Labels = goesBy });
            return (await answer.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.ReportAnswer))!.Passport;
        }

        var passport = Convert.FromBase64String((await PassportAsync(1, DevicePassport.DigestOf(ImmutableDictionary<string, string>.Empty)))!);
        var targets = MetadataFile.ReadTargets(await server.Anyone.GetByteArrayAsync("repository/metadata/1.targets.json")).Signed;
        var read = DevicePassport.Open(passport, RoleSigners.Of(targets, RepositoryLayout.RolloutsRole)!);

        Assert.Equal(("till-1", "AAAAAAA1", "canary"), (read.Device, read.Nonce, read.Labels["ring"]));
        Assert.Throws<UntrustedMetadataException>(() => DevicePassport.Open(passport, RoleSigners.Of(targets, RepositoryLayout.ReleasesRole)!));
        Assert.Null(await PassportAsync(2, DevicePassport.DigestOf(labels))); // it goes by them
        Assert.Null(await PassportAsync(3, null)); // it does not ask
    }

    [Fact]
    public async Task A_wrong_key_an_unknown_device_and_no_key_at_all_are_refused_alike()
    {
        Assert.Equal("/problems/unauthorised", (await device.PostAsync(new([]), DeviceKey.Create()).ProblemAsync(401)).Type);
        Assert.Equal("/problems/unauthorised", (await new TestDevice(server, "nobody").PostAsync(new([])).ProblemAsync(401)).Type);
        Assert.Equal("/problems/unauthorised", (await server.Anyone.PostAsync("v1/reports", Answers.Json("""{"reports":[]}""")).ProblemAsync(401)).Type);
        Assert.Equal("/problems/unauthorised", (await server.Operator.PostAsync("v1/reports", Answers.Json("""{"reports":[]}""")).ProblemAsync(401)).Type);
    }

    [Fact]
    public async Task Too_many_reports_or_bytes_or_reports_out_of_order_are_refused()
    {
        Assert.Equal(["reports"], (await device.PostAsync(new([.. Enumerable.Range(1, 51).Select(n => Report(n, Started))])).ProblemAsync(400)).Errors!.Keys);
        Assert.Equal(["reports[0].sequence", "reports[2].sequence"], (await device.PostAsync(new([Report(0, Started), Report(2, Started), Report(2, Started)])).ProblemAsync(400)).Errors!.Keys.Order());
        Assert.Equal("/problems/too-large", (await device.PostAsync(new([Report(1, Refused, why: new('x', ReportBatch.MaxBytes))])).ProblemAsync(413)).Type);
        Assert.Empty(await KeptAsync());
    }

    [Fact]
    public async Task A_long_reason_is_cut_not_refused()
    {
        await device.SayAsync(Report(1, Refused, why: new('x', 5000)));

        Assert.Equal(1000, (await server.Client.ListReportsAsync("till-1")).Reports[0].Report.Why!.Length);
    }

    [Fact]
    public async Task A_retired_device_is_refused_and_cannot_enrol_again_under_its_id()
    {
        await server.Client.RetireDeviceAsync("till-1");
        await server.Client.RetireDeviceAsync("till-1"); // twice is harmless

        Assert.Equal("/problems/device-retired", (await device.PostAsync(new([])).ProblemAsync(403)).Type);
        Assert.Equal("/problems/device-retired", (await device.EnrolAsync("any").ProblemAsync(409)).Type);
        Assert.NotNull((await server.Client.GetDeviceAsync("till-1")).RetiredAt);
    }

    [Fact]
    public async Task Malformed_reports_say_where()
    {
        using var request = device.Signed("v1/reports", """{"reports":[{"sequence":1,"at":"2026-11-22T12:00:00Z","kind":"exploded","model":"plant/bearing","release":"1.0.0"}]}"""u8.ToArray());

        Assert.Contains("$.reports[0].kind", (await server.Anyone.SendAsync(request).ProblemAsync(400)).Detail);
        Assert.Equal(HttpStatusCode.OK, (await device.PostAsync(new([]))).StatusCode);
    }
}
