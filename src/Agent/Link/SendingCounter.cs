using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Coppice.Agent.Storage;
using Coppice.Protocol;

namespace Coppice.Agent.Link;

/// <summary>Numbers the sendings of this data folder: upwards, no number twice, over restarts and power cuts.</summary>
/// <remarks>Numbers are set aside on disk some at a time, and what is left of them at a restart is passed over.</remarks>
/// <param name="disk">The data folder.</param>
/// <param name="time">The clock.</param>
public sealed class SendingCounter(IDisk disk, TimeProvider time)
{
    const int SetAside = 64;
    const int MaxBytes = 64;

    long last = -1;
    long until;

    /// <summary>The next sending. Safe from a power cut on return.</summary>
    public Sending Next()
    {
        if (last < 0)
        {
            last = until = disk.ReadSmall(DataFolder.Sendings, MaxBytes) is { } bytes
                && long.TryParse(Encoding.ASCII.GetString(bytes), NumberStyles.None, CultureInfo.InvariantCulture, out var kept) ? kept : 0;
        }

        if (last == until)
        {
            disk.Replace(DataFolder.Sendings, Encoding.ASCII.GetBytes((until + SetAside).ToString(CultureInfo.InvariantCulture)));
            until += SetAside;
        }

        return new(++last, Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(6)), time.GetUtcNow());
    }
}
