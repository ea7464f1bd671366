using System.Collections.Concurrent;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Access;

/// <summary>What known operators were refused, as events. A stolen token must not fill the disk with them: past a number in a minute, one more line says that there were more.</summary>
sealed class RefusedActs(Database database, TimeProvider time)
{
    /// <summary>Refusals of one operator that are kept in a minute.</summary>
    public const int NotedPerMinute = 30;

    const int MaxWhy = 1000;

    readonly ConcurrentDictionary<string, (long Minute, int Count)> counts = new(StringComparer.Ordinal);

    /// <summary>The refusal of a caller who lacks a permission, noted.</summary>
    public async Task<ProblemHttpResult> ForbidAsync(HttpContext context, Caller caller, Permission permission, string where)
    {
        var name = PermissionTable.Name(permission);
        var roles = string.Join(" or ", Enum.GetValues<Role>().Where(PermissionTable.Of(permission).Allows).Select(role => role.ToString().ToLowerInvariant()));
        await NoteAsync(context, caller, $"lacks {name} {where}");
        return Problems.Of(StatusCodes.Status403Forbidden, "forbidden", "The caller may not do that.",
            $"{caller.Name} lacks the permission {name} {where}; the role {roles} has it. What {caller.Name} has with this {caller.Credential.Split(' ')[0]}: {caller.Rights}. An admin can change that with 'coppice operator set'.", ("permission", name));
    }

    /// <summary>Notes a refusal.</summary>
    public async Task NoteAsync(HttpContext context, Caller caller, string why)
    {
        if (!context.Items.TryAdd(typeof(RefusedActs), true))
            return; // one request is refused once
        var now = time.GetUtcNow();
        var minute = now.ToUnixTimeSeconds() / 60;
        var count = counts.AddOrUpdate(caller.Subject, (minute, 1), (_, before) => before.Minute == minute ? (minute, before.Count + 1) : (minute, 1)).Count;
        if (count > NotedPerMinute + 1)
            return;
        var text = count > NotedPerMinute ? $"more than {NotedPerMinute} refusals within a minute; the rest of this minute's are not kept" : $"{context.Request.Method} {context.Request.Path}: {why}";
        await database.WriteAsync(db =>
        {
            db.Events.Add(new() { At = now, Kind = EventKind.ActRefused, By = caller.Name, Why = text.Length <= MaxWhy ? text : text[..(MaxWhy - 1)] + "…" });
            return Task.FromResult(true);
        }, CancellationToken.None); // also when the caller has gone
    }
}
