namespace Coppice.Trust;

/// <summary>The pre-order, depth-first search for the role that speaks of a target (5.6.7), as a list of roles to load next.</summary>
/// <remarks>
/// <code>
/// var search = new TargetSearch(path);
/// while (search.Next(out var role, out var delegator))
///     search.Visit(load(role, delegator));
/// return search.Found;
/// </code>
/// </remarks>
/// <param name="targetPath">The target.</param>
/// <param name="mostRoles">Roles to visit at most, so that a repository cannot keep a client busy for ever.</param>
public sealed class TargetSearch(string targetPath, int mostRoles = TargetSearch.DefaultMostRoles)
{
    /// <summary>Roles visited at most, when nothing else is said: the top-level one and 32 more, as python-tuf.</summary>
    public const int DefaultMostRoles = 33;

    readonly Stack<(string Role, string Delegator)> _ahead = new([(TopLevelRole.Targets, TopLevelRole.Root)]);
    readonly HashSet<string> _visited = new(StringComparer.Ordinal);
    string _current = "";

    /// <summary>The target, once a visited role has it.</summary>
    public TargetInfo? Found { get; private set; }

    /// <summary>The role that speaks of the target; null as long as none does.</summary>
    public string? FoundIn { get; private set; }

    /// <summary>The role to load next; false when the search is over.</summary>
    public bool Next(out string role, out string delegator)
    {
        while (Found is null && _visited.Count < mostRoles && _ahead.TryPop(out var next))
        {
            if (!_visited.Add(next.Role)) // 5.6.7.1: cycles
                continue;
            _current = next.Role;
            (role, delegator) = next;
            return true;
        }
        (role, delegator) = ("", "");
        return false;
    }

    /// <summary>Gives the metadata of the role that <see cref="Next"/> asked for.</summary>
    public void Visit(Targets targets)
    {
        if (targets.Files.TryGetValue(targetPath, out var found))
        {
            (Found, FoundIn) = (found, _current);
            return;
        }
        var below = new List<(string, string)>();
        foreach (var (role, terminating) in targets.Delegations?.For(targetPath) ?? [])
        {
            below.Add((role, _current));
            if (terminating) // 5.6.7.2.1: nothing but this role and those below it
            {
                _ahead.Clear();
                break;
            }
        }
        below.Reverse(); // the first in order of appearance is on top
        foreach (var next in below)
            _ahead.Push(next);
    }
}
