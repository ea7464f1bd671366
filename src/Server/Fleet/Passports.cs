using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Server.Registry;
using Coppice.Trust;

namespace Coppice.Server.Fleet;

/// <summary>Signs what the operator calls a device with the keys that sign plans, when the device goes by something else.</summary>
sealed class Passports(Repository repository)
{
    /// <summary>How long the keys are taken to be those that the targets name.</summary>
    static readonly TimeSpan Fresh = TimeSpan.FromSeconds(10);

    readonly Lock gate = new(); // a key signs for one at a time
    (DateTimeOffset At, SigningKey[] Keys)? known;

    /// <summary>The passport that answers a batch, in base64; null when the device goes by its labels, or does not ask.</summary>
    public string? For(string device, ReportBatch batch, ImmutableDictionary<string, string> labels, DateTimeOffset now)
    {
        if (batch.Sending is not { } sending || batch.Labels is not { } goesBy || goesBy == DevicePassport.DigestOf(labels))
            return null;
        lock (gate)
        {
            try
            {
                if (known is not var (at, keys) || now < at || now - at > Fresh)
                    known = (now, keys = repository.PlanKeys());
                return Convert.ToBase64String(new DevicePassport(device, sending.Nonce, labels).Sign(keys));
            }
            catch (UntrustedMetadataException) // the key is not in hand, so no plan is signed either, and health says so; reports are taken all the same
            {
                return null;
            }
        }
    }
}
