using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Coppice.Trust;

/// <summary>A number modulo p = 2^255 - 19 in five limbs of 51 bits, the least first.</summary>
/// <remarks>
/// Limbs may exceed 51 bits: a product has limbs below 2^51 + 2^15, one addition or subtraction of products stays
/// below 2^53, and a product takes limbs up to 2^53. Not constant in time: only public values go through it.
/// </remarks>
readonly struct Ed25519Field(ulong l0, ulong l1, ulong l2, ulong l3, ulong l4)
{
    const ulong Mask = (1UL << 51) - 1;

    readonly ulong _0 = l0, _1 = l1, _2 = l2, _3 = l3, _4 = l4;

    public static Ed25519Field Zero => default;

    public static Ed25519Field One => new(1, 0, 0, 0, 0);

    /// <param name="bytes">32 bytes, little-endian; the highest bit is left out, and the number need not be below p.</param>
    public static Ed25519Field Read(ReadOnlySpan<byte> bytes)
    {
        var w0 = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        var w1 = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        var w2 = BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]);
        var w3 = BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]);
        return new(
            w0 & Mask,
            (w0 >> 51 | w1 << 13) & Mask,
            (w1 >> 38 | w2 << 26) & Mask,
            (w2 >> 25 | w3 << 39) & Mask,
            (w3 >> 12) & Mask);
    }

    /// <summary>Writes the number below p as 32 little-endian bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        // Twice, because the first round of carries can leave a limb of 2^51.
        var n = Carried().Carried();

        // 1 when the number is p or more: adding 19 then carries out of bit 255.
        var above = (n._0 + 19) >> 51;
        above = (n._1 + above) >> 51;
        above = (n._2 + above) >> 51;
        above = (n._3 + above) >> 51;
        above = (n._4 + above) >> 51;

        var l0 = n._0 + 19 * above;
        var l1 = n._1 + (l0 >> 51);
        var l2 = n._2 + (l1 >> 51);
        var l3 = n._3 + (l2 >> 51);
        var l4 = (n._4 + (l3 >> 51)) & Mask;
        (l0, l1, l2, l3) = (l0 & Mask, l1 & Mask, l2 & Mask, l3 & Mask);

        BinaryPrimitives.WriteUInt64LittleEndian(bytes, l0 | l1 << 51);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], l1 >> 13 | l2 << 38);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], l2 >> 26 | l3 << 25);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], l3 >> 39 | l4 << 12);
    }

    /// <summary>Whether the number below p is odd: the "sign" of an encoded point.</summary>
    public bool IsOdd
    {
        get
        {
            Span<byte> bytes = stackalloc byte[32];
            Write(bytes);
            return (bytes[0] & 1) != 0;
        }
    }

    public bool IsZero
    {
        get
        {
            Span<byte> bytes = stackalloc byte[32];
            Write(bytes);
            return !bytes.ContainsAnyExcept((byte)0);
        }
    }

    public static Ed25519Field operator +(in Ed25519Field a, in Ed25519Field b) =>
        new(a._0 + b._0, a._1 + b._1, a._2 + b._2, a._3 + b._3, a._4 + b._4);

    // 2p is added first, so that no limb goes below zero; b is a product.
    public static Ed25519Field operator -(in Ed25519Field a, in Ed25519Field b) => new(
        a._0 + 0xFFFFFFFFFFFDA - b._0,
        a._1 + 0xFFFFFFFFFFFFE - b._1,
        a._2 + 0xFFFFFFFFFFFFE - b._2,
        a._3 + 0xFFFFFFFFFFFFE - b._3,
        a._4 + 0xFFFFFFFFFFFFE - b._4);

    public static Ed25519Field operator *(in Ed25519Field a, in Ed25519Field b)
    {
        // 2^255 = 19 modulo p, so what passes the top limb comes back 19-fold.
        var (b1, b2, b3, b4) = (19 * b._1, 19 * b._2, 19 * b._3, 19 * b._4);
        ulong h0 = 0, h1 = 0, h2 = 0, h3 = 0, h4 = 0;
        ulong r0 = 0, r1 = 0, r2 = 0, r3 = 0, r4 = 0;

        Add(ref h0, ref r0, a._0, b._0);
        Add(ref h0, ref r0, a._1, b4);
        Add(ref h0, ref r0, a._2, b3);
        Add(ref h0, ref r0, a._3, b2);
        Add(ref h0, ref r0, a._4, b1);

        Add(ref h1, ref r1, a._0, b._1);
        Add(ref h1, ref r1, a._1, b._0);
        Add(ref h1, ref r1, a._2, b4);
        Add(ref h1, ref r1, a._3, b3);
        Add(ref h1, ref r1, a._4, b2);

        Add(ref h2, ref r2, a._0, b._2);
        Add(ref h2, ref r2, a._1, b._1);
        Add(ref h2, ref r2, a._2, b._0);
        Add(ref h2, ref r2, a._3, b4);
        Add(ref h2, ref r2, a._4, b3);

        Add(ref h3, ref r3, a._0, b._3);
        Add(ref h3, ref r3, a._1, b._2);
        Add(ref h3, ref r3, a._2, b._1);
        Add(ref h3, ref r3, a._3, b._0);
        Add(ref h3, ref r3, a._4, b4);

        Add(ref h4, ref r4, a._0, b._4);
        Add(ref h4, ref r4, a._1, b._3);
        Add(ref h4, ref r4, a._2, b._2);
        Add(ref h4, ref r4, a._3, b._1);
        Add(ref h4, ref r4, a._4, b._0);

        return Reduce(h0, r0, h1, r1, h2, r2, h3, r3, h4, r4);
    }

    public Ed25519Field Squared()
    {
        var (d0, d1) = (2 * _0, 2 * _1);
        var (s3, s4) = (19 * _3, 19 * _4);
        ulong h0 = 0, h1 = 0, h2 = 0, h3 = 0, h4 = 0;
        ulong r0 = 0, r1 = 0, r2 = 0, r3 = 0, r4 = 0;

        Add(ref h0, ref r0, _0, _0);
        Add(ref h0, ref r0, d1, s4);
        Add(ref h0, ref r0, 2 * _2, s3);

        Add(ref h1, ref r1, d0, _1);
        Add(ref h1, ref r1, 2 * _2, s4);
        Add(ref h1, ref r1, _3, s3);

        Add(ref h2, ref r2, d0, _2);
        Add(ref h2, ref r2, _1, _1);
        Add(ref h2, ref r2, 2 * _3, s4);

        Add(ref h3, ref r3, d0, _3);
        Add(ref h3, ref r3, d1, _2);
        Add(ref h3, ref r3, _4, s4);

        Add(ref h4, ref r4, d0, _4);
        Add(ref h4, ref r4, d1, _3);
        Add(ref h4, ref r4, _2, _2);

        return Reduce(h0, r0, h1, r1, h2, r2, h3, r3, h4, r4);
    }

    /// <summary>The inverse, or zero of zero: the power p - 2.</summary>
    public Ed25519Field Inverted()
    {
        var (eleven, ones) = PowerOfOnes();
        return ones.Squared(5) * eleven; // 2^255 - 21 = (2^250 - 1) · 2^5 + 11
    }

    /// <summary>The power (p - 5) / 8 = 2^252 - 3, from which square roots are made.</summary>
    public Ed25519Field RootPower() => PowerOfOnes().Ones.Squared(2) * this;

    // The powers 11 and 2^250 - 1.
    (Ed25519Field Eleven, Ed25519Field Ones) PowerOfOnes()
    {
        var two = Squared();
        var nine = two.Squared(2) * this;
        var eleven = nine * two;
        var p5 = eleven.Squared() * nine; // 2^5 - 1
        var p10 = p5.Squared(5) * p5;
        var p20 = p10.Squared(10) * p10;
        var p40 = p20.Squared(20) * p20;
        var p50 = p40.Squared(10) * p10;
        var p100 = p50.Squared(50) * p50;
        var p200 = p100.Squared(100) * p100;
        return (eleven, p200.Squared(50) * p50);
    }

    Ed25519Field Squared(int times)
    {
        var result = this;
        for (; times > 0; times--)
            result = result.Squared();
        return result;
    }

    Ed25519Field Carried()
    {
        var l1 = _1 + (_0 >> 51);
        var l2 = _2 + (l1 >> 51);
        var l3 = _3 + (l2 >> 51);
        var l4 = _4 + (l3 >> 51);
        return new((_0 & Mask) + 19 * (l4 >> 51), l1 & Mask, l2 & Mask, l3 & Mask, l4 & Mask);
    }

    // Five sums of products, each below 2^113, to limbs of a product.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Ed25519Field Reduce(
        ulong h0, ulong r0, ulong h1, ulong r1, ulong h2, ulong r2, ulong h3, ulong r3, ulong h4, ulong r4)
    {
        Carry(h0, r0, ref h1, ref r1);
        Carry(h1, r1, ref h2, ref r2);
        Carry(h2, r2, ref h3, ref r3);
        Carry(h3, r3, ref h4, ref r4);
        var top = h4 << 13 | r4 >> 51; // below 2^59
        var l0 = (r0 & Mask) + 19 * top;
        return new(l0 & Mask, (r1 & Mask) + (l0 >> 51), r2 & Mask, r3 & Mask, r4 & Mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Carry(ulong high, ulong low, ref ulong nextHigh, ref ulong nextLow)
    {
        var carry = high << 13 | low >> 51;
        nextLow += carry;
        nextHigh += nextLow < carry ? 1UL : 0UL;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Add(ref ulong high, ref ulong low, ulong a, ulong b)
    {
        var productHigh = Math.BigMul(a, b, out var productLow);
        low += productLow;
        high += productHigh + (low < productLow ? 1UL : 0UL);
    }
}
