using System.Text.Json.Nodes;
using Coppice.Trust;
using static Coppice.Core.Tests.Trust.TestRepository;

namespace Coppice.Core.Tests.Trust;

public sealed class TrustedMetadataSetTests : IDisposable
{
    readonly TestRepository _repository = new();
    readonly SigningKey _stranger = SigningKey.Create();

    public void Dispose()
    {
        _repository.Dispose();
        _stranger.Dispose();
    }

    [Fact]
    public void A_whole_repository_is_trusted_from_its_root_down_and_kept_byte_for_byte()
    {
        var client = _repository.Trusting();
        var releases = client.UpdateTargets(_repository.Releases, "releases", "targets");

        Assert.Equal(1, releases.Signed.Version);
        Assert.True(client.Timestamp!.Bytes.Span.SequenceEqual(_repository.Timestamp.Span));
        Assert.True(client.Snapshot!.Bytes.Span.SequenceEqual(_repository.Snapshot.Span));
        Assert.True(client.Targets!.Bytes.Span.SequenceEqual(_repository.Targets.Span));
        Assert.True(client.TryGetTargets("releases", "targets", out var same));
        Assert.Same(releases, same);
    }

    // 5.2, 5.3

    [Fact]
    public void A_first_root_that_its_own_keys_did_not_sign_is_refused() => Refused(
        Distrust.TooFewSignatures, "root", () => _ = new TrustedMetadataSet(Edit(_repository.Root, _ => { }, _stranger), Now));

    [Fact]
    public void A_next_root_is_signed_by_the_keys_before_it()
    {
        var client = new TrustedMetadataSet(_repository.Root, Now);
        var next = _repository.NextRoot(root => root.SetRole("root", 1, _stranger.Public), keys: _stranger);
        Refused(Distrust.TooFewSignatures, "root", () => client.UpdateRoot(next));
        Assert.Equal(1, client.Root.Signed.Version);
    }

    [Fact]
    public void A_next_root_is_signed_by_its_own_keys()
    {
        var client = new TrustedMetadataSet(_repository.Root, Now);
        var next = _repository.NextRoot(root => root.SetRole("root", 1, _stranger.Public));
        Refused(Distrust.TooFewSignatures, "root", () => client.UpdateRoot(next));
    }

    [Fact]
    public void A_next_root_signed_by_both_is_taken()
    {
        var client = new TrustedMetadataSet(_repository.Root, Now);
        client.UpdateRoot(_repository.NextRoot(root => root.SetRole("root", 1, _stranger.Public), null, _repository.RootKey, _stranger));
        Assert.Equal(2, client.Root.Signed.Version);
    }

    [Theory]
    [InlineData(1, Distrust.Rollback)]
    [InlineData(3, Distrust.WrongVersion)]
    public void A_next_root_has_the_next_version(int version, Distrust reason)
    {
        var client = new TrustedMetadataSet(_repository.Root, Now);
        var next = Edit(_repository.Root, signed => signed["version"] = version, _repository.RootKey);
        Refused(reason, "root", () => client.UpdateRoot(next));
    }

    [Fact]
    public void An_expired_root_is_passed_on_the_way_but_is_not_the_last_one()
    {
        var second = _repository.NextRoot(_ => { }, expires: Past);
        var client = new TrustedMetadataSet(_repository.Root, Now);
        client.UpdateRoot(second);
        Refused(Distrust.Expired, "root", () => client.UpdateTimestamp(_repository.Timestamp));

        _repository.Root = second;
        var third = _repository.NextRoot(_ => { });
        client = new TrustedMetadataSet(second, Now);
        client.UpdateRoot(third);
        Assert.True(client.UpdateTimestamp(_repository.Timestamp));
    }

    [Fact]
    public void Fast_forwarded_metadata_is_forgotten_when_its_key_is_revoked()
    {
        _repository.Timestamp = Edit(_repository.Timestamp, signed => signed["version"] = 1_000_000, _repository.TimestampKey);
        var stored = _repository.Timestamp;
        using var fresh = SigningKey.Create();
        var client = new TrustedMetadataSet(_repository.Root, Now);

        Assert.True(client.UpdateRoot(_repository.NextRoot(root => root.SetRole("timestamp", 1, fresh.Public))));
        Refused(Distrust.TooFewSignatures, "timestamp", () => client.LoadTimestamp(stored));
        Assert.True(client.UpdateTimestamp(Edit(stored, signed => signed["version"] = 2, fresh)));
    }

    [Fact]
    public void A_root_that_only_adds_a_key_revokes_nothing()
    {
        var client = new TrustedMetadataSet(_repository.Root, Now);
        Assert.False(client.UpdateRoot(
            _repository.NextRoot(root => root.SetRole("timestamp", 1, _repository.TimestampKey.Public, _stranger.Public))));
    }

    // 5.4

    [Fact]
    public void A_timestamp_older_than_the_trusted_one_is_a_rollback()
    {
        var old = _repository.Timestamp;
        _repository.Timestamp = _repository.NextTimestamp();
        Refused(Distrust.Rollback, "timestamp", () => _repository.Returning().UpdateTimestamp(old));
    }

    [Fact]
    public void A_timestamp_of_the_same_version_is_dropped_whatever_it_says()
    {
        var client = _repository.Returning();
        var other = Edit(_repository.Timestamp, signed => signed["meta"]!["snapshot.json"]!["version"] = 7, _repository.TimestampKey);

        Assert.False(client.UpdateTimestamp(other));
        Assert.True(client.Timestamp!.Bytes.Span.SequenceEqual(_repository.Timestamp.Span));
    }

    [Fact]
    public void A_timestamp_that_names_an_older_snapshot_is_a_rollback()
    {
        var old = _repository.Timestamp;
        _repository.Publish();
        var attack = Edit(old, signed => signed["version"] = 9, _repository.TimestampKey);
        Refused(Distrust.Rollback, "timestamp", () => _repository.Returning().UpdateTimestamp(attack));
    }

    [Fact]
    public void An_expired_timestamp_is_a_freeze_and_the_trusted_one_stays()
    {
        var client = _repository.Returning();
        Refused(Distrust.Expired, "timestamp", () => client.UpdateTimestamp(_repository.NextTimestamp(expires: Now)));
        Assert.Equal(1, client.Timestamp!.Signed.Version);
    }

    [Fact]
    public void A_stored_timestamp_that_has_expired_still_is_the_floor()
    {
        var old = Edit(_repository.Timestamp, signed => signed["version"] = 4, _repository.TimestampKey);
        _repository.Timestamp = Edit(_repository.NextTimestamp(expires: Past), signed => signed["version"] = 5, _repository.TimestampKey);
        var client = _repository.Returning();

        Refused(Distrust.Rollback, "timestamp", () => client.UpdateTimestamp(old));
        Refused(Distrust.Expired, "timestamp", () => client.UpdateTimestamp(_repository.Timestamp));
        Assert.True(client.UpdateTimestamp(_repository.NextTimestamp()));
    }

    [Fact]
    public void A_timestamp_that_a_stranger_signed_is_refused() => Refused(
        Distrust.TooFewSignatures, "timestamp",
        () => _repository.Returning().UpdateTimestamp(Edit(_repository.NextTimestamp(), _ => { }, _stranger)));

    [Fact]
    public void A_key_that_the_root_knows_signs_only_for_its_own_role() => Refused(
        Distrust.TooFewSignatures, "timestamp",
        () => _repository.Returning().UpdateTimestamp(
            Edit(_repository.NextTimestamp(), _ => { }, _repository.RootKey, _repository.SnapshotKey, _repository.TargetsKey)));

    [Fact]
    public void A_snapshot_in_the_place_of_a_timestamp_is_refused() => Refused(
        Distrust.WrongType, "timestamp", () => _repository.Returning().UpdateTimestamp(_repository.Snapshot));

    // 5.5

    TrustedMetadataSet WithTimestamp()
    {
        var client = new TrustedMetadataSet(_repository.Root, Now);
        client.UpdateTimestamp(_repository.Timestamp);
        return client;
    }

    [Fact]
    public void A_snapshot_of_another_length_or_digest_than_the_timestamp_says_is_mix_and_match()
    {
        var same = _repository.Snapshot.ToArray();
        same[^3]++;
        Refused(Distrust.WrongLength, "snapshot", () => WithTimestamp().UpdateSnapshot((byte[])[.. _repository.Snapshot.Span, (byte)' ']));
        Refused(Distrust.WrongHash, "snapshot", () => WithTimestamp().UpdateSnapshot(same));
    }

    // A timestamp that gives a version and nothing else, as many repositories write it.
    void NameSnapshotByVersionOnly(long version) => _repository.Timestamp = Edit(
        _repository.Timestamp, signed => signed["meta"] = new JsonObject { ["snapshot.json"] = new JsonObject { ["version"] = version } },
        _repository.TimestampKey);

    [Fact]
    public void A_snapshot_of_another_version_than_the_timestamp_says_is_refused()
    {
        NameSnapshotByVersionOnly(2);
        Refused(Distrust.WrongVersion, "snapshot", () => WithTimestamp().UpdateSnapshot(_repository.Snapshot));
    }

    [Fact]
    public void A_snapshot_that_a_stranger_signed_is_refused()
    {
        NameSnapshotByVersionOnly(1);
        Refused(Distrust.TooFewSignatures, "snapshot", () => WithTimestamp().UpdateSnapshot(Edit(_repository.Snapshot, _ => { }, _stranger)));
    }

    [Fact]
    public void An_expired_snapshot_is_a_freeze()
    {
        _repository.Snapshot = _repository.NextSnapshot(expires: Past);
        _repository.Timestamp = _repository.NextTimestamp();
        Refused(Distrust.Expired, "snapshot", () => WithTimestamp().UpdateSnapshot(_repository.Snapshot));
    }

    [Theory]
    [InlineData(true, Distrust.NotInSnapshot)]
    [InlineData(false, Distrust.Rollback)]
    public void A_snapshot_neither_drops_a_role_nor_names_an_older_version(bool drop, Distrust reason)
    {
        _repository.Releases = Edit(_repository.Releases, signed => signed["version"] = 5, _repository.ReleasesKey);
        _repository.Publish();
        var stored = _repository.Snapshot;
        _repository.Snapshot = Edit(
            _repository.NextSnapshot(),
            signed =>
            {
                if (drop)
                    signed["meta"]!.AsObject().Remove("releases.json");
                else
                    signed["meta"]!["releases.json"]!["version"] = 4;
            },
            _repository.SnapshotKey);
        _repository.Timestamp = _repository.NextTimestamp();

        var client = WithTimestamp();
        Assert.False(client.LoadSnapshot(stored));
        Refused(reason, "snapshot", () => client.UpdateSnapshot(_repository.Snapshot));
    }

    [Fact]
    public void A_stored_snapshot_is_final_only_while_the_timestamp_names_it_and_it_has_not_expired()
    {
        var client = WithTimestamp();
        Assert.True(client.LoadSnapshot(_repository.Snapshot));
        Assert.True(client.HasFinalSnapshot);

        _repository.Snapshot = _repository.NextSnapshot(expires: Past);
        _repository.Timestamp = _repository.NextTimestamp();
        Assert.False(WithTimestamp().LoadSnapshot(_repository.Snapshot));
    }

    // 5.6

    TrustedMetadataSet WithSnapshot()
    {
        var client = WithTimestamp();
        client.UpdateSnapshot(_repository.Snapshot);
        return client;
    }

    void NameTargetsByVersionOnly(long version)
    {
        _repository.Snapshot = Edit(
            _repository.Snapshot, signed => signed["meta"]!["targets.json"] = new JsonObject { ["version"] = version }, _repository.SnapshotKey);
        _repository.Timestamp = _repository.NextTimestamp();
    }

    [Fact]
    public void Targets_of_another_length_or_digest_than_the_snapshot_says_are_mix_and_match()
    {
        var same = _repository.Targets.ToArray();
        same[^3]++;
        Refused(Distrust.WrongLength, "targets", () => WithSnapshot().UpdateTargets((byte[])[.. _repository.Targets.Span, (byte)' ']));
        Refused(Distrust.WrongHash, "targets", () => WithSnapshot().UpdateTargets(same));
    }

    [Fact]
    public void Targets_of_another_version_than_the_snapshot_says_are_refused()
    {
        NameTargetsByVersionOnly(2);
        Refused(Distrust.WrongVersion, "targets", () => WithSnapshot().UpdateTargets(_repository.Targets));
    }

    [Fact]
    public void Targets_that_a_stranger_signed_are_refused()
    {
        NameTargetsByVersionOnly(1);
        Refused(Distrust.TooFewSignatures, "targets", () => WithSnapshot().UpdateTargets(Edit(_repository.Targets, _ => { }, _stranger)));
    }

    [Fact]
    public void Expired_targets_are_a_freeze()
    {
        _repository.Targets = new TargetsDraft(MetadataFile.ReadTargets(_repository.Targets).Signed).Sign(Past, _repository.TargetsKey);
        _repository.Publish();
        Refused(Distrust.Expired, "targets", () => WithSnapshot().UpdateTargets(_repository.Targets));
    }

    [Fact]
    public void A_role_that_the_snapshot_does_not_list_is_not_loaded()
    {
        _repository.Snapshot = Edit(
            _repository.Snapshot, signed => signed["meta"]!.AsObject().Remove("releases.json"), _repository.SnapshotKey);
        _repository.Timestamp = _repository.NextTimestamp();
        Refused(Distrust.NotInSnapshot, "releases", () => _repository.Trusting().UpdateTargets(_repository.Releases, "releases", "targets"));
    }

    [Fact]
    public void A_delegated_role_is_signed_by_the_keys_that_its_delegator_names()
    {
        _repository.Releases = Edit(_repository.Releases, _ => { }, _repository.TargetsKey);
        _repository.Publish();
        Refused(Distrust.TooFewSignatures, "releases", () => _repository.Trusting().UpdateTargets(_repository.Releases, "releases", "targets"));
    }

    [Fact]
    public void A_role_let_in_by_one_delegator_is_held_against_the_next_one_anew()
    {
        using var other = SigningKey.Create();
        _repository.Targets = new TargetsDraft(null)
            .Delegate("a", ["a/*"], false, 1, _repository.ReleasesKey.Public).Delegate("b", ["b/*"], false, 1, _repository.ReleasesKey.Public)
            .Sign(Later, _repository.TargetsKey);
        var a = new TargetsDraft(null).Delegate("shared", ["a/*"], false, 1, _repository.ReleasesKey.Public).Sign(Later, _repository.ReleasesKey);
        var b = new TargetsDraft(null).Delegate("shared", ["b/*"], false, 1, other.Public).Sign(Later, _repository.ReleasesKey);
        var shared = new TargetsDraft(null).Sign(Later, _repository.ReleasesKey);
        _repository.Snapshot = new SnapshotDraft(null)
            .Put(MetadataFile.ReadTargets(_repository.Targets)).Put(MetadataFile.ReadTargets(a, "a"))
            .Put(MetadataFile.ReadTargets(b, "b")).Put(MetadataFile.ReadTargets(shared, "shared")).Sign(Later, _repository.SnapshotKey);
        _repository.Timestamp = _repository.NextTimestamp();

        var client = _repository.Trusting();
        client.UpdateTargets(a, "a", "targets");
        client.UpdateTargets(b, "b", "targets");
        client.UpdateTargets(shared, "shared", "a");

        Assert.True(client.TryGetTargets("shared", "a", out _));
        Refused(Distrust.TooFewSignatures, "shared", () => client.TryGetTargets("shared", "b", out _));
        Refused(Distrust.TooFewSignatures, "shared", () => client.UpdateTargets(shared, "shared", "b"));
    }

    // Thresholds

    void TimestampNeeds(int threshold, params SigningKey[] keys) => _repository.Root = _repository.NextRoot(
        root => root.SetRole("timestamp", threshold, [.. keys.Select(key => key.Public)]));

    [Fact]
    public void Two_of_three_keys_sign_and_one_is_too_few()
    {
        using var third = SigningKey.Create();
        TimestampNeeds(2, _repository.TimestampKey, _stranger, third);
        var one = _repository.Timestamp;
        Refused(Distrust.TooFewSignatures, "timestamp", () => new TrustedMetadataSet(_repository.Root, Now).UpdateTimestamp(one));

        Assert.True(new TrustedMetadataSet(_repository.Root, Now).UpdateTimestamp(MetadataSigning.AddSignature(one, third)));
    }

    [Fact]
    public void A_key_id_that_signs_twice_makes_a_malformed_file()
    {
        TimestampNeeds(2, _repository.TimestampKey, _stranger);
        var file = JsonNode.Parse(_repository.Timestamp.Span)!.AsObject();
        file["signatures"]!.AsArray().Add(file["signatures"]![0]!.DeepClone());
        var twice = System.Text.Encoding.UTF8.GetBytes(file.ToJsonString());
        Refused(Distrust.Malformed, "timestamp", () => new TrustedMetadataSet(_repository.Root, Now).UpdateTimestamp(twice));
    }

    [Fact]
    public void One_key_under_two_key_ids_counts_once()
    {
        TimestampNeeds(2, _repository.TimestampKey, _stranger);
        var id = _repository.TimestampKey.KeyId;
        _repository.Root = Edit(
            _repository.Root,
            signed =>
            {
                var (keys, role) = (signed["keys"]!.AsObject(), signed["roles"]!["timestamp"]!.AsObject());
                keys["alias"] = keys[id]!.DeepClone();
                role["keyids"] = new JsonArray(id, "alias");
            },
            _repository.RootKey);
        var file = JsonNode.Parse(_repository.Timestamp.Span)!.AsObject();
        var second = file["signatures"]![0]!.DeepClone();
        second["keyid"] = "alias";
        file["signatures"]!.AsArray().Add(second);
        var twice = System.Text.Encoding.UTF8.GetBytes(file.ToJsonString());

        Refused(Distrust.TooFewSignatures, "timestamp", () => new TrustedMetadataSet(_repository.Root, Now).UpdateTimestamp(twice));
    }

    [Fact]
    public void Signatures_that_are_empty_foreign_or_no_hexadecimal_text_do_not_spoil_the_good_one()
    {
        TimestampNeeds(1, _repository.TimestampKey, _stranger);
        var file = JsonNode.Parse(_repository.Timestamp.Span)!.AsObject();
        var signatures = file["signatures"]!.AsArray();
        signatures.Insert(0, new JsonObject { ["keyid"] = _stranger.KeyId, ["sig"] = "" });
        signatures.Insert(0, new JsonObject { ["keyid"] = "nobody", ["sig"] = "zz" });
        var bytes = System.Text.Encoding.UTF8.GetBytes(file.ToJsonString());

        Assert.True(new TrustedMetadataSet(_repository.Root, Now).UpdateTimestamp(bytes));
    }

    // Form

    [Theory]
    [InlineData("spec_version", "\"2.0.0\"")]
    [InlineData("spec_version", "1")]
    [InlineData("version", "0")]
    [InlineData("version", "-1")]
    [InlineData("version", "\"1\"")]
    [InlineData("version", "99999999999999999999")]
    [InlineData("expires", "\"2031-01-01\"")]
    [InlineData("expires", "\"2031-01-01T00:00:00+01:00\"")]
    [InlineData("expires", "\"2031-02-30T00:00:00Z\"")]
    [InlineData("meta", "[]")]
    [InlineData("meta", "{}")]
    public void A_field_out_of_form_is_refused_although_it_is_signed(string field, string value)
    {
        var crafted = Edit(_repository.NextTimestamp(), signed => signed[field] = JsonNode.Parse(value), _repository.TimestampKey);
        Refused(Distrust.Malformed, "timestamp", () => _repository.Returning().UpdateTimestamp(crafted));
    }

    [Fact]
    public void A_name_twice_in_one_object_is_refused()
    {
        const string Type = "\"_type\":\"timestamp\"";
        var text = System.Text.Encoding.UTF8.GetString(_repository.Timestamp.Span).Replace(Type, Type + "," + Type, StringComparison.Ordinal);
        Refused(Distrust.Malformed, "timestamp", () => new TrustedMetadataSet(_repository.Root, Now).UpdateTimestamp(System.Text.Encoding.UTF8.GetBytes(text)));
    }

    [Fact]
    public void Fields_that_nobody_here_knows_are_signed_over_kept_and_carried_into_the_next_version()
    {
        _repository.Root = Edit(
            _repository.Root,
            signed =>
            {
                signed["x-owner"] = new JsonObject { ["team"] = "plant" };
                signed["roles"]!["root"]!["x-period"] = 365;
                signed["keys"]![_repository.RootKey.KeyId]!["x-holder"] = "anna";
            },
            _repository.RootKey);
        var client = new TrustedMetadataSet(_repository.Root, Now);
        client.UpdateRoot(_repository.NextRoot(root => root.SetRole("snapshot", 1, _stranger.Public)));

        var next = client.Root.Signed.Json;
        Assert.Equal("plant", next.GetProperty("x-owner").GetProperty("team").GetString());
        Assert.Equal(365, next.GetProperty("roles").GetProperty("root").GetProperty("x-period").GetInt32());
        Assert.Equal("anna", next.GetProperty("keys").GetProperty(_repository.RootKey.KeyId).GetProperty("x-holder").GetString());
        Assert.False(client.Root.Signed.Keys.ContainsKey(_repository.SnapshotKey.KeyId)); // nobody needs it any more
    }
}
