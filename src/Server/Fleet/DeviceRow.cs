using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Storage;
using Coppice.Trust;

namespace Coppice.Server.Fleet;

/// <summary>A device that has enrolled.</summary>
sealed class DeviceRow
{
    public const string Cloned = "cloned";

    public required string Id { get; set; }

    /// <summary>What it signs with: SubjectPublicKeyInfo of P-256, base64.</summary>
    public required string SigningKey { get; set; }

    public DateTimeOffset? CertificateExpires { get; set; }
    public required DateTimeOffset EnrolledAt { get; set; }
    public required DateTimeOffset LastSeen { get; set; }
    public DateTimeOffset? RetiredAt { get; set; }
    public DateTimeOffset? RevokedAt { get; set; }
    public string? RevokedWhy { get; set; }

    /// <summary><see cref="Cloned"/> when two installations have the identity.</summary>
    public string? Suspect { get; set; }
    public DateTimeOffset? SuspectSince { get; set; }

    /// <summary>See <see cref="Coppice.Fleet.Sendings"/>.</summary>
    public string Sendings { get; set; } = "";

    /// <summary>The device need not send reports up to this one again.</summary>
    public long Through { get; set; }

    /// <summary>See <see cref="ReportNumbers"/>; beyond <see cref="Through"/> while some between are awaited.</summary>
    public string Kept { get; set; } = "";
    public required string Facts { get; set; }
    public required string Labels { get; set; }

    /// <summary>What content keys are sealed to: SubjectPublicKeyInfo of P-256, base64; empty when it enrolled none.</summary>
    public string SealingKey { get; set; } = "";

    /// <summary>Whether it may be given content keys at all.</summary>
    public bool MayHaveKeys => RetiredAt is null && RevokedAt is null && SealingKey.Length > 0;

    /// <summary>Facts, labels and groups as selectors read them.</summary>
    public FactSet FactSet(GroupSet groups) => groups.Over(PlainFactSet());

    /// <summary>The same as other labels would make it; the groups that it was put into stay.</summary>
    public FactSet FactSet(GroupSet groups, ImmutableDictionary<string, string> labels) => groups.Over(Plain(labels.SetItems(StoredText.Texts(Labels).Where(label => DeviceGroup.IsLabel(label.Key)))));

    /// <summary>What the device goes by: its labels, and those of its groups.</summary>
    public ImmutableDictionary<string, string> AllLabels(GroupSet groups) => StoredText.Texts(Labels).SetItems(groups.LabelsOf(PlainFactSet()));

    /// <summary>Facts and labels; of groups, those that the device was put into.</summary>
    FactSet PlainFactSet() => Plain(StoredText.Pairs(Labels));

    FactSet Plain(IEnumerable<KeyValuePair<string, string>> labels) =>
        new(StoredText.Pairs(Facts).Concat(Coppice.Fleet.FactSet.OfLabels(labels)));

    /// <summary>What is asked of a device when it is heard of; and not its keys and their ends.</summary>
    public static TableShape Hearing { get; } = new(
        "Devices",
        [
            new("EnrolledAt", ColumnKind.Integer), new("Facts", ColumnKind.Text), new("Id", ColumnKind.Text), new("Kept", ColumnKind.Text), new("Labels", ColumnKind.Text), new("LastSeen", ColumnKind.Integer), new("RetiredAt", ColumnKind.Integer),
            new("RevokedAt", ColumnKind.Integer), new("Sendings", ColumnKind.Text), new("SigningKey", ColumnKind.Text), new("Suspect", ColumnKind.Text), new("Through", ColumnKind.Integer),
        ],
        ["Id"], null);

    /// <param name="values">As <see cref="Hearing"/> has them.</param>
    public static DeviceRow Of(object?[] values) => new()
    {
        EnrolledAt = DateTimeOffset.FromUnixTimeMilliseconds((long)values[0]!),
        Facts = (string)values[1]!,
        Id = (string)values[2]!,
        Kept = (string)values[3]!,
        Labels = (string)values[4]!,
        LastSeen = DateTimeOffset.FromUnixTimeMilliseconds((long)values[5]!),
        RetiredAt = values[6] is long retired ? DateTimeOffset.FromUnixTimeMilliseconds(retired) : null,
        RevokedAt = values[7] is long revoked ? DateTimeOffset.FromUnixTimeMilliseconds(revoked) : null,
        Sendings = (string)values[8]!,
        SigningKey = (string)values[9]!,
        Suspect = (string?)values[10],
        Through = (long)values[11]!,
    };

    /// <summary>What changes whenever a device is heard of.</summary>
    public static TableShape HeardOf { get; } = new(
        "Devices", [new("Id", ColumnKind.Text), new("Kept", ColumnKind.Text), new("LastSeen", ColumnKind.Integer), new("Sendings", ColumnKind.Text), new("Through", ColumnKind.Integer)], ["Id"], null);

    public object?[] HeardValues() => [Id, Kept, LastSeen.ToUnixTimeMilliseconds(), Sendings, Through];

    /// <summary>What changes when a device says other facts than before.</summary>
    public static TableShape FactsOf { get; } = new("Devices", [new("Facts", ColumnKind.Text), new("Id", ColumnKind.Text)], ["Id"], null);

    public object?[] FactsValues() => [Facts, Id];

    /// <summary>Another after each change of the labels that operators give it one by one.</summary>
    public string Revision() => Preconditions.Revision.Of(
        [.. StoredText.Texts(Labels).Where(label => !DeviceGroup.IsLabel(label.Key)).OrderBy(label => label.Key, StringComparer.Ordinal).SelectMany(label => (string[])[label.Key, label.Value])]);

    public KnownDevice View(IEnumerable<DeviceModelRow> models, DateTimeOffset silentBefore, GroupSet groups)
    {
        var labels = AllLabels(groups);
        return new(
            Id, EnrolledAt, LastSeen, StoredText.Texts(Facts), labels.RemoveRange(labels.Keys.Where(DeviceGroup.IsLabel)),
            [.. models.OrderBy(model => model.Model.ToString(), StringComparer.Ordinal).Select(model => model.View())], RetiredAt)
        {
            Revision = Revision(),
            Groups = [.. labels.Keys.Where(DeviceGroup.IsLabel).Select(label => label[DeviceGroup.Prefix.Length..]).Order(StringComparer.Ordinal)],
            State = State(silentBefore),
            Key = DevicePublicKey.TryParse(SigningKey, out var key) ? key.Digest : null,
            CertificateExpires = CertificateExpires,
            RevokedAt = RevokedAt,
            RevokedWhy = RevokedWhy,
            Suspect = Suspect,
            SuspectSince = SuspectSince,
        };
    }

    public DeviceState State(DateTimeOffset silentBefore) =>
        RetiredAt is not null ? DeviceState.Retired : RevokedAt is not null ? DeviceState.Revoked : LastSeen < silentBefore ? DeviceState.Silent : DeviceState.Enrolled;
}

/// <summary>A device's last word on a model.</summary>
sealed class DeviceModelRow
{
    public required string Device { get; set; }
    public required ModelName Model { get; set; }
    public long Sequence { get; set; }
    public SemanticVersion? Serving { get; set; }

    /// <summary>What served before <see cref="Serving"/> and would again when that is taken back.</summary>
    public SemanticVersion? Before { get; set; }
    public bool Settled { get; set; }
    public ReportKind Last { get; set; }
    public required SemanticVersion Release { get; set; }
    public DateTimeOffset At { get; set; }
    public string? Variant { get; set; }
    public string? Rollout { get; set; }
    public string? Why { get; set; }

    public static TableShape Table { get; } = new(
        "DeviceModels",
        [
            new("At", ColumnKind.Integer), new("Before", ColumnKind.Text), new("Device", ColumnKind.Text), new("Last", ColumnKind.Text), new("Model", ColumnKind.Text), new("Release", ColumnKind.Text),
            new("Rollout", ColumnKind.Text), new("Sequence", ColumnKind.Integer), new("Serving", ColumnKind.Text), new("Settled", ColumnKind.Boolean), new("Variant", ColumnKind.Text), new("Why", ColumnKind.Text),
        ],
        ["Device", "Model"], null);

    public object?[] Values() =>
        [At.ToUnixTimeMilliseconds(), Before?.ToString(), Device, Last.ToString(), Model.ToString(), Release.ToString(), Rollout, Sequence, Serving?.ToString(), Settled, Variant, Why];

    /// <param name="values">As <see cref="Table"/> has them.</param>
    public static DeviceModelRow Of(object?[] values) => new()
    {
        At = DateTimeOffset.FromUnixTimeMilliseconds((long)values[0]!),
        Before = values[1] is string before ? SemanticVersion.Parse(before) : null,
        Device = (string)values[2]!,
        Last = Enum.Parse<ReportKind>((string)values[3]!),
        Model = ModelName.Parse((string)values[4]!),
        Release = SemanticVersion.Parse((string)values[5]!),
        Rollout = (string?)values[6],
        Sequence = (long)values[7]!,
        Serving = values[8] is string serving ? SemanticVersion.Parse(serving) : null,
        Settled = (bool)values[9]!,
        Variant = (string?)values[10],
        Why = (string?)values[11],
    };

    const int ServingAt = 8;

    /// <summary>The table without what devices are looked up by: where that stays, no index has to follow.</summary>
    public static TableShape StillServing { get; } = Table with { Columns = Table.Columns.RemoveAt(ServingAt) };

    public object?[] StillServingValues() => [.. Values().Where((_, column) => column != ServingAt)];

    /// <summary>Takes a report into account, unless a later one was.</summary>
    public void Take(Report report)
    {
        if (report.Sequence <= Sequence)
            return;
        if (report.Shadow == true) // the rollout has its word; how the model stands is as before
        {
            Sequence = report.Sequence;
            return;
        }

        (Sequence, Last, Release, At, Rollout, Why) = (report.Sequence, report.Kind, report.Release, report.At, report.Rollout, report.Why);
        switch (report.Kind)
        {
            case ReportKind.Switched or ReportKind.Settled:
                if (Serving != report.Release)
                    Before = Serving;
                (Serving, Settled, Variant) = (report.Release, report.Kind == ReportKind.Settled, report.Variant ?? Variant);
                break;
            case ReportKind.TakenBack when Serving == report.Release:
                (Serving, Settled, Variant, Before) = (Before, Before is not null, null, null);
                break;
            case ReportKind.Stopped:
                (Serving, Settled, Variant, Before) = (null, false, null, null);
                break;
        }
    }

    public DeviceModel View() => new(Model, Settled, Last, Release, At, Serving) { Variant = Variant, Rollout = Rollout, Why = Why };
}
