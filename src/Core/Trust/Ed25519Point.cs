namespace Coppice.Trust;

/// <summary>A point of edwards25519, -x² + y² = 1 + d x² y², in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.</summary>
/// <remarks>Formulas: Hisil, Wong, Carter, Dawson, "Twisted Edwards Curves Revisited" (2008), complete for this curve,
/// so that no case needs an exception. Not constant in time.</remarks>
readonly struct Ed25519Point(in Ed25519Field x, in Ed25519Field y, in Ed25519Field z, in Ed25519Field t)
{
    // d = -121665/121666, 2d and a square root of -1 (RFC 8032, section 5.1).
    static readonly Ed25519Field D = Constant("a3785913ca4deb75abd841414d0a700098e879777940c78c73fe6f2bee6c0352");
    static readonly Ed25519Field TwoD = D + D;
    static readonly Ed25519Field RootOfMinusOne = Constant("b0a00e4a271beec478e42fad0618432fa7d7fb3d99004d2b0bdfc14f8024832b");

    readonly Ed25519Field _x = x, _y = y, _z = z, _t = t;

    public static Ed25519Point Neutral => new(Ed25519Field.Zero, Ed25519Field.One, Ed25519Field.One, Ed25519Field.Zero);

    /// <summary>The generator B of the group of prime order L.</summary>
    public static Ed25519Point Generator { get; } = Decode("5866666666666666666666666666666666666666666666666666666666666666");

    /// <summary>Reads a point as RFC 8032, section 5.1.3 says: y below p, and no negative zero as x.</summary>
    /// <param name="bytes">32 bytes.</param>
    /// <param name="point">The point, unless the answer is false.</param>
    public static bool TryDecode(ReadOnlySpan<byte> bytes, out Ed25519Point point)
    {
        point = default;
        var odd = bytes[31] >> 7 != 0;
        var y = Ed25519Field.Read(bytes);

        Span<byte> canonical = stackalloc byte[32];
        y.Write(canonical);
        canonical[31] |= (byte)(bytes[31] & 0x80);
        if (!canonical.SequenceEqual(bytes))
            return false; // y is p or more

        // x² = u / v; the candidate root is u v³ (u v⁷)^((p-5)/8).
        var u = y.Squared() - Ed25519Field.One;
        var v = D * y.Squared() + Ed25519Field.One;
        var v3 = v.Squared() * v;
        var x = (v3.Squared() * v * u).RootPower() * v3 * u;
        var check = x.Squared() * v;
        if (!(check - (u * Ed25519Field.One)).IsZero)
        {
            if (!(check + u).IsZero)
                return false; // no square: not on the curve
            x *= RootOfMinusOne;
        }

        if (x.IsZero && odd)
            return false;
        if (x.IsOdd != odd)
            x = (Ed25519Field.Zero - x) * Ed25519Field.One;
        point = new(x, y, Ed25519Field.One, x * y);
        return true;
    }

    /// <summary>Writes the 32 bytes of RFC 8032, section 5.1.2.</summary>
    public void Encode(Span<byte> bytes)
    {
        var inverse = _z.Inverted();
        (_y * inverse).Write(bytes);
        if ((_x * inverse).IsOdd)
            bytes[31] |= 0x80;
    }

    /// <summary>Whether eight times the point is the neutral one: such a key verifies signatures that nobody made.</summary>
    public bool HasSmallOrder
    {
        get
        {
            var eightfold = Doubled().Doubled().Doubled();
            return eightfold._x.IsZero && (eightfold._y - eightfold._z).IsZero;
        }
    }

    public Ed25519Point Negated() =>
        new((Ed25519Field.Zero - _x) * Ed25519Field.One, _y, _z, (Ed25519Field.Zero - _t) * Ed25519Field.One);

    /// <param name="product">Whether the result's T is wanted; a doubling that follows does not need it.</param>
    public Ed25519Point Doubled(bool product = true)
    {
        var a = _x.Squared();
        var b = _y.Squared();
        var z2 = _z.Squared();
        var h = a + b;
        var e = h - (_x + _y).Squared();
        var g = a - b;
        var f = z2 + z2 + g;
        return new(e * f, g * h, f * g, product ? e * h : default);
    }

    /// <summary>The point made ready to be added many times.</summary>
    public Ed25519Addend ToAddend() => new(_y + _x, (_y - _x), _z + _z, _t * TwoD);

    public Ed25519Point Plus(in Ed25519Addend other) => Combine(other.Sum, other.Difference, other.TwoZ, other.TwoDT, subtract: false);

    public Ed25519Point Minus(in Ed25519Addend other) => Combine(other.Difference, other.Sum, other.TwoZ, other.TwoDT, subtract: true);

    Ed25519Point Combine(
        in Ed25519Field sum, in Ed25519Field difference, in Ed25519Field twoZ, in Ed25519Field twoDT, bool subtract)
    {
        var a = (_y - _x) * difference;
        var b = (_y + _x) * sum;
        var c = _t * twoDT;
        var d = _z * twoZ;
        var e = b - a;
        var f = subtract ? d + c : d - c;
        var g = subtract ? d - c : d + c;
        var h = b + a;
        return new(e * f, g * h, f * g, e * h);
    }

    static Ed25519Field Constant(string littleEndianHex) => Ed25519Field.Read(Convert.FromHexString(littleEndianHex));

    static Ed25519Point Decode(string hex) => TryDecode(Convert.FromHexString(hex), out var point)
        ? point
        : throw new System.Diagnostics.UnreachableException("The generator is a point of the curve.");
}

/// <summary>Y + X, Y - X, 2Z and 2dT of a point.</summary>
readonly struct Ed25519Addend(in Ed25519Field sum, in Ed25519Field difference, in Ed25519Field twoZ, in Ed25519Field twoDT)
{
    public readonly Ed25519Field Sum = sum, Difference = difference, TwoZ = twoZ, TwoDT = twoDT;
}
