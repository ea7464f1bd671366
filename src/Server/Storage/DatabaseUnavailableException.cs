namespace Coppice.Server.Storage;

/// <summary>The database did not answer, or went away in the middle. What was asked for may be asked for again.</summary>
/// <remarks>Of a change that was being committed nobody knows whether it was: whoever repeats it finds out, for acts are safe to repeat.</remarks>
public sealed class DatabaseUnavailableException(string place, Exception inner)
    : Exception($"The database {place} does not answer ({inner.Message}). Look whether PostgreSQL runs and is reached from here; then try again.", inner);
