using Coppice.Registry;

namespace Coppice.Core.Tests.Registry;

public sealed class SemanticVersionTests
{
    [Fact]
    public void Order_is_that_of_the_specification()
    {
        // semver.org 2.0.0, items 11.2 to 11.4
        string[] ascending =
        [
            "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1", "2.10.0",
        ];
        var versions = ascending.Select(SemanticVersion.Parse).ToArray();
        for (var i = 0; i < versions.Length; i++)
        {
            for (var j = 0; j < versions.Length; j++)
                Assert.Equal(i.CompareTo(j), Math.Sign(versions[i].CompareTo(versions[j])));
        }
    }

    [Fact]
    public void Build_metadata_is_kept_and_not_compared()
    {
        var version = SemanticVersion.Parse("1.0.0-rc.1+exp.sha.5114f85");
        Assert.Equal(SemanticVersion.Parse("1.0.0-rc.1+other"), version);
        Assert.Equal(SemanticVersion.Parse("1.0.0-rc.1").GetHashCode(), version.GetHashCode());
        Assert.Equal("1.0.0-rc.1+exp.sha.5114f85", version.ToString());
    }

    [Theory]
    // The invalid ones of the specification's own regular expression tests, regex101.com/r/vkijKf/1.
    [InlineData("1"), InlineData("1.2"), InlineData("1.2.3-0123"), InlineData("1.2.3-0123.0123"), InlineData("1.1.2+.123"), InlineData("+invalid"), InlineData("-invalid")]
    [InlineData("alpha"), InlineData("alpha.beta"), InlineData("1.0.0-alpha_beta"), InlineData("1.0.0-alpha.."), InlineData("01.1.1"), InlineData("1.01.1"), InlineData("1.1.01")]
    [InlineData("1.2.3.DEV"), InlineData("1.2-SNAPSHOT"), InlineData("1.2-RC-SNAPSHOT"), InlineData("-1.0.3-gamma+b7718"), InlineData("9.8.7+meta+meta"), InlineData("")]
    [InlineData("99999999999999999999999.999999999999999999.99999999999999999")] // valid by the letter; numbers here end at 18 digits
    public void Other_texts_are_refused(string text) => Assert.False(SemanticVersion.TryParse(text, out _));

    [Theory]
    [InlineData(">=1.2.0 <2.0.0", "1.2.0", true), InlineData(">=1.2.0 <2.0.0", "2.0.0", false), InlineData("1.2.0", "1.3.0", true), InlineData("=1.2.0", "1.2.1", false)]
    [InlineData("<=1.2.0 >1.0.0", "1.0.0", false), InlineData("<=1.2.0 >1.0.0", "1.2.0", true)]
    public void A_range_contains_what_meets_every_bound(string range, string version, bool contains)
    {
        Assert.True(VersionRange.TryParse(range, out var parsed));
        Assert.Equal(contains, parsed.Contains(SemanticVersion.Parse(version)));
    }

    [Theory, InlineData(""), InlineData("~1.2.0"), InlineData(">=1.2"), InlineData("=>1.2.0"), InlineData(">=")]
    public void A_range_that_is_none_is_refused(string text) => Assert.False(VersionRange.TryParse(text, out _));

    [Theory]
    [InlineData("plant/bearing", true), InlineData("plant", false), InlineData("plant/a/b", false), InlineData("Plant/bearing", false), InlineData("plant/../x", false)]
    [InlineData("plant/.hidden", false), InlineData("plant/", false), InlineData("p/b_1.2-x", true), InlineData("p/é", false)]
    public void Model_names_are_two_plain_parts(string text, bool valid) => Assert.Equal(valid, ModelName.TryParse(text, out _));
}
