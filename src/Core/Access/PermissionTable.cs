using System.Collections.Immutable;
using System.Diagnostics;
using static Coppice.Access.Permission;
using static Coppice.Access.Reach;

namespace Coppice.Access;

/// <summary>What each role may: a row per permission, a column per role, no cell left out.</summary>
/// <remarks>An endpoint names its row, and a test walks over all endpoints; one that names none is the admins'.</remarks>
public static class PermissionTable
{
    const bool Yes = true;
    const bool No = false;

    /// <summary>A row.</summary>
    /// <param name="Permission">The kind of act.</param>
    /// <param name="Reach">What it is about.</param>
    /// <param name="Viewer">Whether a viewer may.</param>
    /// <param name="Publisher">Whether a publisher may.</param>
    /// <param name="Operator">Whether an operator may.</param>
    /// <param name="Admin">Whether an admin may.</param>
    public sealed record Row(Permission Permission, Reach Reach, bool Viewer, bool Publisher, bool Operator, bool Admin)
    {
        /// <summary>The cell in a role's column.</summary>
        public bool Allows(Role role) => role switch
        {
            Role.Viewer => Viewer,
            Role.Publisher => Publisher,
            Role.Operator => Operator,
            Role.Admin => Admin,
            _ => throw new UnreachableException($"Role {role} has no column."),
        };
    }

    /// <summary>All rows, in the order of <see cref="Permission"/>.</summary>
    public static ImmutableArray<Row> Rows { get; } =
    [
        //  permission       reach           viewer publisher operator admin
        new(SelfRead,        Self,           Yes,   Yes,      Yes,     Yes),
        new(ModelRead,       Model,          Yes,   Yes,      Yes,     Yes),
        new(BlobWrite,       Model,          No,    Yes,      No,      Yes),
        new(ReleasePublish,  Model,          No,    Yes,      No,      Yes),
        new(ReleaseRevoke,   WholeModel,     No,    No,       Yes,     Yes),
        new(RolloutRead,     Model,          Yes,   Yes,      Yes,     Yes),
        new(RolloutStart,    ModelOnDevices, No,    No,       Yes,     Yes),
        new(RolloutHold,     ModelOnDevices, No,    No,       Yes,     Yes),
        new(RolloutResume,   ModelOnDevices, No,    No,       Yes,     Yes),
        new(RolloutRevert,   ModelOnDevices, No,    No,       Yes,     Yes),
        new(RolloutAdvance,  ModelOnDevices, No,    No,       Yes,     Yes),
        new(RolloutRetry,    ModelOnDevices, No,    No,       Yes,     Yes),
        new(RolloutApprove,  ModelOnDevices, No,    No,       Yes,     Yes),
        new(DeviceRead,      Device,         Yes,   No,       Yes,     Yes),
        new(DeviceLabel,     WholeDevice,    No,    No,       Yes,     Yes),
        new(DeviceRetire,    WholeDevice,    No,    No,       Yes,     Yes),
        new(DeviceAdmit,     WholeDevice,    No,    No,       Yes,     Yes),
        new(GroupManage,     Server,         No,    No,       Yes,     Yes),
        new(EventRead,       Model,          Yes,   Yes,      Yes,     Yes),
        new(EventSend,       Model,          No,    No,       Yes,     Yes),
        new(AuditRead,       Server,         No,    No,       Yes,     Yes),
        new(PolicyRead,      Model,          Yes,   Yes,      Yes,     Yes),
        new(PolicyWrite,     WholeModel,     No,    No,       No,      Yes),
        new(TokenOwn,        Self,           Yes,   Yes,      Yes,     Yes),
        new(OperatorManage,  Server,         No,    No,       No,      Yes),
        new(ServerManage,    Server,         No,    No,       No,      Yes),
    ];

    /// <summary>The row of a permission.</summary>
    public static Row Of(Permission permission) => Rows[(int)permission] is var row && row.Permission == permission
        ? row
        : throw new UnreachableException($"Row {(int)permission} is not that of {permission}.");

    /// <summary>As the API names it: <c>rollout.start</c>.</summary>
    public static string Name(Permission permission)
    {
        var text = permission.ToString();
        var second = 1 + text.AsSpan(1).IndexOfAnyInRange('A', 'Z');
        return $"{text[..second].ToLowerInvariant()}.{text[second..].ToLowerInvariant()}";
    }
}
