using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Events;
using Coppice.Server.Identity;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

/// <summary>What came of an enrolment.</summary>
enum Enrolment
{
    Joined,
    Waits,
    Rejected,
    TooManyWait,
    NeedsToken,
    UnknownToken,
    ExpiredToken,
    UsedUpToken,
    TokenOfAnother,
    OtherKey,
    OtherId,
    Retired,
    Revoked,
}

/// <summary>Lets devices in: by a join token, by the list of those that may join, or after an operator's word.</summary>
sealed class EnrolmentStore(Database database, CertificateStore certificates, ServerCertificate tls, ControlPlaneOptions options)
{
    /// <summary>How often a device that waits is written down anew.</summary>
    static readonly TimeSpan Written = TimeSpan.FromMinutes(1);

    /// <summary>How long a device that does not ask any more is shown.</summary>
    static readonly TimeSpan Forgotten = TimeSpan.FromDays(7);

    /// <summary>Most devices that wait, and most of one address: anybody can ask.</summary>
    const int MaxWaiting = 1000;
    const int MaxOfAddress = 200;

    /// <summary>Makes the device known, or finds it known already by the same key.</summary>
    /// <param name="request">As it was sent; its form was checked, and it was signed by <paramref name="key"/>.</param>
    /// <param name="key">The signing key.</param>
    /// <param name="address">From where.</param>
    /// <param name="now">The clock.</param>
    /// <param name="cancel">Ends the call.</param>
    public async Task<(Enrolment Outcome, EnrolAnswer? Answer)> EnrolAsync(EnrolRequest request, DevicePublicKey key, string address, DateTimeOffset now, CancellationToken cancel)
    {
        // Who waits asks again and again, and anybody may: that costs a look, not a write.
        if (request.Token is null && await database.ReadAsync(db => WaitsAsync(db, request.Device, key, now, cancel), cancel) is { } waits)
            return (waits, null);
        return await database.WriteAsync<(Enrolment, EnrolAnswer?)>(async db =>
        {
            var text = key.ToString();
            var known = await db.Devices.FindAsync([request.Device], cancel);
            if (known?.SigningKey == text) // the first answer may have been lost, and the token used up by it: the key is proof enough
            {
                if (known.RetiredAt is not null || known.RevokedAt is not null)
                    return (known.RetiredAt is null ? Enrolment.Revoked : Enrolment.Retired, null);
                known.SealingKey = request.SealingKey;
                return (Enrolment.Joined, await AnswerAsync(db, known, now, cancel));
            }

            if (await db.Devices.AnyAsync(row => row.SigningKey == text, cancel))
                return (Enrolment.OtherId, null);
            var (outcome, labels, how) = request.Token is { } secret
                ? await ByTokenAsync(db, secret, request.Device, known, now, cancel)
                : await ByListAsync(db, request.Device, key, known, cancel);
            if (outcome == Enrolment.Waits)
                outcome = await WaitAsync(db, request, key, address, now, cancel);
            if (outcome != Enrolment.Joined)
                return (outcome, null);
            if (known is null)
                db.Devices.Add(known = Join(db, request.Device, text, request.SealingKey, StoredText.Of(request.Facts), labels, how, now));
            else
                await ReplaceAsync(db, known, request, text, how, now, cancel);
            await db.WaitingDevices.Where(row => row.Device == request.Device && row.SigningKey == text).ExecuteDeleteAsync(cancel);
            return (Enrolment.Joined, await AnswerAsync(db, known, now, cancel));
        }, cancel);
    }

    /// <summary>The next certificate of a device.</summary>
    public Task<RenewAnswer> RenewAsync(string device, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
        new RenewAnswer(await certificates.IssueAsync(db, await db.Devices.SingleAsync(row => row.Id == device, cancel), now, cancel)) { Authorities = tls.Roots }, cancel);

    /// <summary>Devices that wait for an operator, those that asked last first.</summary>
    public Task<WaitingPage> WaitingAsync(CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.WaitingDevices.Where(row => row.RejectedAt == null).OrderByDescending(row => row.LastAsked).Take(MaxWaiting).ToListAsync(cancel);
        return new WaitingPage([.. rows.Select(row => row.View())]);
    }, cancel);

    /// <summary>Lets a device in that asks, or turns it away.</summary>
    /// <returns>What is wrong; null when it is done.</returns>
    public Task<Microsoft.AspNetCore.Http.HttpResults.ProblemHttpResult?> AnswerAsync(string device, WaitingAnswer answer, bool accept, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var asking = await db.WaitingDevices.Where(row => row.Device == device && (row.RejectedAt == null || accept)).ToListAsync(cancel);
        if (answer.Key is { } key)
            asking.RemoveAll(row => row.Digest != key);
        if (asking.Count == 0)
            return Problems.NotFound($"No device asks for the id '{device}'{(answer.Key is null ? "" : " with that key")}; 'coppice device pending' shows those that ask.");
        if (asking.Count > 1)
            return Problems.Of(409, "two-ask", "Two ask for one id.", $"'{device}' is asked for with the keys {string.Join(" and ", asking.Select(row => row.Digest))}; compare them with the device's own, and say which with --key.");
        var chosen = asking[0];
        if (!accept)
        {
            chosen.RejectedAt = now;
            db.Events.Add(new() { At = now, Kind = EventKind.DeviceRejected, By = by, Device = device, Why = $"key {chosen.Digest}, from {chosen.Address}" });
            return null;
        }

        if (await db.Devices.AnyAsync(row => row.Id == device, cancel))
            return Problems.Of(409, "device-known", "The id is taken.", $"'{device}' has enrolled with another key; 'coppice device replace {device}' lets a device with new keys take its place.");
        if (await db.Devices.AnyAsync(row => row.SigningKey == chosen.SigningKey, cancel))
            return Problems.Of(409, "device-known", "The key is taken.", $"The key of '{device}' has enrolled under another id.");
        var row = Join(db, device, chosen.SigningKey, chosen.SealingKey, chosen.Facts, StoredText.Of(answer.Labels), null, now);
        db.Devices.Add(row);
        db.WaitingDevices.Remove(chosen);
        db.Events.Add(new() { At = now, Kind = EventKind.DeviceAccepted, By = by, Device = device, Why = $"key {chosen.Digest}, from {chosen.Address}" });
        return null;
    }, cancel);

    static async Task<(Enrolment Outcome, string Labels, string How)> ByTokenAsync(CoppiceDb db, string secret, string device, DeviceRow? known, DateTimeOffset now, CancellationToken cancel)
    {
        var hash = Secret.Hash(secret);
        var token = await db.JoinTokens.FirstOrDefaultAsync(row => row.Hash == hash, cancel);
        if (token is null || !Secret.Matches(secret, token.Hash))
            return (Enrolment.UnknownToken, "", "");
        if (token.ExpiresAt <= now)
            return (Enrolment.ExpiredToken, "", "");
        if (token.Device is not null && token.Device != device)
            return (Enrolment.TokenOfAnother, "", "");
        if (known is not null && token.Device is null)
            return (Enrolment.OtherKey, "", "");
        if (known?.RetiredAt is not null)
            return (Enrolment.Retired, "", "");
        if (token.Uses >= token.MaxUses)
            return (Enrolment.UsedUpToken, "", "");
        token.Uses++;
        return (Enrolment.Joined, token.Labels, $"by a join token of {token.CreatedBy}");
    }

    static async Task<(Enrolment Outcome, string Labels, string How)> ByListAsync(CoppiceDb db, string device, DevicePublicKey key, DeviceRow? known, CancellationToken cancel)
    {
        var digest = key.Digest;
        var listed = await db.AuthorisedDevices.FirstOrDefaultAsync(row => row.Digest == digest, cancel)
            ?? await db.AuthorisedDevices.FirstOrDefaultAsync(row => row.Device == device && row.Digest == null, cancel);
        if (known is not null || listed is null || (listed.Device is not null && listed.Device != device))
            return (Enrolment.Waits, "", "");
        db.AuthorisedDevices.Remove(listed); // each entry lets one device in
        return (Enrolment.Joined, listed.Labels, $"by the list of {listed.AddedBy}");
    }

    async Task<Enrolment?> WaitsAsync(CoppiceDb db, string device, DevicePublicKey key, DateTimeOffset now, CancellationToken cancel)
    {
        var text = key.ToString();
        var row = await db.WaitingDevices.FirstOrDefaultAsync(row => row.Device == device && row.SigningKey == text, cancel);
        if (row is null || !options.AcceptRequests)
            return null;
        if (row.RejectedAt is not null)
            return Enrolment.Rejected;
        var digest = key.Digest;
        return now - row.LastAsked < Written && !await db.AuthorisedDevices.AnyAsync(listed => listed.Digest == digest || listed.Device == device, cancel) ? Enrolment.Waits : null;
    }

    async Task<Enrolment> WaitAsync(CoppiceDb db, EnrolRequest request, DevicePublicKey key, string address, DateTimeOffset now, CancellationToken cancel)
    {
        if (!options.AcceptRequests)
            return Enrolment.NeedsToken;
        await db.WaitingDevices.Where(row => row.LastAsked < now - Forgotten).ExecuteDeleteAsync(cancel);
        if (await db.WaitingDevices.FindAsync([request.Device, key.ToString()], cancel) is { } known)
        {
            (known.LastAsked, known.Facts, known.Address, known.SealingKey) = (now, StoredText.Of(request.Facts), address, request.SealingKey);
            return known.RejectedAt is null ? Enrolment.Waits : Enrolment.Rejected;
        }

        if (await db.WaitingDevices.CountAsync(cancel) >= MaxWaiting || await db.WaitingDevices.CountAsync(row => row.Address == address, cancel) >= MaxOfAddress)
            return Enrolment.TooManyWait;
        db.WaitingDevices.Add(new()
        {
            Device = request.Device,
            SigningKey = key.ToString(),
            SealingKey = request.SealingKey,
            Digest = key.Digest,
            Facts = StoredText.Of(request.Facts),
            Address = address,
            AskedAt = now,
            LastAsked = now,
        });
        return Enrolment.Waits;
    }

    static DeviceRow Join(CoppiceDb db, string device, string signingKey, string sealingKey, string facts, string labels, string? how, DateTimeOffset now)
    {
        if (how is not null)
            db.Events.Add(new() { At = now, Kind = EventKind.DeviceEnrolled, By = EventRow.Itself, Device = device, Why = how });
        return new() { Id = device, SigningKey = signingKey, SealingKey = sealingKey, EnrolledAt = now, LastSeen = now, Facts = facts, Labels = labels };
    }

    /// <summary>Puts new keys in place of old ones. Reports and labels stay; what served on the old device is not on the new one.</summary>
    static async Task ReplaceAsync(CoppiceDb db, DeviceRow known, EnrolRequest request, string signingKey, string how, DateTimeOffset now, CancellationToken cancel)
    {
        await CertificateStore.RevokeAllAsync(db, known.Id, now, cancel);
        await DeviceStore.ForgetStateAsync(db, known.Id, cancel);
        (known.SigningKey, known.SealingKey, known.Facts, known.Sendings) = (signingKey, request.SealingKey, StoredText.Of(request.Facts), "");
        (known.RevokedAt, known.RevokedWhy, known.Suspect, known.SuspectSince, known.CertificateExpires, known.LastSeen) = (null, null, null, null, null, now);
        db.Events.Add(new() { At = now, Kind = EventKind.DeviceReplaced, By = EventRow.Itself, Device = known.Id, Why = $"new keys, {how}; reports up to {known.Through} are of the device before" });
    }

    async Task<EnrolAnswer> AnswerAsync(CoppiceDb db, DeviceRow device, DateTimeOffset now, CancellationToken cancel) =>
        new(device.Id, device.AllLabels(await db.GroupsAsync(cancel))) { Certificate = await certificates.IssueAsync(db, device, now, cancel), Authorities = tls.Roots };
}
