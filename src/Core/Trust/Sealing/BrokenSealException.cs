namespace Coppice.Trust.Sealing;

/// <summary>Sealed bytes were changed, cut, put in another order or in another file's place, or the key is not theirs.</summary>
public sealed class BrokenSealException(string message, Exception? inner = null) : Exception(message, inner);
