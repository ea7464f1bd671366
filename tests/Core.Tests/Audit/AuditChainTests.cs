using Coppice.Audit;
using Coppice.Trust;

namespace Coppice.Core.Tests.Audit;

public sealed class AuditChainTests : IDisposable
{
    readonly SigningKey key = SigningKey.Create();

    public void Dispose() => key.Dispose();

    sealed record Line(AuditEntry Entry, Sha256Digest Previous, Sha256Digest Hash);

    static AuditEntry Entry(long id, string why = "better") => new(id, 1_795_676_400_000 + id, "rolloutStarted", "alice", why)
    {
        Subject = "operator:alice",
        Credential = "token 0123456789",
        Origin = "127.0.0.1",
        Model = "plant/bearing",
        Release = "1.0.0",
        Rollout = $"r-{id}",
        Changes = id % 2 == 0 ? [] : [new("Rollouts/7/State", "Running", "Held"), new("Rollouts/7/Why", null, "")],
    };

    static List<Line> Log(int length)
    {
        var lines = new List<Line>();
        var hash = AuditChain.Start;
        for (var id = 1; id <= length; id++)
        {
            var entry = Entry(id);
            lines.Add(new(entry, hash, entry.HashAfter(hash)));
            hash = lines[^1].Hash;
        }

        return lines;
    }

    AuditCheckpoint Checkpoint(Line line) => AuditCheckpoint.Sign(line.Entry.Id, line.Hash, 1_795_676_500_000, key);

    AuditChain Verify(IEnumerable<Line> lines, params AuditCheckpoint[] held)
    {
        var chain = new AuditChain(key.Public, held);
        foreach (var line in lines)
            chain.Take(line.Entry, line.Previous, line.Hash);
        chain.End();
        return chain;
    }

    [Theory]
    [InlineData("serverRestored", true)]
    [InlineData("rolloutStarted", false)]
    public void Numbers_are_left_out_before_an_entry_that_tells_of_a_restore_and_nowhere_else(string kind, bool good)
    {
        var log = Log(5);
        var restored = Entry(1_000_005) with { Kind = kind };
        log.Add(new(restored, log[4].Hash, restored.HashAfter(log[4].Hash)));
        var after = Entry(1_000_006);
        log.Add(new(after, log[5].Hash, after.HashAfter(log[5].Hash)));

        Assert.Equal(good, Verify(log).Problems.IsEmpty);
        log.RemoveAt(4); // the hashes tell of what is missing there as everywhere
        Assert.NotEmpty(Verify(log).Problems);
    }

    [Fact]
    public void A_log_as_it_was_written_is_good_up_to_its_checkpoint()
    {
        var log = Log(10);
        var chain = Verify(log, Checkpoint(log[7]));

        Assert.Empty(chain.Problems);
        Assert.Equal((1L, 10L, 8L), (chain.First, chain.Last, chain.Signed));
    }

    [Fact]
    public void The_hashes_are_those_that_the_format_works_out_by_hand()
    {
        // docs/formats/audit.md; computed with Python's hashlib, by the page and not by this code.
        var first = new AuditEntry(1, 1795676400000, "tokenCreated", "coppice", "first start").HashAfter(AuditChain.Start);
        Assert.Equal("e27d195631329d1f58fe2d975fec9a53e37c2373c2d9420c56a210265079c5d4", first.ToString());
        var second = new AuditEntry(2, 1795676460000, "rolloutHeld", "alice", "wärmer")
        {
            Subject = "operator:alice",
            Credential = "token 0123456789",
            Origin = "10.0.0.7",
            Model = "plant/bearing",
            Release = "1.0.0",
            Rollout = "r-1",
            Changes = [new("Rollouts/1/State", "Running", "Held")],
        };
        Assert.Equal("fda00bf6dceed42e2744cfa6137363a3eaa6690a9e4a322130920086aa35f6f5", second.HashAfter(first).ToString());
    }

    [Fact]
    public void Members_do_not_run_into_each_other_and_none_is_not_the_empty_text()
    {
        AuditEntry[] alike =
        [
            new(1, 2, "a", "bc", ""), new(1, 2, "ab", "c", ""), new(1, 2, "a", "b", "c"), new(1, 2, "a", "bc", "") { Subject = "" }, new(1, 2, "a", "bc", "") { Credential = "" },
            new(12, 0, "a", "bc", ""), new(1, 2, "a", "bc", "") { Changes = [new("", null, null)] }, new(1, 2, "a", "bc", "") { Changes = [new("", "", null)] },
            new(1, 2, "a", "bc", "") { Changes = [new("", null, "")] }, new(1, 2, "a", "bc", "-"), new(1, 2, "a", "bc", "1:x,"),
        ];
        Assert.Equal(alike.Length, alike.Select(entry => entry.HashAfter(AuditChain.Start)).Distinct().Count());
        Assert.NotEqual(alike[0].HashAfter(AuditChain.Start), alike[0].HashAfter(Sha256Digest.Of([1])));
    }

    [Fact]
    public void Any_edit_deletion_insertion_reordering_or_cut_is_found()
    {
        var cases = int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", System.Globalization.CultureInfo.InvariantCulture) / 20;
        var random = new Random(20261126);
        for (var i = 0; i < cases; i++)
        {
            var log = Log(random.Next(3, 40));
            var held = Checkpoint(log[^1]);
            var at = random.Next(log.Count);
            var what = random.Next(8);
            switch (what)
            {
                case 0: // a member of an entry
                    var member = random.Next(9);
                    var entry = log[at].Entry;
                    log[at] = log[at] with
                    {
                        Entry = member switch
                        {
                            0 => entry with { Why = entry.Why + " " },
                            1 => entry with { By = "mallory" },
                            2 => entry with { At = entry.At + 1 },
                            3 => entry with { Kind = "rolloutHeld" },
                            4 => entry with { Subject = null },
                            5 => entry with { Origin = "10.0.0.1" },
                            6 => entry with { Model = "plant/other" },
                            7 => entry with { Changes = [.. entry.Changes, new("x", "1", "2")] },
                            _ => entry with { Device = "" },
                        },
                    };
                    break;
                case 1: // an entry goes
                    log.RemoveAt(at);
                    break;
                case 2: // an entry comes, with a good hash of its own
                    var made = Entry(log[at].Entry.Id, "put in");
                    log.Insert(at, new(made, log[at].Previous, made.HashAfter(log[at].Previous)));
                    break;
                case 3: // two change places
                    var other = (at + 1 + random.Next(log.Count - 1)) % log.Count;
                    (log[at], log[other]) = (log[other], log[at]);
                    break;
                case 4: // the end is cut off
                    log.RemoveRange(at, log.Count - at);
                    break;
                case 5: // everything from an entry on is written anew, hashes and all
                    Rewrite(log, at, entry => entry with { Why = "never mind" });
                    break;
                case 6: // an entry goes and what follows is numbered and hashed anew
                    log.RemoveAt(at);
                    Rewrite(log, at, entry => entry with { Id = entry.Id - 1 });
                    break;
                default: // the beginning goes
                    log.RemoveRange(0, Math.Max(1, at));
                    break;
            }

            var chain = Verify(log, held);
            // Without its beginning a log says so by where it begins; nothing else goes unnoticed.
            Assert.True(!chain.Problems.IsEmpty || (what is 7 or 1 && chain.First > 1), $"case {i}: change {what} at {at} of {log.Count} was not found");
        }
    }

    static void Rewrite(List<Line> log, int from, Func<AuditEntry, AuditEntry> change)
    {
        for (var i = from; i < log.Count; i++)
        {
            var previous = i == 0 ? AuditChain.Start : log[i - 1].Hash;
            var entry = change(log[i].Entry);
            log[i] = new(entry, previous, entry.HashAfter(previous));
        }
    }

    [Fact]
    public void Each_break_says_where_it_is()
    {
        var log = Log(9);
        log[2] = log[2] with { Entry = log[2].Entry with { By = "mallory" } };
        log.RemoveAt(6);

        var problems = Verify(log).Problems;

        Assert.Equal(["line 3, entry 3", "line 7, entry 8"], problems.Select(problem => problem.Where));
        Assert.Contains("was changed", problems[0].What);
        Assert.Contains("1 between them are missing", problems[1].What);
    }

    [Fact]
    public void A_checkpoint_of_another_key_or_about_another_log_vouches_for_nothing()
    {
        var log = Log(5);
        using var other = SigningKey.Create();
        var forged = AuditCheckpoint.Sign(5, log[4].Hash, 0, other);
        Assert.Contains("not signed by the key", Assert.Single(Verify(log, forged).Problems).What);
        Assert.Contains("written anew", Assert.Single(Verify(log, AuditCheckpoint.Sign(5, log[3].Hash, 0, key)).Problems).What);
        Assert.Contains("two histories", Verify(log, Checkpoint(log[4]), AuditCheckpoint.Sign(5, log[3].Hash, 0, key)).Problems[0].What);
        var moved = Checkpoint(log[4]) with { At = 0 };
        Assert.Contains("not signed", Assert.Single(Verify(log, moved).Problems).What);
    }

    [Fact]
    public void A_checkpoint_in_the_log_stands_right_behind_its_entry()
    {
        var log = Log(4);
        var chain = new AuditChain(key.Public);
        foreach (var line in log.Take(3))
            chain.Take(line.Entry, line.Previous, line.Hash);
        chain.Take(Checkpoint(log[2]));
        Assert.Equal(3, chain.Signed);
        chain.Take(Checkpoint(log[3]));
        Assert.Contains("entry 4 was the last, but it stands after entry 3", Assert.Single(chain.Problems).What);
    }

    [Fact]
    public void A_file_that_is_no_log_has_bounded_problems()
    {
        var chain = new AuditChain(key.Public);
        for (var i = 0; i < 1000; i++)
            chain.TakeUnreadable("noise");
        Assert.Equal(AuditChain.MostProblems, chain.Problems.Length);
    }
}
