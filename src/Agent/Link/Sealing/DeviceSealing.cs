using System.Security.Cryptography;
using Coppice.Agent.Storage;
using Coppice.Trust;

namespace Coppice.Agent.Link.Sealing;

/// <summary>The key that content keys are sealed to for this device: made on it at the first need, and never leaving it.</summary>
public static class DeviceSealing
{
    const int MaxPem = 64 << 10;

    /// <summary>The key in the data folder, made when there is none.</summary>
    /// <exception cref="IOException">The file is damaged.</exception>
    public static SealingKey OpenOrMake(IDisk disk)
    {
        if (disk.ReadSmall(DataFolder.SealingKey, MaxPem) is { } pem)
        {
            try
            {
                return SealingKey.Import(pem);
            }
            catch (CryptographicException e)
            {
                throw new IOException($"{DataFolder.SealingKey} cannot be read ({e.Message}); restore it, or delete it, and what this device was granted is granted anew.", e);
            }
        }

        var made = SealingKey.Create();
        disk.Replace(DataFolder.SealingKey, made.Export());
        return made;
    }

    /// <summary>The public part of the key of a data folder, in PEM, for whoever grants this device something.</summary>
    /// <param name="data">The folder; made when it is not there, as before an agent's first start.</param>
    /// <exception cref="IOException">The folder or the file cannot be used.</exception>
    public static string PublicKeyOf(string data)
    {
        using var key = OpenOrMake(new FolderDisk(data));
        return key.Public.ToPem();
    }
}
