using System.Collections.Immutable;
using Coppice.Access;
using Coppice.Fleet;
using Coppice.Registry;
using Coppice.Server.Fleet;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Access;

/// <summary>What an endpoint demands of an operator: a row of the permission table, and how to find the thing that the request is about.</summary>
sealed record Needs(Permission Permission, About About);

/// <summary>Finds the thing that a request is about, and judges whether the caller may do it to that.</summary>
/// <param name="call">The request with its arguments read.</param>
/// <param name="caller">Who asks.</param>
/// <param name="permission">What for.</param>
/// <returns>Null when they may; else what they may not do it to, in words: "on vision/camera". A thing that does not exist is left to the endpoint to say so.</returns>
delegate ValueTask<string?> About(EndpointFilterInvocationContext call, Caller caller, Permission permission);

static class Abouts
{
    /// <summary>Declares what an endpoint demands. One that declares nothing is the admins', and fails a test.</summary>
    public static TBuilder Needs<TBuilder>(this TBuilder endpoint, Permission permission, About? about = null) where TBuilder : IEndpointConventionBuilder =>
        endpoint.WithMetadata(new Needs(permission, about ?? Anything)).WithMetadata(new Microsoft.AspNetCore.Http.ProducesResponseTypeMetadata(403, typeof(Microsoft.AspNetCore.Mvc.ProblemDetails), ["application/problem+json"]));

    /// <summary>Nothing in particular: a list that is narrowed to what the caller may see, or the server.</summary>
    public static readonly About Anything = (_, caller, permission) => Answer(caller.Rights.MaySomewhere(permission), "here");

    /// <summary>The model in the route, <c>{owner}/{name}</c>.</summary>
    public static readonly About ModelInRoute = (call, caller, permission) =>
        Answer(!ModelName.TryParse($"{Route(call, "owner")}/{Route(call, "name")}", out var model) || MayOn(caller, permission, model), $"on {model}");

    /// <summary>The rollout in the route, <c>{id}</c>: its model, and the devices it is confined to.</summary>
    public static readonly About RolloutInRoute = async (call, caller, permission) =>
    {
        if (RolloutRow.TryNumber(Route(call, "id")) is not { } number || await Database(call).ReadAsync(
            db => db.Rollouts.Where(row => row.Number == number).Select(row => new { row.Model, row.Selector }).FirstOrDefaultAsync(), default) is not { } rollout)
            return null;
        // Who may not see the model is not told which one it is.
        if (!caller.Rights.Sees(rollout.Model))
            return $"on the model of r-{number}";
        var may = PermissionTable.Of(permission).Reach == Reach.ModelOnDevices
            ? caller.Rights.May(permission, rollout.Model, rollout.Selector)
            : caller.Rights.May(permission, rollout.Model);
        return may ? null : $"on {rollout.Model}{(rollout.Selector.Length == 0 ? " on all devices" : $" where {rollout.Selector}")}";
    };

    /// <summary>The device in the route, <c>{id}</c>, by its facts and labels.</summary>
    public static readonly About DeviceInRoute = async (call, caller, permission) =>
        await DeviceAsync(call) is not { } facts || caller.Rights.May(permission, facts) ? null : $"on the device {Route(call, "id")}";

    /// <summary>The device in the route as it is, and as the labels in the body would make it: nobody moves a device out of their reach or into it.</summary>
    public static About Relabelling<TBody>(Func<TBody, ImmutableDictionary<string, string>> labels) => async (call, caller, permission) =>
    {
        if (await FindDeviceAsync(call) is not var (device, groups))
            return null;
        var after = device.FactSet(groups, labels(Body<TBody>(call)));
        return !caller.Rights.May(permission, device.FactSet(groups)) ? $"on the device {Route(call, "id")}"
            : !caller.Rights.May(permission, after) ? $"on the device {Route(call, "id")} as these labels would make it"
            : null;
    };

    /// <summary>Devices that will have the labels in the body.</summary>
    public static About DevicesLabelled<TBody>(Func<TBody, ImmutableDictionary<string, string>> labels) => (call, caller, permission) =>
        Answer(caller.Rights.May(permission, new FactSet(FactSet.OfLabels(labels(Body<TBody>(call))))), "on devices with these labels");

    /// <summary>A rollout in the body, which is confined to the devices that the caller may roll all of its models out to.</summary>
    /// <param name="models">Every model that it brings a release of.</param>
    /// <param name="confine">The same with its selector confined.</param>
    public static About Rollout<TBody>(Func<TBody, IEnumerable<ModelName>> models, Func<TBody, Selector, TBody> confine) => (call, caller, permission) =>
    {
        var body = Body<TBody>(call);
        var (at, confined) = (call.Arguments.IndexOf(body), body);
        foreach (var model in models(body))
        {
            if (caller.Rights.Confinement(permission, model) is not { } devices)
                return Answer(false, $"on {model}");
            if (!devices.IsAll)
                confined = confine(confined, devices);
        }

        call.Arguments[at] = confined;
        return Answer(true, "");
    };

    static bool MayOn(Caller caller, Permission permission, ModelName model) => PermissionTable.Of(permission).Reach == Reach.ModelOnDevices
        ? caller.Rights.Confinement(permission, model) is not null
        : caller.Rights.May(permission, model);

    static ValueTask<string?> Answer(bool may, string where) => ValueTask.FromResult(may ? null : where);

    static TBody Body<TBody>(EndpointFilterInvocationContext call) => call.Arguments.OfType<TBody>().First();

    static string? Route(EndpointFilterInvocationContext call, string name) => call.HttpContext.GetRouteValue(name) as string;

    static Database Database(EndpointFilterInvocationContext call) => call.HttpContext.RequestServices.GetRequiredService<Database>();

    static async Task<FactSet?> DeviceAsync(EndpointFilterInvocationContext call) => await FindDeviceAsync(call) is var (device, groups) ? device.FactSet(groups) : null;

    static Task<(DeviceRow Device, GroupSet Groups)?> FindDeviceAsync(EndpointFilterInvocationContext call)
    {
        var id = Route(call, "id");
        return Database(call).ReadAsync<(DeviceRow, GroupSet)?>(async db =>
            await db.Devices.FirstOrDefaultAsync(row => row.Id == id) is { } device ? (device, await db.GroupsAsync(default)) : null, default);
    }
}
