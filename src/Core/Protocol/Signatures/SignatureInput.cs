using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Coppice.Protocol.Signatures;

/// <summary>What a signature covers, as RFC 9421 has it in <c>Signature-Input</c>.</summary>
/// <param name="Label">Its name in the header.</param>
/// <param name="Components">Derived components (<c>@method</c>) and fields in lower case, in the order signed.</param>
/// <param name="Written">The inner list and its parameters as they were written: the value of <c>@signature-params</c>.</param>
public sealed record SignatureInput(string Label, ImmutableArray<string> Components, string Written)
{
    /// <summary>The header's name.</summary>
    public const string Header = "Signature-Input";

    /// <summary>The name of the header that holds the signature itself.</summary>
    public const string SignatureHeader = "Signature";

    /// <summary>When it was signed, in seconds since 1970 by the signer's clock.</summary>
    public long? Created { get; init; }

    /// <summary>Whose key.</summary>
    public string? KeyId { get; init; }

    /// <summary>The algorithm, when it is said.</summary>
    public string? Algorithm { get; init; }

    /// <summary>What the signature is for.</summary>
    public string? Tag { get; init; }

    /// <summary>Makes two signatures of one second differ.</summary>
    public string? Nonce { get; init; }

    /// <summary>Reads a <c>Signature-Input</c> and a <c>Signature</c> header; finds the signature with a label.</summary>
    /// <param name="inputs">The value of <c>Signature-Input</c>.</param>
    /// <param name="signatures">The value of <c>Signature</c>.</param>
    /// <param name="label">Which signature.</param>
    /// <param name="input">What it covers.</param>
    /// <param name="signature">The signature's bytes.</param>
    public static bool TryRead(string? inputs, string? signatures, string label, [NotNullWhen(true)] out SignatureInput? input, out byte[] signature)
    {
        (input, signature) = (null, []);
        if (!StructuredFields.TryReadInputs(inputs, out var read) || !StructuredFields.TryReadBytes(signatures, out var bytes))
            return false;
        input = read.FirstOrDefault(member => member.Label == label);
        signature = bytes.FirstOrDefault(member => member.Name == label).Bytes ?? [];
        return input is not null && signature.Length > 0;
    }

    /// <summary>The bytes that are signed: a line for each component, and one for the parameters.</summary>
    /// <param name="valueOf">The value of a component; null when the message has none, and then there is nothing that could be signed.</param>
    /// <returns>Null when the message lacks a component.</returns>
    public byte[]? Base(Func<string, string?> valueOf)
    {
        ArgumentNullException.ThrowIfNull(valueOf);
        var text = new StringBuilder();
        foreach (var component in Components)
        {
            if (valueOf(component) is not { } value || value.AsSpan().IndexOfAny('\r', '\n') >= 0)
                return null;
            text.Append('"').Append(component).Append("\": ").Append(value).Append('\n');
        }

        text.Append("\"@signature-params\": ").Append(Written);
        return Encoding.UTF8.GetBytes(text.ToString());
    }
}
