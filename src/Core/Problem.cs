namespace Coppice;

/// <summary>A field as the caller wrote it, <c>phases[2].share</c>, and what was found and is wanted there.</summary>
/// <param name="Where">The path of the field, file or option that is at fault.</param>
/// <param name="What">What was found, what is wanted, and what to do.</param>
public readonly record struct Problem(string Where, string What)
{
    /// <summary><c>where: what</c>, as it is shown to a person.</summary>
    public override string ToString() => Where.Length == 0 ? What : $"{Where}: {What}";
}
