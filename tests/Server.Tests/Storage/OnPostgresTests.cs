using Coppice.Server.Tests.Events;
using Coppice.Server.Tests.Fleet;
using Coppice.Server.Tests.Idempotency;
using Coppice.Server.Tests.Registry;
using Coppice.Server.Tests.Rollouts;

namespace Coppice.Server.Tests.Storage;

// The same claims, on PostgreSQL.

public sealed class ReportOnPostgresTests : ReportTests
{
    public ReportOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class DevicesOnPostgresTests : DevicesTests
{
    public DevicesOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class GroupsOnPostgresTests : GroupsTests
{
    public GroupsOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class EnrolOnPostgresTests : EnrolTests
{
    public EnrolOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class RolloutsOnPostgresTests : RolloutsTests
{
    public RolloutsOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class RolloutWorkerOnPostgresTests : RolloutWorkerTests
{
    public RolloutWorkerOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class GateOnPostgresTests : GateTests
{
    public GateOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class ReleasesOnPostgresTests : ReleasesTests
{
    public ReleasesOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class IdempotencyOnPostgresTests : IdempotencyTests
{
    public IdempotencyOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class EventStreamOnPostgresTests : EventStreamTests
{
    public EventStreamOnPostgresTests() => RunningServer.UsePostgres();
}

public sealed class SetsOnPostgresTests : SetQueriesTests
{
    public SetsOnPostgresTests() => RunningServer.UsePostgres();
}
