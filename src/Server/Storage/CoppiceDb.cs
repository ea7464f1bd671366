using Coppice.Registry;
using Coppice.Server.Access;
using Coppice.Server.Approvals;
using Coppice.Server.Audit;
using Coppice.Server.Backups;
using Coppice.Server.Ddi;
using Coppice.Server.Events;
using Coppice.Server.Fleet;
using Coppice.Server.Idempotency;
using Coppice.Server.Identity;
using Coppice.Server.Registry;
using Coppice.Server.Rollouts;
using Coppice.Server.Sealing;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace Coppice.Server.Storage;

/// <summary>The tables. Columns are written down in Migrations/; a test holds both to each other.</summary>
sealed class CoppiceDb(DbContextOptions<CoppiceDb> options) : DbContext(options)
{
    public DbSet<OperatorRow> Operators => Set<OperatorRow>();
    public DbSet<ApiTokenRow> ApiTokens => Set<ApiTokenRow>();
    public DbSet<ApprovalRow> Approvals => Set<ApprovalRow>();
    public DbSet<ApprovalVoteRow> ApprovalVotes => Set<ApprovalVoteRow>();
    public DbSet<ApprovalPolicyRow> ApprovalPolicies => Set<ApprovalPolicyRow>();
    public DbSet<JoinTokenRow> JoinTokens => Set<JoinTokenRow>();
    public DbSet<DeviceRow> Devices => Set<DeviceRow>();
    public DbSet<DeviceMarkRow> DeviceMarks => Set<DeviceMarkRow>();
    public DbSet<DdiTokenRow> DdiTokens => Set<DdiTokenRow>();
    public DbSet<DdiDeviceRow> DdiDevices => Set<DdiDeviceRow>();
    public DbSet<DdiActionRow> DdiActions => Set<DdiActionRow>();
    public DbSet<DdiDigestRow> DdiDigests => Set<DdiDigestRow>();
    public DbSet<GroupRow> Groups => Set<GroupRow>();
    public DbSet<WaitingDeviceRow> WaitingDevices => Set<WaitingDeviceRow>();
    public DbSet<AuthorisedDeviceRow> AuthorisedDevices => Set<AuthorisedDeviceRow>();
    public DbSet<CertificateRow> Certificates => Set<CertificateRow>();
    public DbSet<DeviceModelRow> DeviceModels => Set<DeviceModelRow>();
    public DbSet<ReportRow> Reports => Set<ReportRow>();
    public DbSet<ModelRow> Models => Set<ModelRow>();
    public DbSet<ReleaseRow> Releases => Set<ReleaseRow>();
    public DbSet<RolloutRow> Rollouts => Set<RolloutRow>();
    public DbSet<RolloutDeviceRow> RolloutDevices => Set<RolloutDeviceRow>();
    public DbSet<RolloutFigureRow> RolloutFigures => Set<RolloutFigureRow>();
    public DbSet<RolloutCheckRow> RolloutChecks => Set<RolloutCheckRow>();
    public DbSet<RolloutDecisionRow> RolloutDecisions => Set<RolloutDecisionRow>();
    public DbSet<SealedModelRow> SealedModels => Set<SealedModelRow>();
    public DbSet<ContentKeyRow> ContentKeys => Set<ContentKeyRow>();
    public DbSet<KeyGrantRow> KeyGrants => Set<KeyGrantRow>();
    public DbSet<RolloutBytesRow> RolloutBytes => Set<RolloutBytesRow>();
    public DbSet<EventRow> Events => Set<EventRow>();
    public DbSet<IdempotencyRow> IdempotencyKeys => Set<IdempotencyRow>();
    public DbSet<WebhookRow> Webhooks => Set<WebhookRow>();
    public DbSet<DeliveryRow> Deliveries => Set<DeliveryRow>();
    public DbSet<TreeFileRow> TreeFiles => Set<TreeFileRow>();
    public DbSet<LeaseRow> Leases => Set<LeaseRow>();
    public DbSet<SharedKeyRow> SharedKeys => Set<SharedKeyRow>();
    public DbSet<AuditCheckpointRow> AuditCheckpoints => Set<AuditCheckpointRow>();
    public DbSet<RestoreRow> Restores => Set<RestoreRow>();

    /// <summary>Whether events were added since this was last made false.</summary>
    public bool HasNewEvents { get; set; }

    /// <summary>Links new events into the audit log, and has devices found by what they now are, in the same transaction.</summary>
    public override async Task<int> SaveChangesAsync(bool acceptAllChangesOnSuccess, CancellationToken cancellationToken = default)
    {
        await MarkedDevices.FollowAsync(this, cancellationToken);
        HasNewEvents |= await AuditTrail.LinkAsync(this, cancellationToken);
        return await base.SaveChangesAsync(acceptAllChangesOnSuccess, cancellationToken);
    }

    protected override void OnModelCreating(ModelBuilder model)
    {
        model.Entity<OperatorRow>().HasKey(row => row.Name);
        model.Entity<ApiTokenRow>().HasKey(row => row.Id);
        model.Entity<ApprovalRow>().HasKey(row => row.Number);
        model.Entity<ApprovalVoteRow>().HasKey(row => new { row.Approval, row.Subject });
        model.Entity<ApprovalPolicyRow>().HasKey(row => row.Models);
        model.Entity<JoinTokenRow>().HasKey(row => row.Hash);
        model.Entity<DeviceRow>().HasKey(row => row.Id);
        model.Entity<DeviceMarkRow>().HasKey(row => new { row.Name, row.Value, row.Device });
        model.Entity<DdiTokenRow>().HasKey(row => row.Id);
        model.Entity<DdiDeviceRow>().HasKey(row => row.Device);
        model.Entity<DdiActionRow>().HasKey(row => row.Number);
        model.Entity<DdiDigestRow>().HasKey(row => row.Blob);
        model.Entity<GroupRow>().HasKey(row => row.Name);
        model.Entity<WaitingDeviceRow>().HasKey(row => new { row.Device, row.SigningKey });
        model.Entity<AuthorisedDeviceRow>().HasKey(row => row.Id);
        model.Entity<CertificateRow>().HasKey(row => row.Serial);
        model.Entity<DeviceModelRow>().HasKey(row => new { row.Device, row.Model });
        model.Entity<ReportRow>().HasKey(row => new { row.Week, row.Device, row.Sequence });
        model.Entity<ModelRow>().HasKey(row => row.Name);
        model.Entity<ReleaseRow>().HasKey(row => new { row.Model, row.Version });
        model.Entity<RolloutRow>().HasKey(row => row.Number);
        model.Entity<RolloutDeviceRow>().HasKey(row => new { row.Rollout, row.Device });
        model.Entity<RolloutFigureRow>().HasKey(row => new { row.Rollout, row.Device, row.Name });
        model.Entity<RolloutCheckRow>().HasKey(row => new { row.Rollout, row.Name, row.Attempt, row.Phase });
        model.Entity<RolloutDecisionRow>().HasKey(row => row.Id);
        model.Entity<SealedModelRow>().HasKey(row => row.Model);
        model.Entity<ContentKeyRow>().HasKey(row => row.Key);
        model.Entity<KeyGrantRow>().HasKey(row => new { row.Device, row.Key });
        model.Entity<RolloutBytesRow>().HasKey(row => new { row.Rollout, row.Device, row.Way });
        model.Entity<EventRow>().HasKey(row => row.Id);
        model.Entity<IdempotencyRow>().HasKey(row => new { row.Subject, row.Key });
        model.Entity<WebhookRow>().HasKey(row => row.Number);
        model.Entity<DeliveryRow>().HasKey(row => new { row.Webhook, row.Event });
        model.Entity<TreeFileRow>().HasKey(row => row.Path);
        model.Entity<LeaseRow>().HasKey(row => row.Name);
        model.Entity<SharedKeyRow>().HasKey(row => row.Name);
        model.Entity<RestoreRow>().HasKey(row => row.Number);
        model.Entity<AuditCheckpointRow>().HasKey(row => row.Entry);
        model.Entity<AuditCheckpointRow>().Property(row => row.Entry).ValueGeneratedNever();
    }

    protected override void ConfigureConventions(ModelConfigurationBuilder conventions)
    {
        conventions.Properties<DateTimeOffset>().HaveConversion<UnixMilliseconds>();
        conventions.Properties<ModelName>().HaveConversion<ModelNameText>();
        conventions.Properties<SemanticVersion>().HaveConversion<SemanticVersionText>();
        conventions.Properties<Sha256Digest>().HaveConversion<DigestText>();
        conventions.Properties<Enum>().HaveConversion<string>();
    }

    // SQLite orders and compares integers; it has no type for points in time.
    sealed class UnixMilliseconds() : ValueConverter<DateTimeOffset, long>(time => time.ToUnixTimeMilliseconds(), ms => DateTimeOffset.FromUnixTimeMilliseconds(ms));

    sealed class ModelNameText() : ValueConverter<ModelName, string>(name => name.ToString(), text => ModelName.Parse(text));

    sealed class SemanticVersionText() : ValueConverter<SemanticVersion, string>(version => version.ToString(), text => SemanticVersion.Parse(text));

    sealed class DigestText() : ValueConverter<Sha256Digest, string>(digest => digest.ToString(), text => Sha256Digest.Parse(text));
}
