using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Coppice.Agent.Storage;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>What the data folder says of the device, beside its keys.</summary>
/// <param name="Device">Its id: 1 to 64 of a-z, 0-9, '-', '_', '.'.</param>
public sealed record IdentityFile(string Device)
{
    /// <summary>The server that knows it; null when none does.</summary>
    public string? Server { get; init; }
}

/// <summary>Who this device is: an id, a key to sign with and a key to be sealed to, made by itself at its first start. The private keys never leave it.</summary>
/// <remarks>Each file is replaced whole, and <c>device.json</c> is written last: a first start that was cut short begins anew.</remarks>
public sealed class DeviceIdentity : IDisposable
{
    const int MaxPem = 64 << 10;

    readonly IDisk disk;
    readonly SealingKey sealing;
    IdentityFile file;
    volatile X509Certificate2Collection? certificate;

    DeviceIdentity(IDisk disk, IdentityFile file, DeviceKey key, SealingKey sealing)
    {
        (this.disk, this.file, Key, this.sealing) = (disk, file, key, sealing);
        (certificate, Roots) = (Read(DataFolder.Certificate), Read(DataFolder.Roots));
    }

    /// <summary>The id.</summary>
    public string Device => file.Device;

    /// <summary>The server that knows it; null when none does.</summary>
    public string? Server => file.Server;

    /// <summary>What it proves itself by.</summary>
    public DeviceKey Key { get; }

    /// <summary>What content keys are sealed to. One thread at a time.</summary>
    public SealingKey Sealing => sealing;

    /// <summary>The certificate of <see cref="Key"/>, and those above it but for the root; null while there is none.</summary>
    public X509Certificate2Collection? Certificate => certificate;

    /// <summary>The roots by which the device knows its server; null where public ones do.</summary>
    public X509Certificate2Collection? Roots { get; private set; }

    /// <summary>The identity in the data folder, made when there is none.</summary>
    /// <param name="disk">The data folder.</param>
    /// <param name="name">The id to take when one is made; null for a random one.</param>
    /// <exception cref="IOException">A file is missing or damaged, or the name is none.</exception>
    public static DeviceIdentity OpenOrMake(IDisk disk, string? name)
    {
        ArgumentNullException.ThrowIfNull(disk);
        if (disk.ReadSmall(DataFolder.Identity, StateJson.MaxBytes) is { } bytes)
        {
            return StateJson.TryRead(bytes, out IdentityFile? known)
                ? new(disk, known, ReadKey(disk, DataFolder.SigningKey, pem => DeviceKey.Import(pem)), ReadKey(disk, DataFolder.SealingKey, pem => SealingKey.Import(pem)))
                : throw new IOException($"{DataFolder.Identity} cannot be read; restore it, or delete it to join as a new device.");
        }

        var made = new IdentityFile(name ?? $"d-{RandomNumberGenerator.GetHexString(16, lowercase: true)}");
        if (!DeviceRequest.IsDevice(made.Device))
            throw new IOException($"'{made.Device}' is not a device id; write 1 to {DeviceRequest.MaxDevice} of a-z, 0-9, '-', '_', '.'.");
        var (key, sealing) = (DeviceKey.Create(), SealingKey.Create());
        disk.Delete(DataFolder.Certificate); // of keys that are gone
        disk.Delete(DataFolder.Roots);
        disk.Delete(DataFolder.Sendings);
        disk.Replace(DataFolder.SigningKey, key.Export());
        disk.Replace(DataFolder.SealingKey, sealing.Export());
        disk.Replace(DataFolder.Identity, StateJson.Write(made));
        return new(disk, made, key, sealing);
    }

    /// <summary>A server knows the device from now on. Safe from a power cut on return.</summary>
    /// <param name="server">Its address.</param>
    /// <param name="pem">The certificate; null when none was issued.</param>
    /// <param name="roots">The roots by which the server is known; null to keep those that are there.</param>
    /// <exception cref="InvalidDataException">The certificate is of another key, or cannot be read.</exception>
    public void Join(string server, string? pem, string? roots)
    {
        Keep(pem, roots);
        var joined = file with { Server = server };
        disk.Replace(DataFolder.Identity, StateJson.Write(joined));
        file = joined;
    }

    /// <summary>Takes the next certificate. Safe from a power cut on return.</summary>
    /// <param name="pem">The certificate; null to keep the one that is there.</param>
    /// <param name="roots">The roots; null to keep those that are there.</param>
    /// <exception cref="InvalidDataException">The certificate is of another key, or cannot be read.</exception>
    public void Keep(string? pem, string? roots)
    {
        if (roots is not null)
        {
            Roots = Parse(roots, "The roots");
            disk.Replace(DataFolder.Roots, Encoding.ASCII.GetBytes(roots));
        }

        if (pem is null)
            return;
        var next = Parse(pem, "The certificate");
        if (!DevicePublicKey.TryRead(next[0].PublicKey.ExportSubjectPublicKeyInfo(), out var of) || !of.Equals(Key.Public))
            throw new InvalidDataException("The certificate that came is of another key than this device's.");
        disk.Replace(DataFolder.Certificate, Encoding.ASCII.GetBytes(pem));
        certificate = next;
    }

    /// <summary>Until the next <see cref="Join"/> no server is taken to know the device.</summary>
    public void Forget() => file = file with { Server = null };

    /// <summary>When the certificate is to be renewed: after two thirds of its life, and up to a twelfth of it later, so that devices of one day do not all come at once.</summary>
    /// <returns>Null when there is none.</returns>
    public DateTimeOffset? RenewAt => certificate is [var own, ..] ? RenewalOf(new(own.NotBefore), new(own.NotAfter), own.GetCertHash(HashAlgorithmName.SHA256)[0] / 256.0) : null;

    /// <summary>When a certificate is to be renewed.</summary>
    /// <param name="from">From when it is good.</param>
    /// <param name="to">Until when.</param>
    /// <param name="spread">0 to 1.</param>
    public static DateTimeOffset RenewalOf(DateTimeOffset from, DateTimeOffset to, double spread) => from + ((to - from) * ((2 / 3.0) + (spread / 12)));

    /// <inheritdoc/>
    public void Dispose()
    {
        Key.Dispose();
        sealing.Dispose();
    }

    static T ReadKey<T>(IDisk disk, string path, Func<byte[], T> import)
    {
        var pem = disk.ReadSmall(path, MaxPem)
            ?? throw new IOException($"{path} is not there, but {DataFolder.Identity} is; restore it, or delete {DataFolder.Identity} to join as a new device.");
        try
        {
            return import(pem);
        }
        catch (CryptographicException e)
        {
            throw new IOException($"{path} cannot be read ({e.Message}); restore it, or delete {DataFolder.Identity} to join as a new device.", e);
        }
    }

    /// <summary>Certificates in the data folder; what cannot be read is as if it were not there, for the server gives it again.</summary>
    X509Certificate2Collection? Read(string path)
    {
        try
        {
            return disk.ReadSmall(path, MaxPem) is { } pem ? Parse(Encoding.ASCII.GetString(pem), path) : null;
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            return null;
        }
    }

    static X509Certificate2Collection Parse(string pem, string what)
    {
        var read = new X509Certificate2Collection();
        try
        {
            if (pem.Length <= MaxPem)
                read.ImportFromPem(pem);
        }
        catch (CryptographicException e)
        {
            throw new InvalidDataException($"{what} cannot be read: {e.Message}", e);
        }

        return read.Count > 0 ? read : throw new InvalidDataException($"{what} cannot be read: there is no certificate in it.");
    }
}
