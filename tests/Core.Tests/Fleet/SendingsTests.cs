using Coppice.Fleet;
using static Coppice.Fleet.SendingVerdict;

namespace Coppice.Core.Tests.Fleet;

public sealed class SendingsTests
{
    static readonly DateTimeOffset Start = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    /// <summary>What is made of sendings, each written "number nonce minute", as the server would keep them: through their text.</summary>
    static List<SendingVerdict> Take(params string[] sendings)
    {
        var (text, verdicts) = ("", new List<SendingVerdict>());
        foreach (var sending in sendings.Select(s => s.Split(' ')))
        {
            verdicts.Add(Sendings.Parse(text).Take(long.Parse(sending[0]), sending[1], Start + TimeSpan.FromMinutes(double.Parse(sending[2])), out var next));
            text = next.ToString();
        }

        return verdicts;
    }

    [Fact]
    public void One_installation_goes_on_with_gaps_and_over_a_clock_that_is_put_back() =>
        Assert.Equal([New, New, New, New], Take("1 a 0", "2 b 1", "65 c -90", "66 d -80"));

    [Fact]
    public void A_message_that_was_repeated_on_its_way_tells_nothing() =>
        Assert.Equal([New, New, Again, Again], Take("1 a 0", "2 b 1", "2 b 1", "1 a 0"));

    [Fact]
    public void A_message_that_was_overtaken_is_late() =>
        Assert.Equal([New, New, Late, New], Take("1 a 0", "3 c 2", "2 b 1", "4 d 3"));

    [Fact]
    public void Two_installations_that_meet_in_a_number_are_two() =>
        Assert.Equal([New, New, Forked], Take("1 a 0", "2 b 10", "2 x 11"));

    [Fact]
    public void An_installation_that_is_behind_and_speaks_now_is_a_second_one() =>
        Assert.Equal([New, New, Forked], Take("1 a 0", "900 b 10", "65 x 11"));

    [Fact]
    public void An_old_message_that_somebody_kept_and_sends_again_smears_nobody()
    {
        var many = Enumerable.Range(1, 60).Select(i => $"{i} n{i} {i}").ToArray();

        Assert.Equal(Late, Take([.. many, "3 n3 3"])[^1]); // long forgotten, and from before the latest
        Assert.Equal(Again, Take([.. many, "55 n55 55"])[^1]);
    }

    [Fact]
    public void What_is_kept_of_a_device_is_bounded()
    {
        var known = Sendings.None;
        for (var i = 1; i <= 1000; i++)
            known.Take(i, "12345678", Start, out known);

        Assert.Equal(Sendings.Kept, known.ToString().Split(' ').Length - 1);
        Assert.Equal(known.ToString(), Sendings.Parse(known.ToString()).ToString());
    }

    /// <summary>Whatever one installation's messages go through on their way, it is not taken for two; and a copy is noticed when it has spoken twice.</summary>
    [Fact]
    public void In_any_order_and_number_one_is_one_and_two_are_two()
    {
        for (var seed = 0; seed < 500; seed++)
        {
            var random = new Random(seed);
            var (known, waiting, minute, number) = (Sendings.None, new List<(long, string, DateTimeOffset)>(), 0, 0L);
            for (var i = 0; i < 60; i++)
            {
                number += random.Next(10) == 0 ? random.Next(1, 64) : 1;
                waiting.Add((number, $"n{number}", Start + TimeSpan.FromMinutes(++minute)));
                while (waiting.Count > random.Next(4))
                {
                    var at = random.Next(waiting.Count);
                    var (n, nonce, sent) = waiting[at];
                    Assert.NotEqual(Forked, known.Take(n, nonce, sent, out known));
                    if (random.Next(4) > 0) // else it comes once more
                        waiting.RemoveAt(at);
                }
            }

            var copied = number - random.Next(40); // from a copy of the data folder, of now or of before
            var noticed = false;
            for (var i = 1; i <= 2 && !noticed; i++)
            {
                noticed |= known.Take(copied + i, $"copy{i}", Start + TimeSpan.FromMinutes(++minute), out known) == Forked;
                noticed |= known.Take(number + i, $"own{i}", Start + TimeSpan.FromMinutes(++minute), out known) == Forked;
            }

            Assert.True(noticed, $"seed {seed}");
        }
    }
}
