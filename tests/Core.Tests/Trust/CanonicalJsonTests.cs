using System.Text;
using System.Text.Json;
using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class CanonicalJsonTests
{
    // Left: JSON. Right: what encode_canonical of securesystemslib 1.4.0 gives for it.
    [Theory]
    [InlineData("""{"b": 1, "a": [true, false, null], "A": {}}""", """{"A":{},"a":[true,false,null],"b":1}""")]
    [InlineData("""["a\"b\\c\/d"]""", """["a\"b\\c/d"]""")]
    [InlineData("\"\\u00fc\\u20ac\\ud83d\\ude00\"", "\"ü€😀\"")]
    [InlineData("\"line\\nbreak\\ttab\"", "\"line\nbreak\ttab\"")]
    [InlineData("[-0, -1, 0, 123456789012345678901234567890]", "[0,-1,0,123456789012345678901234567890]")]
    // U+FFFF sorts before U+1F600, although its UTF-16 unit is the greater one.
    [InlineData("{\"\\ud83d\\ude00\":1,\"\\uffff\":2}", "{\"\uffff\":2,\"😀\":1}")]
    [InlineData(" [ ] ", "[]")]
    [InlineData("{}", "{}")]
    public void JSON_becomes_the_bytes_that_securesystemslib_signs(string json, string canonical) =>
        Assert.Equal(canonical, Encoding.UTF8.GetString(CanonicalJson.Encode(JsonElement.Parse(json))));

    [Theory]
    [InlineData("1.0")]
    [InlineData("[1e3]")]
    [InlineData("\"\\ud800\"")]
    [InlineData("{\"\\udc00\":1}")]
    public void What_has_no_canonical_form_is_refused(string json) =>
        Assert.Throws<FormatException>(() => CanonicalJson.Encode(JsonElement.Parse(json)));

    // Text without escapes in canonical order is copied as it is; whatever else goes the long way. Both must come to the same.
    [Fact]
    public void Order_and_escapes_in_the_file_change_nothing_in_the_form()
    {
        var random = new Random(20300103);
        for (var i = 0; i < 2_000; i++)
        {
            var value = Value(random, 3);
            var form = Encoding.UTF8.GetString(CanonicalJson.Encode(JsonElement.Parse(Written(value, false, null))));
            Assert.Equal(form, Encoding.UTF8.GetString(CanonicalJson.Encode(JsonElement.Parse(Written(value, true, null)))));
            Assert.Equal(form, Encoding.UTF8.GetString(CanonicalJson.Encode(JsonElement.Parse(Written(value, false, random)))));
            Assert.Equal(form, Encoding.UTF8.GetString(CanonicalJson.Encode(JsonElement.Parse(Written(value, true, random)))));
        }
    }

    [Theory]
    [InlineData("\"a\u00ff\"")] // the two bytes below cut one: not UTF-8
    [InlineData("{\"a\u00ff\":1}")]
    public void Bytes_that_are_no_UTF8_are_refused(string json)
    {
        var bytes = Encoding.UTF8.GetBytes(json).Where(b => b != 0xbf).ToArray();
        Assert.Throws<FormatException>(() => CanonicalJson.Encode(JsonElement.Parse(bytes)));
    }

    static object Value(Random random, int depth) => random.Next(depth > 0 ? 4 : 2) switch
    {
        0 => random.NextInt64(-(1L << 53), 1L << 53),
        1 => Text(random),
        2 => Enumerable.Range(0, random.Next(4)).Select(_ => Value(random, depth - 1)).ToList(),
        _ => Enumerable.Range(0, random.Next(5)).Select(_ => Text(random)).Distinct().ToDictionary(name => name, _ => Value(random, depth - 1)),
    };

    static string Text(Random random) => string.Concat(Enumerable.Range(0, random.Next(5)).Select(_ => Letters[random.Next(Letters.Length)]));

    static readonly string[] Letters = ["a", "b", "Z", "0", "/", "\"", "\\", "\n", "\u007f", "ü", "€", "\uffff", "😀"];

    static string Written(object value, bool escaped, Random? shuffle) => value switch
    {
        long number => number.ToString(System.Globalization.CultureInfo.InvariantCulture),
        string text => Quoted(text, escaped),
        List<object> items => $"[{string.Join(',', items.Select(item => Written(item, escaped, shuffle)))}]",
        Dictionary<string, object> members => $"{{{string.Join(',', Ordered(members, shuffle).Select(member => $"{Quoted(member.Key, escaped)}:{Written(member.Value, escaped, shuffle)}"))}}}",
        _ => throw new ArgumentException(value.GetType().Name),
    };

    static KeyValuePair<string, object>[] Ordered(Dictionary<string, object> members, Random? shuffle)
    {
        var ordered = members.OrderBy(member => Convert.ToHexString(Encoding.UTF8.GetBytes(member.Key)), StringComparer.Ordinal).ToArray();
        shuffle?.Shuffle(ordered);
        return ordered;
    }

    static string Quoted(string text, bool escaped) =>
        $"\"{string.Concat(text.Select(unit => escaped || unit is '"' or '\\' or < ' ' ? $"\\u{(int)unit:x4}" : unit.ToString()))}\"";
}
