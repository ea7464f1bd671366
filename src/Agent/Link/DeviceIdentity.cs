using System.Security.Cryptography;
using Coppice.Agent.Storage;

namespace Coppice.Agent.Link;

/// <summary>Who this device is, made by itself at its first start.</summary>
/// <param name="Device">Its id: 1 to 64 of a-z, 0-9, '-', '_', '.'.</param>
/// <param name="Key">The secret it proves itself with: 32 random bytes, base64url.</param>
public sealed record DeviceIdentity(string Device, string Key)
{
    /// <summary>The server that knows it; null when none does.</summary>
    public string? Server { get; init; }

    /// <summary>The identity in the data folder, made when there is none.</summary>
    /// <param name="disk">The data folder.</param>
    /// <param name="name">The id to take when one is made; null for a random one.</param>
    /// <exception cref="IOException">The file is damaged, or the name is none.</exception>
    public static DeviceIdentity OpenOrMake(IDisk disk, string? name)
    {
        if (disk.ReadSmall(DataFolder.Identity, StateJson.MaxBytes) is { } bytes)
        {
            return StateJson.TryRead(bytes, out DeviceIdentity? known)
                ? known
                : throw new IOException($"{DataFolder.Identity} cannot be read; restore it, or delete it to join as a new device.");
        }

        var made = new DeviceIdentity(name ?? $"d-{RandomNumberGenerator.GetHexString(16, lowercase: true)}", Base64Url(RandomNumberGenerator.GetBytes(32)));
        if (made.Device.Length is 0 or > 64 || !made.Device.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.'))
            throw new IOException($"'{made.Device}' is not a device id; write 1 to 64 of a-z, 0-9, '-', '_', '.'.");
        made.Save(disk);
        return made;
    }

    /// <summary>Keeps it. Safe from a power cut on return.</summary>
    public void Save(IDisk disk) => disk.Replace(DataFolder.Identity, StateJson.Write(this));

    static string Base64Url(byte[] bytes) => System.Buffers.Text.Base64Url.EncodeToString(bytes);
}
