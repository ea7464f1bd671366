using System.Formats.Asn1;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Coppice.Trust;
using Net.Pkcs11Interop.Common;
using Net.Pkcs11Interop.HighLevelAPI;

namespace Coppice.Cli.Publishing;

/// <summary>A P-256 key that lies in a token, a smart card or an HSM, and signs there: its private part never comes out.</summary>
/// <remarks>See docs/decisions/0003-keys-in-tokens.md.</remarks>
sealed class TokenKey : ECDsa
{
    // The object identifier of P-256, 1.2.840.10045.3.1.7, in DER.
    static readonly byte[] P256 = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];

    // The package asks for "libdl", a name that only machines with a compiler have; the library itself is everywhere, or part of libc.
    static TokenKey() => NativeLibrary.SetDllImportResolver(typeof(Pkcs11InteropFactories).Assembly, (name, _, _) =>
        name == "libdl" && (NativeLibrary.TryLoad("libdl.so.2", out var library) || NativeLibrary.TryLoad("libc.so.6", out library)) ? library : IntPtr.Zero);

    readonly IPkcs11Library library;
    readonly ISession session;
    readonly IObjectHandle privateKey;
    readonly ECParameters publicKey;

    TokenKey(IPkcs11Library library, ISession session, IObjectHandle privateKey, ECParameters publicKey)
    {
        (this.library, this.session, this.privateKey, this.publicKey) = (library, session, privateKey, publicKey);
        KeySizeValue = 256;
    }

    /// <summary>Opens a key that is in the token.</summary>
    /// <exception cref="PublicationException">The token or the key is not there, or the PIN is wrong.</exception>
    public static SigningKey Open(TokenAddress address) => In(address, (library, session) =>
    {
        var (open, closed) = (Find(session, CKO.CKO_PUBLIC_KEY, address.Label), Find(session, CKO.CKO_PRIVATE_KEY, address.Label));
        if (open.Count != 1 || closed.Count != 1)
            throw new PublicationException($"The token {address.Token} has {closed.Count} private and {open.Count} public keys called '{address.Label}'; one of each is wanted. Make a key with: coppice key create '{address}'");
        return Of(library, session, closed[0], open[0], address);
    });

    /// <summary>Makes a key in the token. It cannot be taken out, so it cannot be copied either: have a second token with a key of its own.</summary>
    /// <exception cref="PublicationException">There is such a key already, or the token refuses.</exception>
    public static SigningKey Create(TokenAddress address) => In(address, (library, session) =>
    {
        if (Find(session, CKO.CKO_PRIVATE_KEY, address.Label).Count > 0)
            throw new PublicationException($"The token {address.Token} has a key called '{address.Label}' already; nothing was changed. Choose another label.");
        var make = session.Factories.ObjectAttributeFactory;
        var id = RandomNumberGenerator.GetBytes(16);
        using var mechanism = session.Factories.MechanismFactory.Create(CKM.CKM_EC_KEY_PAIR_GEN);
        session.GenerateKeyPair(
            mechanism,
            [make.Create(CKA.CKA_TOKEN, true), make.Create(CKA.CKA_VERIFY, true), make.Create(CKA.CKA_LABEL, address.Label), make.Create(CKA.CKA_ID, id), make.Create(CKA.CKA_EC_PARAMS, P256)],
            [
                make.Create(CKA.CKA_TOKEN, true), make.Create(CKA.CKA_PRIVATE, true), make.Create(CKA.CKA_SENSITIVE, true), make.Create(CKA.CKA_EXTRACTABLE, false),
                make.Create(CKA.CKA_SIGN, true), make.Create(CKA.CKA_LABEL, address.Label), make.Create(CKA.CKA_ID, id),
            ],
            out var open, out var closed);
        return Of(library, session, closed, open, address);
    });

    public override byte[] SignHash(byte[] hash)
    {
        using var mechanism = session.Factories.MechanismFactory.Create(CKM.CKM_ECDSA);
        return session.Sign(mechanism, privateKey, hash); // r, then s: the form that .NET asks of a key
    }

    public override bool VerifyHash(byte[] hash, byte[] signature)
    {
        using var key = Create(publicKey);
        return key.VerifyHash(hash, signature);
    }

    public override ECParameters ExportParameters(bool includePrivateParameters) => includePrivateParameters
        ? throw new CryptographicException("The private part of a key in a token stays there.")
        : publicKey;

    public override ECParameters ExportExplicitParameters(bool includePrivateParameters) => throw new NotSupportedException("The curve has a name.");

    public override void ImportParameters(ECParameters parameters) => throw new NotSupportedException("A key is made in the token, not brought there.");

    public override void GenerateKey(ECCurve curve) => throw new NotSupportedException("Use Create.");

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            session.Dispose();
            library.Dispose();
        }

        base.Dispose(disposing);
    }

    static SigningKey In(TokenAddress address, Func<IPkcs11Library, ISession, SigningKey> use)
    {
        IPkcs11Library? library = null;
        ISession? session = null;
        try
        {
            var factories = new Pkcs11InteropFactories();
            library = factories.Pkcs11LibraryFactory.LoadPkcs11Library(factories, address.Module, AppType.MultiThreaded);
            var slots = library.GetSlotList(SlotsType.WithTokenPresent);
            var slot = slots.Find(slot => slot.GetTokenInfo().Label.TrimEnd() == address.Token)
                ?? throw new PublicationException($"There is no token '{address.Token}'; {address.Module} sees {(slots.Count == 0 ? "none" : string.Join(", ", slots.Select(slot => slot.GetTokenInfo().Label.TrimEnd())))}.");
            session = slot.OpenSession(SessionType.ReadWrite);
            session.Login(CKU.CKU_USER, KeyPassword.Pin(address.PinSource, address.Token));
            return use(library, session);
        }
        catch (Exception e)
        {
            session?.Dispose();
            library?.Dispose();
            if (e is Pkcs11Exception or UnmanagedException or DllNotFoundException)
                throw new PublicationException(e is Pkcs11Exception { RV: CKR.CKR_PIN_INCORRECT }
                    ? $"The PIN of the token {address.Token} is wrong. Tokens lock themselves after a few tries."
                    : $"The token {address.Token} cannot be used through {address.Module}: {e.Message}", e);
            throw;
        }
    }

    static List<IObjectHandle> Find(ISession session, CKO kind, string label)
    {
        var make = session.Factories.ObjectAttributeFactory;
        return session.FindAllObjects([make.Create(CKA.CKA_CLASS, kind), make.Create(CKA.CKA_KEY_TYPE, CKK.CKK_EC), make.Create(CKA.CKA_LABEL, label)]);
    }

    static SigningKey Of(IPkcs11Library library, ISession session, IObjectHandle closed, IObjectHandle open, TokenAddress address)
    {
        var values = session.GetAttributeValue(open, [CKA.CKA_EC_PARAMS, CKA.CKA_EC_POINT]);
        if (!values[0].GetValueAsByteArray().AsSpan().SequenceEqual(P256))
            throw new PublicationException($"The key '{address.Label}' in the token {address.Token} is not on P-256; make one with 'coppice key create'.");
        var point = values[1].GetValueAsByteArray();
        if (point.Length == 67)
            point = AsnDecoder.ReadOctetString(point, AsnEncodingRules.DER, out _); // as the standard has it; some tokens leave the frame out
        if (point is not [0x04, ..] || point.Length != 65)
            throw new PublicationException($"The token {address.Token} gives a public key of {point.Length} bytes; 65 are wanted, an uncompressed point of P-256.");
        var parameters = new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new() { X = point[1..33], Y = point[33..] } };
        return SigningKey.Of(new TokenKey(library, session, closed, parameters), address.Label);
    }
}
