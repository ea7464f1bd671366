namespace Coppice.Access;

/// <summary>One kind of act that is allowed or not; a row of <see cref="PermissionTable"/>.</summary>
public enum Permission
{
    /// <summary>See who one is oneself.</summary>
    SelfRead,

    /// <summary>See models and releases.</summary>
    ModelRead,

    /// <summary>Look for and send files of a release that is about to be published.</summary>
    BlobWrite,

    /// <summary>Publish a release.</summary>
    ReleasePublish,

    /// <summary>Bar a release from serving anywhere.</summary>
    ReleaseRevoke,

    /// <summary>See rollouts.</summary>
    RolloutRead,

    /// <summary>Start a rollout.</summary>
    RolloutStart,

    /// <summary>Stop further devices from taking a release.</summary>
    RolloutHold,

    /// <summary>Let a held rollout go on.</summary>
    RolloutResume,

    /// <summary>Take a release back everywhere.</summary>
    RolloutRevert,

    /// <summary>Raise a rollout's phase by hand.</summary>
    RolloutAdvance,

    /// <summary>Let devices that failed try again.</summary>
    RolloutRetry,

    /// <summary>Approve or reject what somebody else asked for.</summary>
    RolloutApprove,

    /// <summary>See devices and their reports.</summary>
    DeviceRead,

    /// <summary>Change what devices are called.</summary>
    DeviceLabel,

    /// <summary>Take a device out.</summary>
    DeviceRetire,

    /// <summary>Let devices join.</summary>
    DeviceAdmit,

    /// <summary>Make groups of devices, and say who is in them.</summary>
    GroupManage,

    /// <summary>See what happened.</summary>
    EventRead,

    /// <summary>Have events sent to a URL or an address.</summary>
    EventSend,

    /// <summary>Read the audit log, whole.</summary>
    AuditRead,

    /// <summary>See which acts on a model need approval.</summary>
    PolicyRead,

    /// <summary>Set which acts on a model need approval.</summary>
    PolicyWrite,

    /// <summary>List and revoke one's own API tokens; make them, when signed in as a person.</summary>
    TokenOwn,

    /// <summary>Make, list and revoke anybody's API tokens; make, change and remove operators.</summary>
    OperatorManage,

    /// <summary>Whatever has no row of its own.</summary>
    ServerManage,
}

/// <summary>What a permission is about, and so which part of a grant has to fit.</summary>
public enum Reach
{
    /// <summary>The caller alone: every grant fits.</summary>
    Self,

    /// <summary>A model: the grant's models must hold it; its devices do not matter.</summary>
    Model,

    /// <summary>A model on every device: the grant's models must hold it, and the grant must be for all devices.</summary>
    WholeModel,

    /// <summary>A model on devices: the grant's models must hold it, and the act is confined to the grant's devices.</summary>
    ModelOnDevices,

    /// <summary>A device, to look at: the grant's devices must hold it.</summary>
    Device,

    /// <summary>A device with all that it runs: the grant's devices must hold it, and the grant must be for all models.</summary>
    WholeDevice,

    /// <summary>The whole server: the grant must be for all models and all devices.</summary>
    Server,
}
