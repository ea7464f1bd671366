using System.Text;
using Coppice.Server.Storage;
using Coppice.Trust;

namespace Coppice.Server.Audit;

/// <summary>The key that signs the audit log's checkpoints: <c>keys/online/audit.pem</c>, made at the first start. It signs nothing that a device reads.</summary>
sealed class AuditKey : IDisposable
{
    AuditKey(SigningKey key) => Key = key;

    public SigningKey Key { get; }

    public PublicKey Public => Key.Public;

    public static AuditKey Open(DataFolder data)
    {
        var file = Path.Combine(data.OnlineKeys, "audit.pem");
        if (!File.Exists(file))
        {
            using var made = SigningKey.Create();
            DataFolder.WritePrivate(file, Encoding.ASCII.GetString(made.Export()));
        }

        return new(SigningKey.Import(File.ReadAllBytes(file)));
    }

    public void Dispose() => Key.Dispose();
}
