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
}
