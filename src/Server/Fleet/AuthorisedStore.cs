using Coppice.Protocol;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

/// <summary>The list of devices that may join without a token.</summary>
sealed class AuthorisedStore(Database database)
{
    const int MaxProblems = 20;

    /// <summary>Everything that is wrong with a list, up to a number that a person reads.</summary>
    public static IEnumerable<Problem> Check(AuthoriseDevices request) => Problems(request).Take(MaxProblems);

    static IEnumerable<Problem> Problems(AuthoriseDevices request)
    {
        if (request.Devices.IsDefaultOrEmpty || request.Devices.Length > AuthoriseDevices.MaxDevices)
        {
            yield return new("devices", $"{(request.Devices.IsDefault ? 0 : request.Devices.Length)}; give 1 to {AuthoriseDevices.MaxDevices}.");
            yield break;
        }

        for (var i = 0; i < request.Devices.Length; i++)
        {
            var device = request.Devices[i];
            if (device is null || (device.Device is null && device.Key is null))
                yield return new($"devices[{i}]", "names neither an id nor the digest of a key; give one of them, or both.");
            else
            {
                if (device.Device is not null && !DeviceRequest.IsDevice(device.Device))
                    yield return new($"devices[{i}].device", $"'{DeviceRules.Shown(device.Device)}' is not a device id; give 1 to {DeviceRequest.MaxDevice} of a-z, 0-9, '-', '_', '.'.");
                foreach (var problem in DeviceRules.CheckLabels(device.Labels, $"devices[{i}].labels"))
                    yield return problem;
            }
        }
    }

    public Task<AuthoriseAnswer> AddAsync(AuthoriseDevices request, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var added = 0;
        var (ids, digests) = (new HashSet<string>(StringComparer.Ordinal), new HashSet<Sha256Digest>());
        foreach (var wanted in request.Devices)
        {
            var (id, digest) = (wanted.Device, wanted.Key);
            var repeated = (id is not null && !ids.Add(id)) | (digest is { } own && !digests.Add(own));
            if (repeated || await db.AuthorisedDevices.AnyAsync(row => (id != null && row.Device == id) || (digest != null && row.Digest == digest), cancel)
                || (id is not null && await db.Devices.AnyAsync(row => row.Id == id, cancel)))
                continue;
            db.AuthorisedDevices.Add(new() { Device = id, Digest = digest, Labels = StoredText.Of(wanted.Labels), AddedAt = now, AddedBy = by });
            added++;
        }

        if (added > 0)
            db.Events.Add(new() { At = now, Kind = EventKind.DevicesAuthorised, By = by, Why = $"{added} devices" });
        return new AuthoriseAnswer(added, request.Devices.Length - added);
    }, cancel);

    public Task<AuthorisedPage> ListAsync(long after, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.AuthorisedDevices.Where(row => row.Id > after).OrderBy(row => row.Id).Take(limit).ToListAsync(cancel);
        return new AuthorisedPage([.. rows.Select(row => row.View())], rows.Count == limit ? rows[^1].Id : null);
    }, cancel);
}
