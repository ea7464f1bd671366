using System.Globalization;
using System.Text;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Core.Tests.Protocol;

public sealed class DeviceListTests
{
    static readonly string Digest = Sha256Digest.Of("key"u8).ToString();

    static int Cases => int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    [Fact]
    public void A_list_names_ids_keys_and_labels_quoted_or_not()
    {
        Assert.True(DeviceList.TryRead($"\uFEFFdevice,key,label.site,label.note\r\ntill-1,,oslo,\"a \"\"b\"\", c\"\r\n\r\n,{Digest},,\ntill-3 , {Digest[..63]}0,bergen,", out var devices, out var problems), string.Join(' ', problems));

        Assert.Equal(["till-1", null, "till-3"], devices.Select(device => device.Device));
        Assert.Equal([null, Sha256Digest.Parse(Digest), Sha256Digest.Parse(Digest[..63] + "0")], devices.Select(device => device.Key));
        Assert.Equal(("oslo", "a \"b\", c"), (devices[0].Labels["site"], devices[0].Labels["note"]));
        Assert.Empty(devices[1].Labels);
    }

    [Theory]
    [InlineData("", "names no device")]
    [InlineData("device", "names no device")]
    [InlineData("name\ntill-1", "'name' is not a heading")]
    [InlineData("label.site\noslo", "neither 'device' nor 'key'")]
    [InlineData("device,device\na,b", "twice")]
    [InlineData("device\nTill 1", "line 2: 'Till 1' is not a device id")]
    [InlineData("device\ntill-1\ntill-1", "line 3: 'till-1' is there twice")]
    [InlineData("device,key\ntill-1", "line 2: has 1 fields where the headings are 2")]
    [InlineData("device,key\ntill-1,abc", "line 2: 'abc' is not a SHA-256")]
    [InlineData("device,label.site\n,oslo", "line 2: names neither an id nor a key")]
    [InlineData("device\n\"till-1", "line 2: a quote is not closed")]
    [InlineData("device\n\"till-1\"x", "line 2: something follows a closing quote")]
    public void What_is_wrong_is_said_with_its_line(string text, string problem)
    {
        Assert.False(DeviceList.TryRead(text, out _, out var problems));
        Assert.Contains(problem, string.Join(' ', problems), StringComparison.Ordinal);
    }

    [Fact]
    public void Whatever_the_text_a_list_or_a_join_token_is_read_or_refused_within_bounded_memory()
    {
        var list = $"device,key,label.site\ntill-1,{Digest},\"os\"\"lo\"\ntill-2,,bergen\n";
        var token = new JoinToken(new('s', JoinToken.SecretLength), Sha256Digest.Of("root"u8), Sha256Digest.Of("authority"u8)).ToString();
        Assert.True(JoinToken.TryParse(token, out var whole) && whole.ToString() == token);
        var random = new Random(4180);
        var read = 0;
        for (var i = 0; i < Cases; i++)
        {
            var (text, spoilt) = (Mutated(list, random), Mutated(token, random));
            var before = GC.GetAllocatedBytesForCurrentThread();
            if (DeviceList.TryRead(text, out var devices, out var problems))
            {
                read++;
                Assert.All(devices, device => Assert.True(device.Key is not null || DeviceRequest.IsDevice(device.Device)));
            }
            else
                Assert.InRange(problems.Length, 1, 60);
            if (JoinToken.TryParse(spoilt, out var parsed))
                Assert.Equal(spoilt, parsed.ToString(), ignoreCase: true);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 200_000 + (40 * text.Length), $"case {i}: {text}");
        }

        Assert.InRange(read, Cases / 100, Cases * 9 / 10);
    }

    static readonly string[] Odd = ["\"", ",", "\n", "\r", "\"\"", "\0", "é", new(',', 100), new('x', 400), "device", "label."];

    static string Mutated(string text, Random random)
    {
        var built = new StringBuilder(text);
        for (var changes = random.Next(4); changes > 0; changes--)
        {
            var at = random.Next(built.Length + 1);
            if (random.Next(3) == 0 && at < built.Length)
                built.Remove(at, Math.Min(1 + random.Next(12), built.Length - at));
            else
                built.Insert(at, Odd[random.Next(Odd.Length)]);
        }

        return built.ToString();
    }
}
