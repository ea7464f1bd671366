using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

public sealed class KeyCeremonyTests : IDisposable
{
    static readonly DateTimeOffset Now = TestRepository.Now;

    readonly SigningKey[] _root = [SigningKey.Create("alice"), SigningKey.Create("bob"), SigningKey.Create("carol")];
    readonly SigningKey[] _release = [SigningKey.Create("ann"), SigningKey.Create("ben"), SigningKey.Create("cleo")];
    readonly SigningKey _vera = SigningKey.Create("vera");
    readonly SigningKey _online = SigningKey.Create("online");

    public void Dispose()
    {
        foreach (var key in (SigningKey[])[.. _root, .. _release, _vera, _online])
            key.Dispose();
    }

    static RoleOfKeys Of(int threshold, params SigningKey[] keys) => new(threshold, [.. keys.Select(key => key.Public)]);

    SigningRequest Create(RoleOfKeys? releases = null) => KeyCeremony.Create(new Dictionary<string, RoleOfKeys>(StringComparer.Ordinal)
    {
        ["root"] = Of(2, _root),
        ["targets"] = Of(2, _root),
        ["releases"] = releases ?? Of(2, _release),
        ["snapshot"] = Of(1, _online),
        ["timestamp"] = Of(1, _online),
        ["rollouts"] = Of(1, _online),
    }, Now);

    static SigningRequest Signed(SigningRequest request, params SigningKey[] keys)
    {
        foreach (var key in keys)
            request = SigningRequest.Read(request.Sign(key, out _).Write()); // through the file, as it travels
        return request;
    }

    KeyValuePair<string, ReadOnlyMemory<byte>>[] Present() => [.. Signed(Create(), _root[0], _root[1], _release[0], _release[1]).Metadata];

    static KeyValuePair<string, ReadOnlyMemory<byte>>[] After(KeyValuePair<string, ReadOnlyMemory<byte>>[] present, SigningRequest request) =>
        [.. present.Where(file => request.Metadata.All(next => next.Key != file.Key)), .. request.Metadata];

    [Fact]
    public void A_new_repository_needs_two_of_three_root_keys_and_two_of_three_release_keys()
    {
        var request = Create();
        Assert.False(request.IsComplete);
        request = Signed(request, _root[2], _release[0], _root[0]);
        Assert.Equal(["root: True", "targets: True", "releases: False"], request.Needs.Select(need => $"{need.Role}: {need.IsMet}"));
        request = Signed(request, _release[2]);
        Assert.True(request.IsComplete);
        Assert.Equal(["root", "targets", "releases"], request.Metadata.Select(file => file.Key));
        MetadataFile.ReadRoot(request.Metadata[0].Value).RequireSignedFor(MetadataFile.ReadRoot(request.Metadata[0].Value).Signed);
    }

    [Fact]
    public void A_key_that_is_asked_for_nowhere_signs_nothing()
    {
        using var stranger = SigningKey.Create();
        var request = Create().Sign(stranger, out var roles);
        Assert.Empty(roles);
        Assert.All(request.Needs, need => Assert.Empty(need.Signed));
    }

    [Fact]
    public void Signing_twice_counts_once_and_two_copies_are_put_together()
    {
        var request = Create();
        var first = Signed(request, _root[0], _root[0], _release[0]);
        Assert.Single(first.Needs[0].Signed);
        var both = first.Merge(Signed(request, _root[1], _release[1]));
        Assert.True(both.IsComplete);
        Assert.Throws<UntrustedMetadataException>(() => first.Merge(Create(Of(1, _release))));
    }

    [Fact]
    public void The_summary_tells_every_key_that_comes_and_goes_and_every_threshold()
    {
        using var dora = SigningKey.Create("dora");
        var present = Present();
        var request = KeyCeremony.Change("innocent", present, [new("root") { Add = [dora.Public], Remove = ["carol"], Threshold = 3 }], [], Now.AddDays(1));
        var told = string.Join('\n', SigningSummary.Of(request));

        Assert.Contains($"- root loses the key 'carol' ({_root[2].KeyId[..16]})", told, StringComparison.Ordinal);
        Assert.Contains($"+ root gets the key 'dora' ({dora.KeyId[..16]})", told, StringComparison.Ordinal);
        Assert.Contains("root needs 3 of 3 keys, before 2", told, StringComparison.Ordinal);
        Assert.Contains("root: version 1 → version 2, trusted until 2031-01-02", told, StringComparison.Ordinal);
        // Both the present and the next root keys are asked.
        Assert.Equal(["the present root 2", "the next root 3"], request.Needs.Select(need => $"{need.By} {need.Threshold}"));
    }

    [Fact]
    public void What_a_request_says_of_itself_changes_nothing_in_the_summary_and_fields_nobody_knows_are_told()
    {
        var present = Present();
        var targets = TestRepository.Edit(KeyCeremony.Change("x", present, [], ["targets"], Now).Metadata[0].Value, signed =>
        {
            signed["backdoor"] = "on\u001b[2K";
            signed["delegations"]!["roles"]![0]!["terminating"] = false;
        });
        var request = SigningRequest.Create("Only the usual renewal.\nroot: nothing", Now, present, [new("targets", targets)]);
        var told = string.Join('\n', SigningSummary.Of(request));
        Assert.Contains("! the field 'backdoor' becomes \"on\\u001b[2K\"", told, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("+ releases may sign releases of all other models, and roles after it too", told, StringComparison.Ordinal);
        Assert.Equal("Only the usual renewal.?root: nothing", SigningSummary.Printable(request.Purpose));
    }

    [Fact]
    public void A_half_surrogate_anywhere_in_what_is_signed_is_refused()
    {
        var text = System.Text.Encoding.UTF8.GetString(Create().Write());
        foreach (var (found, odd) in new[] { ("\"threshold\": 2", "\"threshold\": \"\\ud800\""), ("\"name\": \"releases\"", "\"x\": \"\\udc00\", \"name\": \"releases\"") })
        {
            Assert.Contains(found, text, StringComparison.Ordinal);
            Assert.Equal(Distrust.Malformed, Assert.Throws<UntrustedMetadataException>(
                () => SigningRequest.Read(System.Text.Encoding.UTF8.GetBytes(text.Replace(found, odd, StringComparison.Ordinal)))).Reason);
        }
    }

    [Theory]
    [InlineData("\"\\ud800\"")]
    [InlineData("\"\\udc00igning-request\"")]
    [InlineData("7")]
    [InlineData("null")]
    public void A_request_whose_kind_is_no_text_is_refused_as_no_request(string kind)
    {
        var text = System.Text.Encoding.UTF8.GetString(Create().Write());
        const string first = "\"coppice\": \"signing-request\"";
        Assert.Contains(first, text, StringComparison.Ordinal);
        Assert.Equal(Distrust.Malformed, Assert.Throws<UntrustedMetadataException>(
            () => SigningRequest.Read(System.Text.Encoding.UTF8.GetBytes(text.Replace(first, $"\"coppice\": {kind}", StringComparison.Ordinal)))).Reason);
    }

    [Fact]
    public void A_request_whose_kind_is_no_UTF8_is_refused_as_no_request()
    {
        var bytes = Create().Write();
        var at = bytes.AsSpan().IndexOf("signing-request"u8);
        foreach (var odd in (byte[])[0xff, 0xc0, 0xed, 0x80])
        {
            bytes[at] = odd;
            Assert.Equal(Distrust.Malformed, Assert.Throws<UntrustedMetadataException>(() => SigningRequest.Read(bytes)).Reason);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void A_role_that_names_a_key_id_without_a_key_is_told_and_breaks_no_summary(int gone)
    {
        var present = Present();
        var root = TestRepository.Edit(KeyCeremony.Change("x", present, [], ["root"], Now).Metadata[0].Value, signed => signed["keys"]!.AsObject().Remove(_root[gone].KeyId));
        var request = SigningRequest.Create("x", Now, present, [new("root", root)]);

        var told = SigningSummary.Of(request).AddRange(SigningSummary.Signatures(request));

        Assert.Contains(told, line => line.Contains("another key under the same id", StringComparison.Ordinal) && line.Contains(_root[gone].KeyId[..16], StringComparison.Ordinal));
        Assert.DoesNotContain(request.Needs.Where(need => need.By == "the next root"), need => need.Signed.Contains(_root[gone].KeyId)); // nobody signs with what is not there
    }

    [Fact]
    public void Who_loses_a_key_goes_on_with_the_others_and_what_the_lost_key_signed_is_signed_anew()
    {
        using var dora = SigningKey.Create("dora");
        var present = Present();
        var request = KeyCeremony.Change("Ann has left.", present, [new("releases") { Add = [dora.Public], Remove = [_release[0].KeyId[..8]] }], [], Now);
        // The published releases have Ann's and Ben's signatures: one is too few now.
        Assert.Equal(["targets", "releases"], request.Metadata.Select(file => file.Key));
        var after = After(present, Signed(request, _root[1], _root[2], _release[1], dora));
        Assert.True(SigningRequest.Create("x", Now, after, [new("releases", KeyCeremony.Change("x", after, [], ["releases"], Now).Metadata[0].Value)]).Needs[0].Keys.All(key => key.Name != "ann"));
    }

    [Fact]
    public void A_team_gets_models_with_what_is_published_of_them_and_gives_them_back()
    {
        var present = Present();
        var manifest = "{}"u8.ToArray();
        present = After(present, Signed(KeyCeremony.Release(present, "releases/vision/ocr/1.0.0.json", manifest, Now), _release[0], _release[2]));
        Assert.True(TeamPattern.TryParse("vision/*", out var vision));
        var request = KeyCeremony.Delegate("vision", [vision], Of(1, _vera), present, null, Now);
        Assert.Equal(["targets", "team-vision"], request.Metadata.Select(file => file.Key));
        Assert.Contains("releases/vision/ocr/1.0.0.json", request.Next["team-vision"].Signed.Files.Keys);
        Assert.Contains("+ team-vision may sign vision/*", string.Join('\n', SigningSummary.Of(request)), StringComparison.Ordinal);

        var given = After(present, Signed(request, _root[0], _root[1], _vera));
        var ask = KeyCeremony.Release(given, "releases/vision/ocr/1.1.0.json", manifest, Now);
        Assert.Equal("team-vision", ask.Metadata.Single().Key);
        given = After(given, Signed(ask, _vera));

        var back = KeyCeremony.Undelegate("vision", given, Now);
        Assert.Equal(["targets", "releases"], back.Metadata.Select(file => file.Key));
        Assert.Equal(2, back.Next["releases"].Signed.Files.Count);
        Assert.Contains("- team-vision may sign nothing any more", string.Join('\n', SigningSummary.Of(back)), StringComparison.Ordinal);
    }

    [Fact]
    public void The_narrower_pattern_is_asked_first_whoever_came_first()
    {
        using var otto = SigningKey.Create("otto");
        TeamPattern P(string text) => TeamPattern.TryParse(text, out var pattern) ? pattern : throw new FormatException(text);
        var present = Present();
        present = After(present, Signed(KeyCeremony.Delegate("ocr", [P("vision/ocr")], Of(1, otto), present, null, Now), _root[0], _root[1], otto));
        present = After(present, Signed(KeyCeremony.Delegate("vision", [P("vision/*")], Of(1, _vera), present, null, Now), _root[0], _root[1], _vera));
        var targets = MetadataFile.ReadTargets(present.First(file => file.Key == "targets").Value).Signed;
        Assert.Equal(["team-ocr", "team-vision", "releases", "rollouts"], targets.Delegations!.Roles.Select(role => role.Name));
        Assert.Equal("team-ocr", ReleaseIndex.RoleFor(targets, "releases/vision/ocr/1.0.0.json"));
        Assert.Equal("team-vision", ReleaseIndex.RoleFor(targets, "releases/vision/face/1.0.0.json"));

        var same = Assert.Throws<RepositoryConflictException>(() => KeyCeremony.Delegate("third", [P("vision/*")], Of(1, otto), present, null, Now));
        Assert.Contains("is delegated to 'team-vision' already", same.Message, StringComparison.Ordinal);
        Assert.Throws<RepositoryConflictException>(() => KeyCeremony.Delegate("third", [P("vision/ocr-*"), P("vision/o*")], Of(2, otto), present, null, Now));
    }

    [Fact]
    public void A_ceremony_refuses_what_would_lock_everybody_out_or_put_a_strong_key_on_the_server()
    {
        var present = Present();
        Refused("2 of 1 key(s)", () => KeyCeremony.Change("x", present, [new("releases") { Remove = ["ann", "ben"] }], [], Now));
        Refused("none of its keys is 'nobody'", () => KeyCeremony.Change("x", present, [new("root") { Remove = ["nobody"] }], [], Now));
        Refused("has the key 'bob'", () => KeyCeremony.Change("x", present, [new("root") { Add = [_root[1].Public] }], [], Now));
        Refused("do not delegate to it", () => KeyCeremony.Change("x", present, [new("team-x") { Threshold = 1 }], [], Now));
        Refused("is also an online key", () => KeyCeremony.Change("x", present, [new("releases") { Add = [_online.Public] }], [], Now));
        Refused("is also an online key", () => KeyCeremony.RotateOnline(present, new Dictionary<string, PublicKey> { ["snapshot"] = _root[0].Public }, Now));
        Refused("nothing changes", () => KeyCeremony.Change("x", present, [], [], Now));
        Refused("it has no key", () => KeyCeremony.Create(new Dictionary<string, RoleOfKeys>(), Now));

        static void Refused(string why, Action ceremony) => Assert.Contains(why, Assert.Throws<RepositoryConflictException>(ceremony).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Online_keys_are_replaced_without_touching_any_other()
    {
        using var fresh = SigningKey.Create("online 2");
        var request = KeyCeremony.RotateOnline(Present(), new[] { "snapshot", "timestamp", "rollouts" }.ToDictionary(role => role, _ => fresh.Public), Now);
        Assert.Equal(["root", "targets"], request.Metadata.Select(file => file.Key));
        Assert.Equal(fresh.KeyId, request.NextRoot!.Signed.Roles["timestamp"].KeyIds.Single());
        Assert.Equal(fresh.KeyId, request.Next["targets"].Signed.KeysOf("rollouts")!.KeyIds.Single());
        Assert.Equal(3, request.NextRoot.Signed.Roles["root"].KeyIds.Length);
        Assert.True(Signed(request, _root[0], _root[1]).IsComplete);
    }

    [Theory]
    [InlineData("plant/bearing", true)]
    [InlineData("vision/*", true)]
    [InlineData("vision/ocr-*", true)]
    [InlineData("*/ocr", false)]
    [InlineData("vision", false)]
    [InlineData("vision/*/x", false)]
    [InlineData("vision/o*r", false)]
    [InlineData("Vision/ocr", false)]
    [InlineData("vision/", false)]
    public void A_team_pattern_is_a_model_or_a_prefix(string text, bool good)
    {
        Assert.Equal(good, TeamPattern.TryParse(text, out var pattern));
        if (good)
            Assert.True(TeamPattern.TryReadPath(pattern!.Path, out var read) && read == pattern);
    }

    [Fact]
    public void A_public_key_is_text_that_says_whose_it_is_and_a_private_one_is_not_taken_for_it()
    {
        var text = PublicKeyText.Write(_vera.Public);
        var read = PublicKeyText.Read(text);
        Assert.Equal(("vera", _vera.KeyId), (read.Name, read.ComputeKeyId()));
        Assert.Equal(_vera.KeyId, PublicKeyText.Read(text[text.IndexOf("-----BEGIN", StringComparison.Ordinal)..]).ComputeKeyId());
        Assert.Equal(_vera.KeyId, PublicKeyText.IdIn(text));
        Assert.Throws<System.Security.Cryptography.CryptographicException>(() => PublicKeyText.Read(System.Text.Encoding.ASCII.GetString(_vera.Export())));
        var exported = System.Text.Encoding.ASCII.GetString(_vera.Export("secret"));
        Assert.Equal(("vera", _vera.KeyId), (PublicKeyText.NameIn(exported), PublicKeyText.IdIn(exported)));
        using var again = SigningKey.Import(System.Text.Encoding.ASCII.GetBytes(exported), "secret");
        Assert.Equal(("vera", _vera.KeyId), (again.Public.Name, again.KeyId));
        Assert.Null(PublicKeyText.Shown("evil\nname"));
    }
}
