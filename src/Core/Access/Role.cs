namespace Coppice.Access;

/// <summary>What somebody is to a set of models and devices. Roles are columns of <see cref="PermissionTable"/>, not steps of a ladder: a publisher is no operator, and the other way round.</summary>
public enum Role
{
    /// <summary>Looks, and changes nothing.</summary>
    Viewer,

    /// <summary>Publishes releases, and rolls nothing out.</summary>
    Publisher,

    /// <summary>Rolls out, holds, takes back, looks after devices; publishes nothing.</summary>
    Operator,

    /// <summary>Everything, also who else may do what.</summary>
    Admin,
}
