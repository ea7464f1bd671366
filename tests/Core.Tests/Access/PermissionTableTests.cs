using Coppice.Access;
using Coppice.Fleet;
using Coppice.Registry;

namespace Coppice.Core.Tests.Access;

public sealed class PermissionTableTests
{
    [Fact]
    public void Every_permission_has_its_row_and_every_row_a_cell_for_every_role()
    {
        Assert.Equal(Enum.GetValues<Permission>(), PermissionTable.Rows.Select(row => row.Permission));
        foreach (var row in PermissionTable.Rows)
        {
            Assert.Same(row, PermissionTable.Of(row.Permission));
            Assert.Contains('.', PermissionTable.Name(row.Permission));
            foreach (var role in Enum.GetValues<Role>())
                row.Allows(role); // throws where there is no column
        }
    }

    [Fact]
    public void Admins_may_everything_and_viewers_only_look() =>
        Assert.All(PermissionTable.Rows, row =>
        {
            Assert.True(row.Admin);
            Assert.Equal(PermissionTable.Name(row.Permission).EndsWith(".read", StringComparison.Ordinal) && row.Permission != Permission.AuditRead || row.Permission == Permission.TokenOwn, row.Viewer);
        });

    [Fact]
    public void Who_publishes_cannot_roll_out_and_who_rolls_out_cannot_publish() =>
        Assert.All(PermissionTable.Rows, row => Assert.False(
            row.Publisher && row.Operator && !row.Viewer, $"{row.Permission} changes something and is both the publishers' and the operators'"));
}

public sealed class RightsTests
{
    static readonly ModelName Camera = ModelName.Parse("vision/camera");
    static readonly ModelName Bearing = ModelName.Parse("plant/bearing");

    static Grant Grant(Role role, string models = "*", string devices = "") =>
        Coppice.Access.Grant.TryRead("grant", role, models, devices, out var grant, new List<Problem>()) ? grant : throw new ArgumentException(models);

    static FactSet Site(string site) => new([new("label.site", site)]);

    [Theory]
    [InlineData("*", "vision/camera", true)]
    [InlineData("vision/*", "vision/camera", true)]
    [InlineData("vision/*", "visionary/camera", false)]
    [InlineData("vision/cam*", "vision/camera", true)]
    [InlineData("vision/cam*", "vision/lens", false)]
    [InlineData("vision/camera", "vision/camera", true)]
    [InlineData("vision/camera", "vision/camera2", false)]
    public void A_pattern_holds_the_models_that_begin_like_it(string pattern, string model, bool holds) =>
        Assert.Equal(holds, ModelPattern.TryParse(pattern, out var read) && read.Holds(ModelName.Parse(model)));

    [Theory]
    [InlineData("")]
    [InlineData("**")]
    [InlineData("vis*")]
    [InlineData("*/camera")]
    [InlineData("vision/*a")]
    [InlineData("vision/**")]
    [InlineData("Vision/*")]
    [InlineData("vision/camera/*")]
    [InlineData("/*")]
    public void What_is_no_pattern_is_refused(string text) => Assert.False(ModelPattern.TryParse(text, out _));

    [Theory]
    [InlineData("*", "vision/*", true)]
    [InlineData("vision/*", "vision/cam*", true)]
    [InlineData("vision/*", "vision/camera", true)]
    [InlineData("vision/cam*", "vision/*", false)]
    [InlineData("vision/*", "*", false)]
    [InlineData("vision/camera", "vision/camera*", false)]
    [InlineData("vision/camera", "vision/camera", true)]
    public void A_pattern_holds_another_when_it_holds_every_model_of_it(string outer, string inner, bool holds) =>
        Assert.Equal(holds, ModelPattern.TryParse(outer, out var a) && ModelPattern.TryParse(inner, out var b) && a.Holds(b));

    [Theory]
    [InlineData("viewer", "viewer on *")]
    [InlineData("Operator on vision/*", "operator on vision/*")]
    [InlineData("operator where label.site = oslo", "operator on * where label.site = oslo")]
    [InlineData(" admin on vision/cam*  where site in (oslo, rome) ", "admin on vision/cam* where site in (oslo, rome)")]
    public void A_grant_is_written_as_it_is_shown(string text, string shown)
    {
        Assert.True(Coppice.Access.Grant.TrySplit(text, out var role, out var models, out var devices));
        Assert.Equal(shown, Grant(role, models, devices).ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("root on *")]
    [InlineData("viewer, admin")]
    public void A_grant_without_a_role_is_none(string text) => Assert.False(Coppice.Access.Grant.TrySplit(text, out _, out _, out _));

    [Fact]
    public void A_role_on_some_models_says_nothing_about_others()
    {
        var rights = new Rights([Grant(Role.Operator, "vision/*"), Grant(Role.Viewer, "plant/bearing")]);

        Assert.True(rights.May(Permission.RolloutStart, Camera));
        Assert.False(rights.May(Permission.RolloutStart, Bearing));
        Assert.True(rights.Sees(Bearing));
        Assert.False(rights.Sees(ModelName.Parse("text/answer")));
    }

    [Fact]
    public void A_role_on_some_models_gives_no_power_over_devices_which_run_others_too_nor_over_the_server()
    {
        var rights = new Rights([Grant(Role.Admin, "vision/*")]);

        Assert.True(rights.May(Permission.DeviceRead, Site("oslo")));
        Assert.False(rights.May(Permission.DeviceRetire, Site("oslo")));
        Assert.False(rights.MaySomewhere(Permission.OperatorManage));
        Assert.False(rights.MaySomewhere(Permission.AuditRead));
        Assert.True(rights.May(Permission.PolicyWrite, Camera));
    }

    [Fact]
    public void A_role_on_some_devices_confines_rollouts_to_them_and_reaches_no_others()
    {
        var rights = new Rights([Grant(Role.Operator, "*", "site = oslo")]);

        Assert.Equal("site = oslo", rights.Confinement(Permission.RolloutStart, Camera)!.ToString());
        Assert.True(rights.May(Permission.RolloutHold, Camera, "(site = oslo) and (ram > 1GB)"));
        Assert.False(rights.May(Permission.RolloutHold, Camera, ""));
        Assert.False(rights.May(Permission.RolloutHold, Camera, "(site = oslo) and (ram > 1GB) or (site = rome)"));
        Assert.True(rights.May(Permission.DeviceRetire, Site("oslo")));
        Assert.False(rights.May(Permission.DeviceRetire, Site("rome")));
        Assert.False(rights.May(Permission.ReleaseRevoke, Camera));
        Assert.False(rights.MaySomewhere(Permission.OperatorManage));
    }

    [Fact]
    public void Layers_narrow_each_other_and_none_widens()
    {
        var rights = new Rights([Grant(Role.Operator, "vision/*", "site = oslo")], [Grant(Role.Admin), Grant(Role.Publisher)]);

        Assert.False(rights.May(Permission.ReleasePublish, Camera)); // the operator is no publisher, whatever the token says
        Assert.Equal("site = oslo", rights.Confinement(Permission.RolloutStart, Camera)!.ToString());
        Assert.Null(rights.Confinement(Permission.RolloutStart, Bearing));
        Assert.Equal("(site = oslo) and (line = 3)", new Rights([Grant(Role.Operator, "*", "site = oslo")], [Grant(Role.Operator, "*", "line = 3")]).Confinement(Permission.RolloutStart, Camera)!.ToString());
        Assert.False(Rights.None.MaySomewhere(Permission.SelfRead));
        Assert.Throws<ArgumentException>(() => new Rights());
    }

    [Fact]
    public void Two_grants_for_different_devices_reach_both()
    {
        var rights = new Rights([Grant(Role.Operator, "*", "site = oslo"), Grant(Role.Operator, "*", "site = rome")]);

        Assert.True(rights.May(Permission.DeviceRetire, Site("rome")));
        Assert.Equal("(site = oslo) or (site = rome)", rights.Confinement(Permission.RolloutStart, Camera)!.ToString());
    }
}

public sealed class ApiTokenTests
{
    [Fact]
    public void A_token_reads_back_and_looks_as_scanners_expect()
    {
        var random = new byte[ApiToken.RandomBytes];
        new Random(7).NextBytes(random);
        var token = ApiToken.Create(random);

        Assert.Matches(@"^cpa_[0-9A-Za-z]{59}$", token.ToString());
        Assert.True(ApiToken.TryParse(token.ToString(), out var read));
        Assert.Equal(token, read);
        Assert.Throws<ArgumentException>(() => ApiToken.Create(random.AsSpan(1)));
    }

    [Fact]
    public void The_smallest_and_the_largest_secrets_have_the_length_of_all()
    {
        var zeros = ApiToken.Create(new byte[ApiToken.RandomBytes]).ToString();
        Assert.Equal("cpa_" + new string('0', 53), zeros[..57]);
        Assert.Equal(ApiToken.Length, zeros.Length);
        Assert.Equal(ApiToken.Length, ApiToken.Create([.. Enumerable.Repeat((byte)255, ApiToken.RandomBytes)]).ToString().Length);
    }

    [Fact]
    public void Any_one_character_changed_is_noticed_before_anybody_is_asked()
    {
        var text = ApiToken.Create(Enumerable.Range(1, ApiToken.RandomBytes).Select(i => (byte)(i * 37)).ToArray()).ToString();
        for (var at = 0; at < text.Length; at++)
        {
            foreach (var other in "0aZ_é\0")
            {
                if (text[at] != other)
                    Assert.False(ApiToken.TryParse(text[..at] + other + text[(at + 1)..], out _), $"{other} at {at}");
            }
        }
    }

    [Fact]
    public void Whatever_the_text_reading_it_neither_throws_nor_takes_what_was_not_made()
    {
        var cases = int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", System.Globalization.CultureInfo.InvariantCulture);
        var random = new Random(20261126);
        var good = ApiToken.Create(Enumerable.Range(1, ApiToken.RandomBytes).Select(i => (byte)i).ToArray()).ToString();
        var taken = 0;
        for (var i = 0; i < cases; i++)
        {
            var text = good.ToCharArray().ToList();
            for (var changes = random.Next(0, 4); changes > 0; changes--)
            {
                var at = random.Next(text.Count);
                switch (random.Next(4))
                {
                    case 0:
                        text[at] = (char)random.Next(0x10000);
                        break;
                    case 1:
                        text.RemoveAt(at);
                        break;
                    case 2:
                        text.Insert(at, (char)random.Next(32, 127));
                        break;
                    default:
                        (text[at], text[^1]) = (text[^1], text[at]);
                        break;
                }
            }

            var mutated = new string([.. text]);
            var read = ApiToken.TryParse(mutated, out var token);
            Assert.Equal(read, token is not null);
            if (read)
                Assert.Equal(mutated, token!.ToString());
            taken += read ? 1 : 0;
        }

        Assert.InRange(taken, cases / 10, cases / 2);
    }
}
