using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Coppice.Trust.Sealing;

/// <summary>Seals and opens the segments of one file: AES-256-GCM, with the segment's number and whether it is the last in the nonce (the STREAM construction).</summary>
/// <remarks>A segment that was changed, stands elsewhere, is missing behind, or belongs to another file does not open. Not for several threads at once.</remarks>
public sealed class SegmentCipher : IDisposable
{
    const int NonceBytes = 12;

    readonly AesGcm _gcm;

    /// <param name="key">The file's key.</param>
    /// <param name="header">The file's header.</param>
    /// <exception cref="BrokenSealException">The header is of another key.</exception>
    public SegmentCipher(ContentKey key, SealHeader header)
    {
        if (key.Id != header.Key)
            throw new BrokenSealException($"The key is {key.Id.ToString()[..16]}…, but the file is sealed with {header.Key.ToString()[..16]}….");
        Header = header;
        Span<byte> bytes = stackalloc byte[SealHeader.ByteCount];
        header.Write(bytes);
        _gcm = key.Cipher(bytes);
    }

    /// <summary>The file's header.</summary>
    public SealHeader Header { get; }

    /// <summary>Seals a segment.</summary>
    /// <param name="index">Its number, from 0.</param>
    /// <param name="last">Whether no other follows.</param>
    /// <param name="plain">n bytes: <see cref="SealHeader.Segment"/>, or in the last segment at most that.</param>
    /// <param name="into">n + 16 bytes, overwritten.</param>
    public void Seal(long index, bool last, ReadOnlySpan<byte> plain, Span<byte> into)
    {
        Span<byte> nonce = stackalloc byte[NonceBytes];
        Nonce(index, last, nonce);
        _gcm.Encrypt(nonce, plain, into[..plain.Length], into.Slice(plain.Length, SealHeader.TagBytes));
    }

    /// <summary>Opens a segment.</summary>
    /// <param name="index">Its number, from 0.</param>
    /// <param name="last">Whether no other follows.</param>
    /// <param name="segment">n + 16 bytes.</param>
    /// <param name="plain">n bytes, overwritten.</param>
    /// <exception cref="BrokenSealException">It is not that segment of that file.</exception>
    public void Open(long index, bool last, ReadOnlySpan<byte> segment, Span<byte> plain)
    {
        Span<byte> nonce = stackalloc byte[NonceBytes];
        Nonce(index, last, nonce);
        try
        {
            _gcm.Decrypt(nonce, segment[..^SealHeader.TagBytes], segment[^SealHeader.TagBytes..], plain);
        }
        catch (AuthenticationTagMismatchException e)
        {
            throw new BrokenSealException($"Segment {index}{(last ? ", the last one," : "")} of the sealed file was changed, or stands where it does not belong.", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _gcm.Dispose();

    static void Nonce(long index, bool last, Span<byte> nonce)
    {
        nonce.Clear();
        BinaryPrimitives.WriteInt64LittleEndian(nonce, index);
        nonce[^1] = last ? (byte)1 : (byte)0;
    }
}
